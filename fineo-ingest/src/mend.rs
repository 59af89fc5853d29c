//! Mends the nearline store: rows of what is damaged are written again, from the archive and the stream.

use std::{collections::BTreeMap, sync::Arc};

use fineo_core::{
    Error, MetricId, Position, Result, ShardId, TenantId, Timestamp,
    archive::{SegmentKind, SegmentQuery, Stage},
    nearline::Damage,
    stream::Delivery,
};
use futures::TryStreamExt;
use tokio::sync::watch;

use crate::{
    Listing, ReplayRequest, SegmentReader,
    driver::{
        caught::caught,
        checkpoint,
        loss::{Loss, note_loss},
        parts::Shared,
        work::{StagedWork, write_rows},
        worker::stopped,
    },
    errors::{repairs, rows_of, stage_of_error_shard},
    replay::source::Source,
};

/// How many records are read together.
const BATCH_RECORDS: usize = 8_192;

/// Since when the errors of damaged units are known to be archived.
type Met = BTreeMap<(TenantId, MetricId, u64), Timestamp>;

/// Looks for damage again and again until `stop` says so.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut met = Met::new();
    loop {
        if let Err(error) = mend_all(&shared, &mut met).await {
            tracing::warn!(%error, "the nearline store could not be asked what is damaged");
        }
        tokio::select! {
            () = shared.parts.clock.sleep(shared.options.shards_every) => {}
            () = stopped(&mut stop) => return,
        }
    }
}

async fn mend_all(shared: &Arc<Shared>, met: &mut Met) -> Result<()> {
    let damages = shared.parts.nearline.damages().await?;
    met.retain(|met, _| damages.iter().any(|damage| unit_of(damage) == *met));
    for damage in damages {
        let (tenant, metric) = (&damage.tenant, &damage.metric);
        match caught(mend(shared, &damage, met)).await {
            Ok(()) => tracing::info!(%tenant, %metric, damage = %damage.error, "damaged rows were written again"),
            Err(error) if error.is_retryable() => tracing::warn!(
                %error, %tenant, %metric, damage = %damage.error, "damaged rows are not all written again yet"
            ),
            Err(error) => tracing::error!(
                %error, %tenant, %metric, damage = %damage.error, "damaged rows cannot be written again yet"
            ),
        }
    }
    Ok(())
}

fn unit_of(damage: &Damage) -> (TenantId, MetricId, u64) {
    (damage.tenant.clone(), damage.metric.clone(), damage.unit)
}

/// Writes the rows of `damage` again and lets go of it. What nobody has a copy of is recorded as a loss.
async fn mend(shared: &Arc<Shared>, damage: &Damage, met: &mut Met) -> Result<()> {
    if damage.metric == repairs() {
        // An error whose repair is forgotten is open again, and the next replay marks it again.
        let name = format!("nearline/{}/{}", damage.tenant, damage.metric);
        let reason = format!("damaged, and nobody has a copy: {}", damage.error);
        note_loss(shared, &name, &Loss { shard: "repairs", after: None, before: None, reason: &reason }).await?;
    } else if damage.metric == MetricId::errors() {
        mend_errors(shared, damage, met).await?;
    } else {
        mend_rows(shared, damage).await?;
    }
    let nearline = &shared.parts.nearline;
    shared.retry.until_done(|| async { nearline.sync().await.into_result() }).await?;
    shared.retry.until_done(|| async { nearline.mended(damage).await.into_result() }).await
}

async fn mend_rows(shared: &Arc<Shared>, damage: &Damage) -> Result<()> {
    let request = ReplayRequest::new(Stage::Staged, damage.tenant.clone());
    let mut source = Source::new(shared, &request).within(&damage.positions);
    let mut work: BTreeMap<ShardId, StagedWork> = BTreeMap::new();
    while let Some((shard, records)) = source.next(BATCH_RECORDS).await? {
        let work = work.entry(shard.clone()).or_insert_with(|| StagedWork::new(Arc::clone(shared), shard.clone()));
        let deliveries: Vec<Delivery> = records.into_iter().map(|record| record.delivery).collect();
        work.write_again(&deliveries, &damage.metric).await?;
    }
    source.check_whole().await
}

/// Error rows are archived too, by the stage that made them.
///
/// Nothing tells whether a segment of errors is still on its way: of an archive that lists late all of them are there once so
/// much time has passed since they were known to be archived.
async fn mend_errors(shared: &Arc<Shared>, damage: &Damage, met: &mut Met) -> Result<()> {
    let parts = &shared.parts;
    let listing = Listing::begin(&*parts.archive, &*parts.clock);
    for (rows_shard, first, last) in &damage.positions {
        let Some((stage, shard)) = stage_of_error_shard(rows_shard) else {
            return Err(Error::internal("error rows of a shard that is no stage's").with("shard", rows_shard));
        };
        let archived = checkpoint::archived(&*parts.repo, &shared.options.name, stage).await?;
        // Where nobody knows the last one, it is of rows from before the start: the stage passes on once more what was not
        // archived then.
        let last = if *last == Position::MAX { archived.last(&shard).unwrap_or(*first) } else { *last };
        if !archived.contains(&shard, last) {
            return Err(Error::unavailable("the errors are not archived yet").with("shard", &shard));
        }
        for kind in [SegmentKind::Malformed, SegmentKind::Commit] {
            let mut segments = parts.archive.segments(SegmentQuery::new(stage, kind));
            while let Some(info) = segments.try_next().await? {
                if info.name.shard != shard || info.name.first > last || info.name.last < *first {
                    continue;
                }
                let reader = SegmentReader::open(&*parts.archive, &info).await?;
                let errors = reader.read_errors(&*parts.archive, &damage.tenant).await?;
                for (tenant, rows) in rows_of(&errors, stage, &shard, parts.clock.now()) {
                    write_rows(shared, &tenant, &MetricId::errors(), &rows).await?;
                }
            }
        }
    }
    let met = met.entry(unit_of(damage)).or_insert_with(|| parts.clock.now());
    if !listing.has_all_until(met.micros()) {
        return Err(Error::unavailable("segments of errors may still be on their way to the archive"));
    }
    Ok(())
}
