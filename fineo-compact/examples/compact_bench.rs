//! What compaction costs per event, over a directory that `ingest_bench` of `fineo-ingest` filled, without SQL:
//!
//! `cargo run --release -p fineo-compact --example compact_bench FOLDER [--few RECORDS] [--memory BYTES]`
//!
//! `--few` lets tenants with fewer records wait. Prints CPU microseconds per event (all threads), the peak of resident
//! memory and the bytes per row of the files. Linux only: the figures are read from `/proc`.

use std::{path::PathBuf, sync::Arc};

use fineo_backend_local::{LocalDirectory, LocalOptions};
use fineo_compact::{CompactOptions, Compactor, CompactorParts};
use fineo_core::{Clock, Entropy, Error, Result, SystemClock, SystemEntropy};
use fineo_schema::SchemaStore;
use fineo_table::{Objects, Tables};

fn arguments() -> Option<(PathBuf, CompactOptions)> {
    let mut words = std::env::args().skip(1);
    let (folder, mut options) = (words.next()?.into(), CompactOptions::default().with_is_alone(true));
    while let Some(word) = words.next() {
        options = match word.as_str() {
            "--few" => options.with_few_records(words.next()?.parse().ok()?),
            "--memory" => options.with_memory_bytes(words.next()?.parse().ok()?),
            _ => return None,
        };
    }
    Some((folder, options))
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

#[tokio::main]
async fn main() -> Result<()> {
    let Some((folder, options)) = arguments() else { return Err(Error::invalid("see the head of compact_bench.rs")) };
    let directory = LocalDirectory::open(&folder, LocalOptions::default())?;
    let opened = cpu_seconds();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
    let url = url::Url::from_directory_path(directory.objects_folder());
    let url = url.map_err(|()| Error::invalid("the folder has no absolute path"))?;
    let objects = Objects { store: directory.objects(), url, durability: directory.durability() };
    let repo = directory.repo();
    let parts = CompactorParts {
        archive: directory.archive(),
        schemas: SchemaStore::new(Arc::clone(&repo), Arc::clone(&clock)),
        tables: Tables::new(objects, Arc::clone(&repo), Arc::clone(&clock), Arc::clone(&entropy)),
        nearline: directory.nearline(),
        notifier: None,
        repo,
        clock,
        entropy,
    };
    let report = Compactor::new(parts, options).run(&|_| {}).await?;
    let compacted = cpu_seconds();
    directory.close().await?;
    let (events, rows) = (report.total(|metric| metric.rows_in), report.total(|metric| metric.rows_out));
    println!(
        "{events} events, {rows} rows, {} files, {} tenants waiting: {:.2} us CPU/event, {:.2} s to open and {:.2} s in all; \
         peak {:.0} MB; {:.1} B/row",
        report.total(|metric| metric.files_added),
        report.waiting,
        (compacted - opened) * 1e6 / events.max(1) as f64,
        opened,
        cpu_seconds(),
        peak_megabytes(),
        report.total(|metric| metric.bytes_out) as f64 / rows.max(1) as f64,
    );
    Ok(())
}
