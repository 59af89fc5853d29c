//! The words of `fineo token`.

use clap::{Args, Subcommand};
use fineo::core::TenantId;
use fineo_server::Scope;

use super::{SummaryFormat, tenant};

const AFTER_HELP: &str = "\
Examples:
  fineo token create --tenant acme
  fineo token create --tenant acme --scope ingest --expires 90d --note 'gateway 7'
  fineo token create --tenant acme --scope query --role analyst
  TOKEN=$(fineo token create --tenant acme)
  fineo token list --tenant acme
  fineo token revoke 0123456789abcdef

A token opens one tenant's data. It is shown once: what is kept of it cannot bring it back.";

/// Make, list and revoke tokens.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TokenArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) verb: TokenVerb,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token and print it, alone, on standard output
    #[command(after_help = "Examples:\n  fineo token create --tenant acme --scope ingest --expires 90d")]
    Create {
        /// Whose data it opens; the tenant need not have any yet
        #[arg(long, value_parser = tenant, value_name = "T")]
        tenant: TenantId,
        /// What it allows: ingest, query, schema or admin; again for a second
        /// [default: ingest and query; with a role, query]
        #[arg(long = "scope", value_parser = scope, value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// The role in which it reads [default: none, it may read everything]
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
        /// When it ends: a time, or a while such as 12h or 90d [default: never]
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// What it is for
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        note: String,
    },
    /// List tokens; no secret is shown
    #[command(after_help = "Examples:\n  fineo token list --tenant acme --output json")]
    List {
        /// Only this tenant's
        #[arg(long, value_parser = tenant, value_name = "T")]
        tenant: Option<TenantId>,
        /// How to print them
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: SummaryFormat,
    },
    /// Revoke a token: it opens nothing any more, and what runs in its name ends
    #[command(after_help = "Examples:\n  fineo token revoke 0123456789abcdef")]
    Revoke {
        /// Its id, the part between `fineo_` and the next `_`
        #[arg(value_name = "ID")]
        id: String,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|error: fineo::core::Error| error.to_string())
}
