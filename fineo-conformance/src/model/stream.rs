//! A stream against lists of entries.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use fineo_core::{
    Position, Result, ShardId, Stream, TenantId,
    stream::{Entry, ReadFrom},
};
use futures::StreamExt;

use super::{STEPS, Trace, seeds};
use crate::{
    Case, Place, Restart, Verdict,
    case::cases,
    support::{append, filler, read_to_tail, tenant},
};

pub(crate) const CASES: &[Case] = cases! { Stream:
    0 "random operations agree with a model" agrees,
};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    position: Position,
    tenant: TenantId,
    payload: Bytes,
    is_synced: bool,
}

#[derive(Default)]
struct Model {
    shards: BTreeMap<ShardId, Vec<Known>>,
    trimmed: BTreeMap<ShardId, Position>,
    given: BTreeSet<(ShardId, Position)>,
}

#[derive(Debug)]
enum Operation {
    Append(u64),
    Sync,
    Read(ShardId, ReadFrom),
    Trim(ShardId, Position),
    Restart(Restart),
}

async fn agrees(mut place: Box<dyn Place>) -> Result<Verdict> {
    // One place for all seeds: what an earlier seed left is a start like any other.
    let mut model = Model::default();
    for seed in seeds() {
        let mut trace = Trace::new(seed);
        for _ in 0..STEPS {
            let operation = choose(&mut trace, &model, place.stream().await?.capabilities().can_trim);
            trace.say(&operation);
            step(&mut trace, &mut model, &mut place, operation).await?;
        }
        trace.done();
    }
    Ok(Verdict::Passed)
}

fn choose(trace: &mut Trace, model: &Model, can_trim: bool) -> Operation {
    let shards: Vec<&ShardId> = model.shards.keys().collect();
    if shards.is_empty() {
        return Operation::Append(5);
    }
    let shard = shards[trace.index(shards.len())].clone();
    let known = &model.shards[&shard];
    let position = known.get(trace.index(known.len())).map_or(Position::ZERO, |known| known.position);
    match trace.below(20) {
        0..8 => Operation::Append(1 + trace.below(6)),
        8..10 => Operation::Sync,
        10..12 => Operation::Read(shard, ReadFrom::Start),
        12..17 => Operation::Read(shard, ReadFrom::After(position)),
        17 if can_trim => Operation::Trim(shard, position),
        18 => Operation::Restart(Restart::Clean),
        _ => Operation::Restart(Restart::Crash),
    }
}

async fn step(trace: &mut Trace, model: &mut Model, place: &mut Box<dyn Place>, operation: Operation) -> Result<()> {
    let stream = place.stream().await?;
    match operation {
        Operation::Append(count) => {
            let entries = (0..count).map(|_| random_entry(trace)).collect();
            append_both(model, &stream, entries).await
        }
        Operation::Sync => {
            stream.sync().await.into_result()?;
            model.shards.values_mut().flatten().for_each(|known| known.is_synced = true);
            Ok(())
        }
        Operation::Read(shard, from) => read_both(model, &stream, &shard, from).await,
        Operation::Trim(shard, position) => {
            stream.trim(&shard, position).await.into_result()?;
            let trimmed = model.trimmed.entry(shard).or_default();
            *trimmed = position.max(*trimmed);
            Ok(())
        }
        Operation::Restart(how) => {
            drop(stream);
            if place.restart(how).await? {
                restarted(model, &place.stream().await?, how).await?;
            }
            Ok(())
        }
    }
}

fn random_entry(trace: &mut Trace) -> Entry {
    let tenant = tenant(["acme", "b", "b.c"][trace.index(3)]);
    let len = if trace.one_in(20) { 100_000 } else { trace.index(40) };
    Entry { tenant, key: trace.below(9), payload: filler(len).into() }
}

async fn append_both(model: &mut Model, stream: &Arc<dyn Stream>, entries: Vec<Entry>) -> Result<()> {
    let appended = append(stream, entries.clone()).await?;
    for (entry, appended) in entries.into_iter().zip(appended) {
        let is_new = model.given.insert((appended.shard.clone(), appended.position));
        assert!(is_new, "a position was given twice");
        let known = model.shards.entry(appended.shard).or_default();
        assert!(known.last().is_none_or(|last| last.position < appended.position), "positions went back");
        let Entry { tenant, payload, .. } = entry;
        known.push(Known { position: appended.position, tenant, payload, is_synced: false });
    }
    Ok(())
}

async fn read_both(model: &Model, stream: &Arc<dyn Stream>, shard: &ShardId, from: ReadFrom) -> Result<()> {
    let trimmed = model.trimmed.get(shard).copied().unwrap_or_default();
    let behind = match from {
        ReadFrom::Start => Position::ZERO,
        ReadFrom::After(position) => position,
    };
    let known = &model.shards[shard];
    let expected: Vec<&Known> = known.iter().filter(|known| known.position > behind).collect();
    if from != ReadFrom::Start && behind < trimmed && !expected.is_empty() {
        // It may have kept them all; it must not skip any.
        if let Some(Ok(batch)) = stream.read(shard, from).next().await {
            assert_eq!(batch[0].position, expected[0].position, "a read skipped what was trimmed");
        }
        return Ok(());
    }
    let found = read_to_tail(stream, shard, from).await?;
    let left = expected.iter().filter(|known| known.position > trimmed).count();
    assert!((left..=expected.len()).contains(&found.len()), "{} of {left} entries", found.len());
    for (found, expected) in found.iter().rev().zip(expected.iter().rev()) {
        assert_eq!(found.position, expected.position);
        assert_eq!(found.tenant, expected.tenant);
        assert!(found.payload == expected.payload, "a payload was changed");
    }
    Ok(())
}

async fn restarted(model: &mut Model, stream: &Arc<dyn Stream>, how: Restart) -> Result<()> {
    for (shard, known) in &mut model.shards {
        let trimmed = model.trimmed.get(shard).copied().unwrap_or_default();
        let found = read_to_tail(stream, shard, ReadFrom::Start).await?;
        let there: BTreeSet<Position> = found.iter().map(|delivery| delivery.position).collect();
        let must_be = |known: &&Known| known.position > trimmed && (known.is_synced || how == Restart::Clean);
        for known in known.iter().filter(must_be) {
            assert!(there.contains(&known.position), "an entry is missing after the restart");
        }
        assert!(there.iter().all(|there| known.iter().any(|known| known.position == *there)), "an entry was made up");
        known.retain(|known| there.contains(&known.position) || known.position <= trimmed);
    }
    Ok(())
}
