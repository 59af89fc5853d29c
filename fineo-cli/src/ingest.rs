//! `fineo ingest`: takes in files, shows how far it has come, and says what became of the events.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
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
    hints, input,
    progress::Progress,
    stop::unless_stopped,
};

/// Where events are read.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file, perhaps packed.
    Path(PathBuf),
    /// Standard input, perhaps packed.
    Stdin,
}

impl Source {
    /// Whether its events are rows of CSV, where `format` leaves that to its name.
    pub(crate) fn is_csv(&self, format: ImportFormat) -> bool {
        match (format, self) {
            (ImportFormat::Csv, _) => true,
            (ImportFormat::Json, _) | (ImportFormat::Auto, Self::Stdin) => false,
            (ImportFormat::Auto, Self::Path(path)) => {
                let name = path.to_string_lossy().to_ascii_lowercase();
                let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
                name.ends_with(".csv")
            }
        }
    }

    /// Begins to read it.
    pub(crate) fn open(self) -> Result<Box<dyn io::Read + Send>, Failure> {
        Ok(match self {
            Self::Path(path) => Box::new(std::fs::File::open(path)?),
            Self::Stdin => Box::new(io::stdin()),
        })
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
    print(args, &routing, &total, &files, micros)
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
        let options = ImportOptions::new(routing.clone()).with_format(format(args)).with_metric(args.metric.clone());
        let source = source_of(file);
        let is_csv = source.is_csv(options.format);
        let progress = Progress::new(input::length(file));
        let show = |counts: &Counts| progress.show(counts.packed_bytes, shown(counts));
        let counts = engine.import(source, options, &show).await.map_err(|failure| failure.of_file(file))?;
        drop(progress);
        if let Some(told) = hints::of_empty(&counts, is_csv) {
            say(&format!("note: {}: {told}", file.display()));
        }
        total.lock().unwrap_or_else(PoisonError::into_inner).add(&counts);
    }
    Ok(())
}

fn source_of(file: &Path) -> Source {
    match input::is_stdin(file) {
        true => Source::Stdin,
        false => Source::Path(file.to_owned()),
    }
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

fn print(args: &IngestArgs, routing: &Routing, counts: &Counts, files: &[PathBuf], micros: i64) -> Result<(), Failure> {
    let seconds = micros as f64 / 1e6;
    let mut stdout = io::stdout().lock();
    match args.output {
        SummaryFormat::Json => {
            let summary = json!({
                "accepted": counts.accepted,
                "rejected": counts.rejected_total(),
                "duplicates": counts.duplicates,
                "rejected_by_code": counts.rejected,
                "files": files.len(),
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
        let is_csv = files.iter().any(|file| source_of(file).is_csv(format(args)));
        for hint in hints::of_rejections(&counts.rejected, tenant, is_csv) {
            say(&format!("hint: {hint}"));
        }
    }
    Ok(())
}
