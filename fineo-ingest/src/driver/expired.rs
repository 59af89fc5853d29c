//! Shards that are no longer there: what nobody read of them is lost, and told (D8, O3).

use std::collections::BTreeMap;

use fineo_core::{Position, Result, ShardId, archive::Stage, stream::Shard};

use super::{
    checkpoint::{self, Checkpoint},
    lease::{self, Claim, Claimed, Lease},
    loss::{Loss, note_loss},
    parts::Shared,
};

/// Notes the losses of all shards of `stage` that are not among `listed`, those that there are, and were not read to their end.
///
/// # Errors
///
/// What keeps the checkpoints from being read.
pub(crate) async fn note_expired(shared: &Shared, stage: Stage, listed: &[Shard]) -> Result<()> {
    note(shared, stage, listed, |_| true).await
}

/// The same for the parents of `shard`, of which the first entries are delivered: so its parents were, as far as they are there.
/// Of those that are, notes that they are read to their end, while that can be told.
///
/// # Errors
///
/// As [`note_expired`].
pub(crate) async fn settle_parents(shared: &Shared, stage: Stage, shard: &ShardId, listed: &[Shard]) -> Result<()> {
    let Some(shard) = listed.iter().find(|found| found.id == *shard) else { return Ok(()) };
    for parent in shard.parents.iter().filter(|parent| is_listed(listed, parent)) {
        if let Err(error) = finish(shared, stage, parent).await {
            tracing::warn!(%error, %stage, shard = %parent, "whether a shard was read to its end cannot be told");
        }
    }
    note(shared, stage, listed, |gone| shard.parents.contains(gone)).await
}

async fn note(shared: &Shared, stage: Stage, listed: &[Shard], is_asked: impl Fn(&ShardId) -> bool) -> Result<()> {
    let known = checkpoint::of_stage(&*shared.parts.repo, &shared.options.name, stage).await?;
    for (shard, after) in unread(&known, listed).into_iter().filter(|(shard, _)| is_asked(shard)) {
        tracing::error!(%stage, %shard, "a shard is gone that was not read to its end");
        let reason = "the shard was gone before it was read to its end";
        let loss = Loss { shard: shard.as_str(), after, before: None, reason };
        note_loss(shared, &format!("{stage}/{shard}"), &loss).await?;
    }
    Ok(())
}

fn is_listed(listed: &[Shard], id: &ShardId) -> bool {
    listed.iter().any(|shard| shard.id == *id)
}

/// The shards that are gone unread, each with the last position that was read.
fn unread<'a>(
    known: &'a BTreeMap<ShardId, Checkpoint>,
    listed: &'a [Shard],
) -> BTreeMap<&'a ShardId, Option<Position>> {
    let begun = known.iter().filter(|(shard, checkpoint)| !checkpoint.is_finished && !is_listed(listed, shard));
    let mut unread: BTreeMap<_, _> = begun.map(|(shard, checkpoint)| (shard, checkpoint.position)).collect();
    // A pipeline that is new has nothing to lose of what was gone before it.
    let new = listed.iter().filter(|shard| !known.is_empty() && !known.contains_key(&shard.id));
    let parents = new.flat_map(|shard| &shard.parents);
    let gone = parents.filter(|parent| !known.contains_key(*parent) && !is_listed(listed, parent));
    unread.extend(gone.map(|shard| (shard, None)));
    unread
}

/// Notes that `shard` is read to its end, if its checkpoint is there and nobody else works on it.
async fn finish(shared: &Shared, stage: Stage, shard: &ShardId) -> Result<()> {
    let (parts, name) = (&shared.parts, &shared.options.name);
    let subject = checkpoint::subject(name, stage.as_str(), "stage", shard)?;
    let before = Checkpoint::read(&*parts.repo, subject.clone()).await?;
    if before.is_finished || shared.source(stage).tail_from(shard, before.position).await? != before.position {
        return Ok(());
    }
    let claim = Claim { owner: &shared.owner, hold_for: shared.options.lease_for, at_once: false };
    let subject_of_lease = lease::subject(name, stage.as_str(), shard)?;
    let claimed = Lease::claim(&*parts.repo, subject_of_lease, claim, parts.clock.now()).await?;
    let Claimed::Held(mut lease) = claimed else { return Ok(()) };
    let mut checkpoint = Checkpoint::read(&*parts.repo, subject).await?;
    if checkpoint.position == before.position {
        let position = checkpoint.position;
        checkpoint.advance(&*parts.repo, &mut lease, position, true, &*parts.clock, &shared.retry).await?;
    }
    lease.release(&*parts.repo, parts.clock.now()).await
}
