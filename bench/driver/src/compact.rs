//! Compacts a store, and where asked for writes the same rows plainly behind it: rows 8 to 11.

use std::path::{Path, PathBuf};

use fineo::CompactOptions;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use serde_json::{Value, json};

use crate::{Result, engine::Engine, meter, options::Options};

/// Compacts everything that is archived, once. Opening and closing the store is part of the work.
pub(crate) async fn run(options: &Options) -> Result<Value> {
    let folder = options.text("data-dir")?;
    let defaults = CompactOptions::default();
    let level = options.number("zstd-level", defaults.zstd_level)?;
    let memory = options.number("memory-bytes", defaults.memory_bytes)?;
    // As where compaction runs again and again: tenants with less than this wait for more.
    let few = options.number("few-records", CompactOptions::FEW_RECORDS)?;
    let engine = Engine::open(folder).await?;
    let asked = defaults.with_zstd_level(level).with_memory_bytes(memory).with_few_records(few);
    let report = engine.compact(asked).await?;
    let (events, rows) = (report.total(|metric| metric.rows_in), report.total(|metric| metric.rows_out));
    let bytes = report.total(|metric| metric.bytes_out);
    engine.close().await?;
    if !report.failed.is_empty() {
        return Err(format!("{} tenants could not be compacted: {:?}", report.failed.len(), report.failed[0]).into());
    }
    let (cpu, peak) = (meter::cpu_seconds(), meter::peak_memory());
    let per = |seconds: f64, count: u64| seconds * 1e6 / count.max(1) as f64;
    let mut said = json!({
        "events": events, "rows": rows, "duplicates": report.total(|metric| metric.duplicates), "waiting": report.waiting,
        "files": report.total(|metric| metric.files_added), "bytes": bytes,
        "bytes_per_event": bytes as f64 / rows.max(1) as f64,
        "cpu_s": cpu, "cpu_us_per_event": per(cpu, events), "peak_rss_bytes": peak,
    });
    if options.number("plain", 0)? > 0 {
        let plain = write_plainly(Path::new(folder), level)?;
        said["plain_write_us_per_row"] = per(plain.cpu, plain.rows).into();
        said["plain_write_bytes"] = plain.bytes.into();
        said["ratio_to_plain_write"] = (per(cpu, events) / per(plain.cpu, plain.rows)).into();
    }
    Ok(said)
}

/// What writing the same rows plainly took.
#[derive(Debug, Default)]
struct Plain {
    cpu: f64,
    rows: u64,
    bytes: u64,
}

/// Decodes each file, and times the writing of its rows' own columns, without ids and the like, by one thread.
fn write_plainly(folder: &Path, level: i32) -> Result<Plain> {
    let mut plain = Plain::default();
    let mut files = Vec::new();
    find(folder, &mut files)?;
    for file in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file)?)?.build()?;
        let batches = reader.collect::<std::result::Result<Vec<_>, _>>()?;
        let Some(first) = batches.first() else { continue };
        let of_user: Vec<usize> = first
            .schema()
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| !matches!(field.name().as_str(), "_fineo_event_id" | "_fineo_ingested_at"))
            .map(|(index, _)| index)
            .collect();
        let batches =
            batches.iter().map(|batch| batch.project(&of_user)).collect::<std::result::Result<Vec<_>, _>>()?;
        let from = meter::cpu_seconds();
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties))?;
        for batch in &batches {
            writer.write(batch)?;
            plain.rows += batch.num_rows() as u64;
        }
        plain.bytes += writer.into_inner()?.len() as u64;
        plain.cpu += meter::cpu_seconds() - from;
    }
    Ok(plain)
}

/// Every data file below `folder`; the files of Delta checkpoints are none.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}
