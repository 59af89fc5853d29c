//! `fineo ingest`: takes in files, shows how far it has come, and says what became of the events.

mod source;

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use fineo::{
    core::{Clock, SystemClock},
    ingest::{ImportFormat, ImportOptions, Routing},
};
use fineo_server::Counts;
use serde_json::json;

use crate::{
    args::{EventFormat, IngestArgs, SummaryFormat},
    engine::{Engine, Opener},
    failure::{Failure, say},
    hints,
    progress::Progress,
    stop::unless_stopped,
};

pub(crate) use source::Source;

/// Takes in the files that were named.
pub(crate) async fn run(args: &IngestArgs, opener: &Opener) -> Result<(), Failure> {
    let routing = match (&args.tenant, &args.tenant_field) {
        (Some(tenant), _) => Routing::Tenant(tenant.clone()),
        (None, Some(key)) => Routing::Field(key.clone()),
        (None, None) => return Err(Failure::Misuse("say whose events these are: --tenant T".to_owned())),
    };
    let sources = source::named(&args.files).await?;
    let is_csv = sources.iter().any(|source| source.is_csv(format(args)));
    let files = sources.len();
    if sources.iter().any(Source::is_stdin) && io::stdin().is_terminal() {
        say("reading events from the terminal; Ctrl-D ends them");
    }
    let begun = SystemClock.now();
    let engine = opener.open().await?;
    let total = Arc::new(Mutex::new(Counts::default()));
    let work = take_in_all(&engine, args, &routing, sources, &total);
    let result = engine_result(unless_stopped(work).await, &total);
    if let (Ok(()), Some(tenant)) = (&result, &args.tenant) {
        hints::note_times(&engine, tenant).await;
    }
    let result = engine.finish(result).await;
    let micros = SystemClock.now().micros() - begun.micros();
    result?;
    let total = total.lock().unwrap_or_else(PoisonError::into_inner).clone();
    print(args, &routing, &total, (files, is_csv), micros)
}

/// An import that ends early says what it had accepted until then.
fn engine_result(result: Result<(), Failure>, total: &Mutex<Counts>) -> Result<(), Failure> {
    if result.is_err() {
        let total = total.lock().unwrap_or_else(PoisonError::into_inner);
        say(&format!("the import ended early; of the whole files before, {}", shown(&total)));
        say("taking in the same files again adds only what is missing");
    }
    result
}

async fn take_in_all(
    engine: &Engine,
    args: &IngestArgs,
    routing: &Routing,
    sources: Vec<Source>,
    total: &Mutex<Counts>,
) -> Result<(), Failure> {
    for source in sources {
        let options = ImportOptions::new(routing.clone()).with_format(format(args)).with_metric(args.metric.clone());
        let is_csv = source.is_csv(options.format);
        // What is told by its name is told by it here: to whoever reads it, an object has none.
        let options = if is_csv { options.with_format(ImportFormat::Csv) } else { options };
        let name = source.to_string();
        let progress = Progress::new(source.length());
        let last = Mutex::new(None);
        let show = |counts: &Counts| {
            progress.show(counts.packed_bytes, shown(counts));
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(counts.clone());
        };
        let imported = engine.import(source, options, &show).await;
        drop(progress);
        if imported.is_err()
            && let Some(kept) = last.into_inner().unwrap_or_else(PoisonError::into_inner)
        {
            say(&format!("note: {name}: what came before it broke off is kept: {}", shown(&kept)));
        }
        let counts = imported.map_err(|failure| failure.of_file(&name))?;
        if let Some(told) = hints::of_empty(&counts, is_csv) {
            say(&format!("note: {name}: {told}"));
        }
        total.lock().unwrap_or_else(PoisonError::into_inner).add(&counts);
    }
    Ok(())
}

fn format(args: &IngestArgs) -> ImportFormat {
    match args.format {
        None => ImportFormat::Auto,
        Some(EventFormat::Json) => ImportFormat::Json,
        Some(EventFormat::Csv) => ImportFormat::Csv,
    }
}

fn shown(counts: &Counts) -> String {
    format!("accepted {}, rejected {}, duplicates {}", counts.accepted, counts.rejected_total(), counts.duplicates)
}

fn print(
    args: &IngestArgs,
    routing: &Routing,
    counts: &Counts,
    (files, is_csv): (usize, bool),
    micros: i64,
) -> Result<(), Failure> {
    let seconds = micros as f64 / 1e6;
    let mut stdout = io::stdout().lock();
    match args.output {
        SummaryFormat::Json => {
            let summary = json!({
                "accepted": counts.accepted,
                "rejected": counts.rejected_total(),
                "duplicates": counts.duplicates,
                "rejected_by_code": counts.rejected,
                "files": files,
                "bytes": counts.bytes,
                "seconds": seconds,
            });
            writeln!(stdout, "{summary}")?;
        }
        SummaryFormat::Text => {
            let events = (counts.accepted + counts.rejected_total()) as f64;
            let rate = events / seconds.max(1e-6);
            writeln!(stdout, "{} ({seconds:.2} s, {rate:.0} events/s)", shown(counts))?;
            for (code, count) in &counts.rejected {
                writeln!(stdout, "  rejected {count} × {code}")?;
            }
        }
    }
    stdout.flush()?;
    if counts.rejected_total() > 0 {
        let tenant = match routing {
            Routing::Tenant(tenant) => tenant.as_str(),
            Routing::Field(_) => "T",
        };
        for hint in hints::of_rejections(counts, tenant, is_csv) {
            say(&format!("hint: {hint}"));
        }
    }
    Ok(())
}
