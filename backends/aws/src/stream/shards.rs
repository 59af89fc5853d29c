//! The shards of a stream, parents before children.

use std::collections::BTreeSet;

use aws_sdk_kinesis::types::Shard as Found;
use fineo_core::{Result, ShardId, stream::Shard};

use super::KinesisStream;
use crate::failure;

/// Lists every shard that the service still knows.
pub(super) async fn list(stream: &KinesisStream) -> Result<Vec<Shard>> {
    let mut found = Vec::new();
    let mut next: Option<String> = None;
    loop {
        // A token stands for the stream and must come alone.
        let name = next.is_none().then(|| stream.name().to_owned());
        let call = stream.clients.kinesis.list_shards().set_stream_name(name).set_next_token(next);
        let answer = call.send().await.map_err(|error| failure::kinesis(error).with("stream", stream.name()))?;
        found.extend(answer.shards.unwrap_or_default());
        next = answer.next_token;
        if next.is_none() {
            break;
        }
    }
    found.iter().map(describe).collect::<Result<Vec<_>>>().map(parents_first)
}

fn describe(found: &Found) -> Result<Shard> {
    let parents = [found.parent_shard_id(), found.adjacent_parent_shard_id()];
    let parents = parents.into_iter().flatten().map(ShardId::new).collect::<Result<_>>()?;
    let is_closed = found.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_some());
    Ok(Shard { id: ShardId::new(found.shard_id())?, parents, is_closed })
}

/// The shards in an order in which each comes after its parents, as far as they are still there (O3).
pub(super) fn parents_first(mut left: Vec<Shard>) -> Vec<Shard> {
    left.sort_by(|left, right| left.id.cmp(&right.id));
    let there: BTreeSet<ShardId> = left.iter().map(|shard| shard.id.clone()).collect();
    let mut placed: BTreeSet<ShardId> = BTreeSet::new();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_due =
            |shard: &Shard| shard.parents.iter().all(|parent| placed.contains(parent) || !there.contains(parent));
        let (due, rest): (Vec<Shard>, Vec<Shard>) = left.into_iter().partition(is_due);
        if due.is_empty() {
            // A circle of parents cannot be; if it is, its shards are read in any order rather than never.
            ordered.extend(rest);
            break;
        }
        placed.extend(due.iter().map(|shard| shard.id.clone()));
        ordered.extend(due);
        left = rest;
    }
    ordered
}
