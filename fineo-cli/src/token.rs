//! `fineo token`: makes, lists and revokes tokens.

use std::io::{self, Write};

use fineo::core::{Clock, SystemClock, Timestamp};
use fineo_server::{
    Scope, Scopes,
    auth::{TokenInfo, TokenRequest},
};

use crate::{
    args::{Format, SummaryFormat, TokenArgs, TokenVerb},
    engine::Opener,
    failure::{Failure, say},
    instant::instant,
    listing::{Listing, cell},
    report::Report,
    stop::unless_stopped,
};

/// Does what the words say.
pub(crate) async fn run(args: &TokenArgs, opener: &Opener) -> Result<(), Failure> {
    match &args.verb {
        TokenVerb::Create { tenant, scopes, role, expires, note } => {
            let scopes = match (scopes.is_empty(), role) {
                (true, None) => vec![Scope::Ingest, Scope::Query],
                (true, Some(_)) => vec![Scope::Query],
                (false, _) => scopes.clone(),
            };
            let request = TokenRequest {
                tenant: tenant.clone(),
                scopes: scopes.into_iter().collect(),
                role: role.as_deref().map(Into::into),
                expires_at: expires.as_deref().map(end).transpose()?,
                note: note.clone(),
            };
            create(request, opener).await
        }
        TokenVerb::List { tenant, output } => {
            let engine = opener.open().await?;
            let result = unless_stopped(engine.tokens(tenant.as_ref())).await;
            let tokens = engine.finish(result).await?;
            match output {
                SummaryFormat::Json => Report::new(String::new(), &tokens)?.print(*output),
                SummaryFormat::Text => print(&tokens),
            }
        }
        TokenVerb::Revoke { id } => {
            let engine = opener.open().await?;
            let result = unless_stopped(engine.revoke_token(id)).await;
            let info = engine.finish(result).await?;
            say(&format!("token {} of tenant {} opens nothing any more", info.id, info.tenant));
            Ok(())
        }
    }
}

async fn create(request: TokenRequest, opener: &Opener) -> Result<(), Failure> {
    let engine = opener.open().await?;
    let result = unless_stopped(engine.make_token(request)).await;
    let made = engine.finish(result).await?;
    let until = made.info.expires_at.as_deref().map(|at| format!(", until {at}")).unwrap_or_default();
    let role = made.info.role.as_deref().map(|role| format!(", role {role}")).unwrap_or_default();
    say(&format!(
        "token {} for tenant {}, scopes {}{role}{until}; it is shown this once:",
        made.info.id,
        made.info.tenant,
        shown(&made.info.scopes)
    ));
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", made.token)?;
    Ok(stdout.flush()?)
}

fn print(tokens: &[TokenInfo]) -> Result<(), Failure> {
    let mut listing =
        Listing::new(&["id", "tenant", "scopes", "role", "created_at", "expires_at", "revoked_at", "note"]);
    for token in tokens {
        listing.push([
            cell(&token.id),
            cell(&token.tenant),
            cell(shown(&token.scopes)),
            token.role.clone(),
            cell(&token.created_at),
            token.expires_at.clone(),
            token.revoked_at.clone(),
            cell(&token.note),
        ]);
    }
    listing.print(Format::Table)
}

fn shown(scopes: &Scopes) -> String {
    scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
}

/// A time, or a while from now.
fn end(text: &str) -> Result<Timestamp, Failure> {
    let seconds_of = |unit: char| match unit {
        's' => Some(1_i64),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    };
    let count = |digits: &str| digits.parse::<i64>().ok().filter(|count| *count > 0);
    let is_while =
        text.chars().last().and_then(seconds_of).zip(text.get(..text.len().saturating_sub(1)).and_then(count));
    if let Some((seconds, count)) = is_while {
        let micros = count.saturating_mul(seconds).saturating_mul(1_000_000);
        return Ok(SystemClock.now().plus_micros(micros));
    }
    instant(text).map_err(|error| Failure::Misuse(format!("{error}, or a while such as 12h or 90d")))
}
