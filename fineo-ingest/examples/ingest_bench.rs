//! What an event costs from file to row, over the local backend or over memory, without SQL:
//!
//! `cargo run --release -p fineo-ingest --example ingest_bench FILE TENANT_KEY [--folder F] [--schemas S] [--no-rows]`
//!
//! `S` holds one declaration per tenant, `TENANT.json`; without a folder everything stays in memory; `--no-rows` leaves
//! the nearline store out. Prints CPU microseconds per event (all threads), the peak of resident memory and the bytes of
//! the archives. Linux only: the figures are read from `/proc`.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use fineo_backend_local::{LocalDirectory, LocalOptions};
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_core::{
    Clock, Cover, Durability, Error, MetricId, NearlineStore, Outcome, Result, SystemClock, SystemEntropy, TenantId,
    nearline::{NearlineCapabilities, Predicate, Pushdown, Rows, ScanRequest, Written},
};
use fineo_ingest::{ImportOptions, ImportSource, NoFiles, Pipeline, PipelineOptions, PipelineParts, Routing};
use fineo_schema::{ChangeId, ChangeRequest, Declaration, Discovery, SchemaStore};
use futures::stream::BoxStream;

/// How long the last event may take to become a row.
const QUERYABLE_WITHIN: Duration = Duration::from_secs(3600);

/// A nearline store that forgets.
#[derive(Debug)]
struct NoRows;

impl fmt::Display for NoRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no rows")
    }
}

#[async_trait]
impl NearlineStore for NoRows {
    fn capabilities(&self) -> NearlineCapabilities {
        NearlineCapabilities { durability: Durability::Volatile, rows_max: 100_000 }
    }

    fn pushdown(&self, _: &Predicate) -> Pushdown {
        Pushdown::Unsupported
    }

    async fn write(&self, _: &TenantId, _: &MetricId, rows: Rows) -> Vec<Outcome<Written>> {
        vec![Outcome::Done(Written::New); rows.len()]
    }

    async fn sync(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    fn scan(&self, _: ScanRequest) -> BoxStream<'static, Result<RecordBatch>> {
        Box::pin(futures::stream::empty())
    }

    async fn remove(&self, _: &TenantId, _: &MetricId, _: &Cover) -> Outcome<u64> {
        Outcome::Done(0)
    }

    async fn metrics(&self, _: &TenantId) -> Result<Vec<MetricId>> {
        Ok(Vec::new())
    }
}

#[derive(Default)]
struct Arguments {
    file: PathBuf,
    tenant_key: String,
    folder: Option<PathBuf>,
    schemas: Option<PathBuf>,
    no_rows: bool,
}

fn arguments() -> Option<Arguments> {
    let mut words = std::env::args().skip(1);
    let mut read = Arguments { file: words.next()?.into(), tenant_key: words.next()?, ..Arguments::default() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--folder" => read.folder = Some(words.next()?.into()),
            "--schemas" => read.schemas = Some(words.next()?.into()),
            "--no-rows" => read.no_rows = true,
            _ => return None,
        }
    }
    Some(read)
}

fn parts(directory: Option<&LocalDirectory>, no_rows: bool) -> Result<PipelineParts> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let repo = directory.map_or_else(|| Arc::new(MemoryRepo::new()) as _, LocalDirectory::repo);
    let rows: Arc<dyn NearlineStore> =
        directory.map_or_else(|| Arc::new(MemoryNearline::new()) as _, LocalDirectory::nearline);
    Ok(PipelineParts {
        raw: directory.map_or_else(|| Ok(Arc::new(MemoryStream::new("raw", 1)) as _), |it| it.stream("raw", 1))?,
        staged: directory
            .map_or_else(|| Ok(Arc::new(MemoryStream::new("staged", 1)) as _), |it| it.stream("staged", 1))?,
        archive: directory.map_or_else(|| Arc::new(MemoryArchive::new()) as _, LocalDirectory::archive),
        nearline: if no_rows { Arc::new(NoRows) } else { rows },
        files: Arc::new(NoFiles),
        schemas: SchemaStore::new(Arc::clone(&repo), Arc::clone(&clock)),
        discovery: Discovery::new(Arc::clone(&repo), Arc::clone(&clock)),
        repo,
        clock,
        entropy: Arc::new(SystemEntropy::new()),
    })
}

/// Declares what the files of `folder` say.
async fn declare(schemas: &SchemaStore, folder: &Path) -> Result<()> {
    let unreadable = |source: std::io::Error| Error::invalid("a declaration cannot be read").with_source(source);
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let tenant = TenantId::new(&path.file_stem().unwrap_or_default().to_string_lossy())?;
        let declaration = Declaration::parse(&std::fs::read_to_string(&path).map_err(unreadable)?)?;
        let plan = declaration.plan(&*schemas.refresh(&tenant).await?, &|_| Arc::default())?;
        let id = ChangeId::random(&SystemEntropy::new());
        schemas.apply(&tenant, ChangeRequest::new(id, plan.changes)).await?;
    }
    Ok(())
}

/// User and system seconds of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = behind_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn bytes_under(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => bytes_under(&entry.path()),
            _ => entry.metadata().map_or(0, |metadata| metadata.len()),
        })
        .sum()
}

#[tokio::main]
async fn main() -> Result<()> {
    let Some(asked) = arguments() else { return Err(Error::invalid("see the head of ingest_bench.rs")) };
    let directory = asked.folder.as_ref().map(|folder| LocalDirectory::open(folder, LocalOptions::default()));
    let directory = directory.transpose()?;
    let parts = parts(directory.as_ref(), asked.no_rows)?;
    if let Some(folder) = &asked.schemas {
        declare(&parts.schemas, folder).await?;
    }
    let begun = cpu_seconds();
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await?;
    let options = ImportOptions::new(Routing::Field(asked.tenant_key));
    let report = pipeline.edge().import(ImportSource::Path(asked.file), options, |_| {}).await?;
    pipeline.wait_until_queryable(&report.token, QUERYABLE_WITHIN).await?;
    let queryable = cpu_seconds() - begun;
    pipeline.stop().await?;
    let events = report.accepted as f64;
    let archive = |stage: &str| {
        let folder = asked.folder.as_ref().map(|folder| folder.join("archive").join(stage));
        folder.map_or(0.0, |folder| bytes_under(&folder) as f64 / events)
    };
    let (raw, staged) = (archive("raw"), archive("staged"));
    if let Some(directory) = directory {
        directory.close().await?;
    }
    println!(
        "{} events: {:.2} us CPU/event when queryable, {:.2} in all; peak {:.0} MB; archive {raw:.1} raw + {staged:.1} staged B/event",
        report.accepted,
        queryable * 1e6 / events,
        (cpu_seconds() - begun) * 1e6 / events,
        peak_megabytes(),
    );
    Ok(())
}
