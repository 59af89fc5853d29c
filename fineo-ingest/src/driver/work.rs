//! What a worker does with a batch: the stage's part of a driver.

mod moved;
mod raw;
mod staged;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use fineo_core::{
    Cover, Error, EventId, MetricId, Outcome, Result, ShardId, TenantId,
    archive::Stage,
    nearline::{Rows, Written},
    stream::Delivery,
};

use super::parts::Shared;
use crate::{
    errors::{ErrorRow, rows_of},
    retry::Retry,
};
pub(crate) use raw::{RawWork, key_of};
pub(crate) use staged::StagedWork;

/// A batch may have so many failures of ours before the stage stops instead of quarantining.
const FAILURES_MAX: usize = 20;

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Where it went on in the staged stream.
    pub(crate) forwarded: Cover,
    pub(crate) errors: Vec<ErrorRow>,
}

/// The work of either stage.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per worker")]
pub(crate) enum Work {
    Raw(RawWork),
    Staged(StagedWork),
}

impl Work {
    pub(crate) fn new(stage: Stage, shared: &Arc<Shared>, shard: &ShardId) -> Self {
        match stage {
            Stage::Raw => Self::Raw(RawWork::new(Arc::clone(shared), shard.clone())),
            Stage::Staged => Self::Staged(StagedWork::new(Arc::clone(shared), shard.clone())),
        }
    }

    /// Whether nothing that is given again is left to be left out.
    pub(crate) fn leaves_out_nothing(&self) -> bool {
        match self {
            Self::Raw(work) => work.leaves_out_nothing(),
            Self::Staged(_) => true,
        }
    }

    /// Passes `batch` on. Once it answers, everything of it is visible, though not yet durable.
    pub(crate) async fn pass(&mut self, batch: &[Delivery]) -> Result<Passed> {
        match self {
            Self::Raw(work) => work.pass(batch).await,
            Self::Staged(work) => work.pass(batch).await,
        }
    }

    /// The Avro schemas of the records passed since the last call, as JSON, by `tenant/metric/version`.
    pub(crate) fn take_record_schemas(&mut self) -> BTreeMap<String, Arc<str>> {
        match self {
            Self::Raw(_) => BTreeMap::new(),
            Self::Staged(work) => work.take_record_schemas(),
        }
    }
}

/// Writes the error rows, after making sure that they are not the sign of a bad build.
pub(crate) async fn write_errors(
    shared: &Shared,
    stage: Stage,
    shard: &ShardId,
    errors: &[ErrorRow],
    batch: usize,
) -> Result<()> {
    let ours = errors.iter().filter(|error| error.is_ours()).count();
    if ours > FAILURES_MAX.max(batch / 20) {
        return Err(Error::internal(
            "too many of the stage's own failures in a batch: it stops and quarantines nothing",
        )
        .with("stage", stage)
        .with("failures", ours)
        .with("batch", batch));
    }
    let now = shared.parts.clock.now();
    for (tenant, rows) in rows_of(errors, stage, shard, now) {
        write_rows(shared, &tenant, &MetricId::errors(), &rows).await?;
    }
    for error in errors {
        shared.counters.add(&error.tenant, |counts| {
            if error.is_ours() {
                counts.failed += 1;
            } else {
                *counts.rejected.entry(error.rejection.code.as_str()).or_default() += 1;
            }
        });
    }
    Ok(())
}

/// Writes `rows`, again and again those that the store did not take; answers what became of each.
pub(crate) async fn write_rows(
    shared: &Shared,
    tenant: &TenantId,
    metric: &MetricId,
    rows: &Rows,
) -> Result<Vec<Written>> {
    let store = &shared.parts.nearline;
    let rows_max = store.capabilities().rows_max.max(1);
    let mut written: Vec<Option<Written>> = vec![None; rows.len()];
    let mut left: Vec<usize> = (0..rows.len()).collect();
    // Of whose writes nobody knows.
    let mut in_doubt: HashSet<EventId> = HashSet::new();
    let mut tries = 0;
    while !left.is_empty() {
        let mut again = Vec::new();
        let mut last_error = None;
        for part in left.chunks(rows_max) {
            let of_part = if part.len() == rows.len() { rows.clone() } else { select(rows, part) };
            for (index, outcome) in part.iter().zip(store.write(tenant, metric, of_part).await) {
                let id = rows.get(*index).map(|row| row.head().id);
                in_doubt.extend(id.filter(|_| matches!(outcome, Outcome::Unknown(_))));
                match outcome {
                    // Its own write, which was not answered.
                    Outcome::Done(Written::Duplicate) if id.is_some_and(|id| in_doubt.remove(&id)) => {
                        written[*index] = Some(Written::New);
                    }
                    Outcome::Done(done) => written[*index] = Some(done),
                    Outcome::NotDone(error) if !Retry::may_pass(&error) => return Err(error),
                    Outcome::NotDone(error) | Outcome::Unknown(error) => {
                        again.push(*index);
                        last_error = Some(error);
                    }
                }
            }
        }
        left = again;
        if let Some(error) = last_error {
            tries += 1;
            shared.retry.wait(tries, &error).await;
        }
    }
    let unanswered = || Error::internal("the nearline store answered fewer outcomes than rows");
    written.into_iter().map(|written| written.ok_or_else(unanswered)).collect()
}

fn select(rows: &Rows, wanted: &[usize]) -> Rows {
    let mut selected = Rows::new(rows.shard().clone());
    for row in wanted.iter().filter_map(|index| rows.get(*index)) {
        selected.row(*row.head(), row.alias());
        for (name, text) in row.cells() {
            selected.cell(name, text);
        }
    }
    selected
}
