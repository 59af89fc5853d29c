//! Compaction beside the doors, on threads of its own: it computes and reads disks for long stretches.

use std::{path::PathBuf, sync::Arc, time::Duration};

use fineo::{
    Error, Fineo, Result,
    compact::{CompactOptions, CompactReport, Notifier},
};
use tokio::{runtime::Handle, sync::watch, task::spawn_blocking};

use crate::{Notices, Shared, Shutdown};

/// Compacts once.
///
/// # Errors
///
/// When the archive or the repository cannot be read at all.
pub(crate) async fn once(fineo: &Fineo, options: CompactOptions) -> Result<CompactReport> {
    let compactor = fineo.compactor(options, None);
    let runtime = Handle::current();
    let ran = spawn_blocking(move || runtime.block_on(compactor.run(&|_| {}))).await;
    ran.map_err(|source| Error::internal("compaction broke off").with_source(source))?
}

/// How tables are kept up.
#[derive(Debug)]
pub(crate) struct Upkeep {
    /// How long between two runs.
    pub(crate) every: Duration,
    /// How long the archive keeps what the stages received; for ever for none.
    pub(crate) archive_retain: Option<Duration>,
    /// Where work goes that does not fit into memory.
    pub(crate) scratch: Option<PathBuf>,
    /// Who hears of what is found.
    pub(crate) notices: Option<Notices>,
}

/// Compacts again and again until the doors close. What a run leaves unfinished the next one does.
pub(crate) async fn keep_up(shared: Shared, shutdown: Shutdown, upkeep: Upkeep) -> Result<()> {
    let Upkeep { every, archive_retain, scratch, notices } = upkeep;
    let notifier = notices.map(|notices| Arc::new(notices) as Arc<dyn Notifier>);
    let options = CompactOptions::default()
        .with_scratch(scratch)
        .with_few_records(CompactOptions::FEW_RECORDS)
        .with_archive_retain(archive_retain);
    let compactor = shared.fineo.compactor(options, notifier);
    drop(shared);
    let (stopping, stop) = watch::channel(false);
    let runtime = Handle::current();
    let run = spawn_blocking(move || runtime.block_on(compactor.watch(every, stop, &tell)));
    shutdown.requested().await;
    stopping.send_replace(true);
    run.await.map_err(|source| Error::internal("compaction broke off").with_source(source))
}

fn tell(ran: &Result<CompactReport>) {
    match ran {
        Ok(report) => {
            let rows = report.total(|metric| metric.rows_out);
            let (tenants, failed) = (report.tenants.len(), report.failed.len());
            // In so many shards the newest records wait for segments that are on their way to the archive.
            tracing::info!(rows, tenants, failed, undelivered = report.undelivered, "compacted");
        }
        Err(error) => tracing::warn!(%error, "compaction failed; the next run tries again"),
    }
}
