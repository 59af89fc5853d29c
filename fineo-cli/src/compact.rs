//! `fineo compact`: makes columnar files of what was archived.

use std::{path::PathBuf, sync::Arc, time::Duration};

use fineo::{
    Error, ErrorKind,
    compact::{CompactReport, FailedTenant, MetricReport, TenantReport},
};
use fineo_server::http::operator::CompactRequest;

use crate::{
    args::{CompactArgs, SummaryFormat},
    engine::{Engine, Opener},
    failure::{Failure, say, say_error},
    hints,
    progress::Progress,
    report::Report,
    stop::unless_stopped,
};

/// Compacts what was asked for, once or until it is stopped, and says what was done.
pub(crate) async fn run(args: &CompactArgs, opener: &Opener) -> Result<(), Failure> {
    let engine = opener.open().await?;
    let scratch = opener.place.scratch();
    let asked = CompactRequest {
        tenant: args.tenant.as_ref().map(ToString::to_string),
        rewrite: args.rewrite,
        fresh: false,
        metric: None,
        memory_bytes: args.memory.map(|megabytes| megabytes.get() << 20),
        zstd_level: args.zstd_level,
        keep_nearline_hours: args.keep_nearline,
        archive_retain_days: args.archive_retain,
    };
    let result = if args.watch {
        unless_stopped(watch(&engine, &asked, scratch, args)).await
    } else {
        unless_stopped(Box::pin(once(&engine, &asked, scratch, args.output))).await
    };
    engine.finish(result).await
}

async fn once(engine: &Engine, asked: &CompactRequest, scratch: PathBuf, format: SummaryFormat) -> Result<(), Failure> {
    let progress = Progress::new(None);
    let written = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let show = |done: &TenantReport| {
        let bytes: u64 = done.metrics.iter().map(|metric| metric.bytes_out).sum();
        let total = written.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed) + bytes;
        progress.show(total, format!("tenant {}", done.tenant));
    };
    // Looked for before, for a run notes how far it came.
    let note = match &asked.tenant {
        Some(tenant) => hints::of_unknown(tenant, &engine.tenants().await?),
        None => None,
    };
    let report = engine.compact(asked, scratch, &show).await?;
    progress.clear();
    if let (true, Some(note)) = (report.is_idle(), note) {
        say(&note);
    }
    finish(&report, format)
}

/// Prints what was done; a tenant, or a metric, for which it failed is a failure.
pub(crate) fn finish(report: &CompactReport, format: SummaryFormat) -> Result<(), Failure> {
    print(report, format)?;
    let Some((first, others)) = report.failed.split_first() else { return Ok(()) };
    others.iter().for_each(|failed| say(&line_of_failed(failed)));
    let error = match &first.metric {
        None => Error::new(ErrorKind::Unavailable, "compaction failed for a tenant, and begins anew with the next run"),
        Some(metric) => {
            let message = "compaction failed for a metric, whose events wait until that is mended";
            Error::invalid(message).with("metric", metric)
        }
    };
    Err(error.with("tenant", &first.tenant).with("error", &first.error).into())
}

fn line_of_failed(failed: &FailedTenant) -> String {
    match &failed.metric {
        None => format!("tenant {}: {}", failed.tenant, failed.error),
        Some(metric) => format!("tenant {}, metric {metric}: {}", failed.tenant, failed.error),
    }
}

/// Compacts again and again, until it is dropped.
async fn watch(engine: &Engine, asked: &CompactRequest, scratch: PathBuf, args: &CompactArgs) -> Result<(), Failure> {
    let show = |ran: &Result<CompactReport, Error>| match ran {
        Ok(report) => {
            // Standard output may be gone; the files are made all the same.
            let _ = print(report, args.output);
            report.failed.iter().for_each(|failed| say(&line_of_failed(failed)));
        }
        Err(error) => say_error(error),
    };
    engine.compact_and_watch(asked, scratch, Duration::from_secs(args.every), &show).await
}

fn print(report: &CompactReport, format: SummaryFormat) -> Result<(), Failure> {
    match format {
        SummaryFormat::Json => Report::new(String::new(), report)?.print(format),
        SummaryFormat::Text => {
            if report.is_idle() {
                say("nothing to compact");
                say(
                    "hint: rows that files have by now leave the nearline store later: --keep-nearline HOURS says when",
                );
            }
            for tenant in &report.tenants {
                for metric in &tenant.metrics {
                    Report::new(line_of(&tenant.tenant, metric), metric)?.print(format)?;
                }
                if tenant.retired > 0 {
                    let line = format!("{}: {} rows left the nearline store", tenant.tenant, tenant.retired);
                    Report::new(line, &tenant.retired)?.print(format)?;
                }
            }
            if report.expired_segments > 0 {
                let (segments, bytes) = (report.expired_segments, report.expired_bytes);
                let line =
                    format!("{segments} segments of {bytes} bytes left the archive, old enough by --archive-retain");
                Report::new(line, &segments)?.print(format)?;
            }
            if report.undelivered > 0 {
                let shards = report.undelivered;
                say(&format!(
                    "{shards} shards wait for segments that are still on their way to the archive: a later run has them"
                ));
            }
            for busy in &report.busy {
                say(&format!("{busy}: another process compacts just now"));
            }
            Ok(())
        }
    }
}

fn line_of(tenant: &str, metric: &MetricReport) -> String {
    let name = metric.metric.as_deref().unwrap_or(&metric.id);
    let mut line = format!(
        "{tenant} {name}: {} rows in, {} rows out, {} duplicates dropped, {} bytes in, {} bytes out, {} files added, {} removed",
        metric.rows_in,
        metric.rows_out,
        metric.duplicates,
        metric.bytes_in,
        metric.bytes_out,
        metric.files_added,
        metric.files_removed
    );
    if !metric.new_names.is_empty() {
        let names: Vec<String> =
            metric.new_names.iter().take(5).map(|new| format!("{} ({})", new.name, new.value_type)).collect();
        let more = metric.new_names.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        line.push_str(&format!("; new: {}{more}", crate::output::screened(&names.join(", "))));
    }
    line
}
