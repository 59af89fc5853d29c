//! `fineo ingest`: takes in files, shows how far it has come, and says what became of the events.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use fineo::{
    core::{Clock, Code, SystemClock},
    ingest::{ImportFormat, ImportOptions, ImportReport, ImportSource, Routing, TenantCounts},
};
use serde_json::json;

use crate::{
    args::{EventFormat, IngestArgs, SummaryFormat},
    engine::{Engine, Opener},
    failure::{Failure, say},
    input,
    progress::Progress,
    stop::unless_stopped,
};

/// What became of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Stored, or known already.
    pub(crate) accepted: u64,
    /// Not stored as rows, for a reason of their own.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// Those of the accepted ones that were known already.
    pub(crate) duplicates: u64,
    /// The bytes of the events, no longer compressed.
    pub(crate) bytes: u64,
    /// The bytes that were read.
    pub(crate) packed_bytes: u64,
}

impl Counts {
    /// The counts of an import that read `report`, when the stages have `counted` so much since it began.
    ///
    /// The edge accepts what can be framed; what stage raw then rejects is rejected here as well.
    pub(crate) fn of(report: &ImportReport, counted: &TenantCounts) -> Self {
        let at_edge: u64 = report.rejected.values().sum();
        let mut rejected: BTreeMap<String, u64> =
            counted.rejected.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
        if counted.conflicts > 0 {
            rejected.entry(Code::IdConflict.to_string()).or_insert(counted.conflicts);
        }
        let by_stages = rejected.values().sum::<u64>().saturating_sub(at_edge);
        Self {
            accepted: report.accepted.saturating_sub(by_stages),
            rejected,
            duplicates: counted.duplicates,
            bytes: report.bytes,
            packed_bytes: report.packed_bytes,
        }
    }

    fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.bytes += other.bytes;
        self.packed_bytes += other.packed_bytes;
        for (code, count) in &other.rejected {
            *self.rejected.entry(code.clone()).or_default() += count;
        }
    }
}

/// Takes in the files that were named.
pub(crate) async fn run(args: &IngestArgs, opener: &Opener) -> Result<(), Failure> {
    let routing = match (&args.tenant, &args.tenant_field) {
        (Some(tenant), _) => Routing::Tenant(tenant.clone()),
        (None, Some(key)) => Routing::Field(key.clone()),
        (None, None) => return Err(Failure::Misuse("say whose events these are: --tenant T".to_owned())),
    };
    let files = match args.files.is_empty() {
        true => vec![PathBuf::from("-")],
        false => args.files.clone(),
    };
    input::check_readable(&files)?;
    if files.iter().any(|file| input::is_stdin(file)) && io::stdin().is_terminal() {
        say("reading events from the terminal; Ctrl-D ends them");
    }
    let begun = SystemClock.now();
    let engine = opener.open().await?;
    let total = Arc::new(Mutex::new(Counts::default()));
    let work = take_in_all(&engine, args, &routing, &files, &total);
    let result = engine_result(unless_stopped(work).await, &total);
    let result = engine.finish(result).await;
    let micros = SystemClock.now().micros() - begun.micros();
    result?;
    let total = total.lock().unwrap_or_else(PoisonError::into_inner).clone();
    print(args, &routing, &total, files.len(), micros)
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
    files: &[PathBuf],
    total: &Mutex<Counts>,
) -> Result<(), Failure> {
    for file in files {
        let options = ImportOptions::new(routing.clone())
            .with_format(args.format.map_or(ImportFormat::Auto, format_of))
            .with_metric(args.metric.clone());
        let source = match input::is_stdin(file) {
            true => ImportSource::Reader(Box::new(io::stdin())),
            false => ImportSource::Path(file.clone()),
        };
        let progress = Progress::new(input::length(file));
        let show = |counts: &Counts| progress.show(counts.packed_bytes, shown(counts));
        let counts = engine.import(source, options, &show).await.map_err(|failure| failure.of_file(file))?;
        total.lock().unwrap_or_else(PoisonError::into_inner).add(&counts);
    }
    Ok(())
}

fn format_of(asked: EventFormat) -> ImportFormat {
    match asked {
        EventFormat::Json => ImportFormat::Json,
        EventFormat::Csv => ImportFormat::Csv,
    }
}

fn shown(counts: &Counts) -> String {
    format!("accepted {}, rejected {}, duplicates {}", counts.accepted, counts.rejected_total(), counts.duplicates)
}

fn print(args: &IngestArgs, routing: &Routing, counts: &Counts, files: usize, micros: i64) -> Result<(), Failure> {
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
        say(&format!("hint: fineo errors --tenant {tenant} shows what was rejected, and why"));
    }
    Ok(())
}
