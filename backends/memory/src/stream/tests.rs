//! What only the stream in memory has: splits, merges and crashes.

use fineo_core::{
    Position, ShardId, Stream, TenantId,
    stream::{Entry, ReadFrom},
};
use futures::StreamExt;

use super::MemoryStream;

fn entries(payloads: &[&'static str]) -> Vec<Entry> {
    let tenant = TenantId::new("acme").unwrap();
    payloads.iter().map(|payload| Entry { tenant: tenant.clone(), key: 1, payload: (*payload).into() }).collect()
}

async fn append(stream: &MemoryStream, payloads: &[&'static str]) -> Vec<(ShardId, Position)> {
    let outcomes = stream.append(entries(payloads)).await;
    let appended = outcomes.into_iter().map(|outcome| outcome.into_result().unwrap());
    appended.map(|appended| (appended.shard, appended.position)).collect()
}

async fn first_batch(stream: &MemoryStream, shard: &ShardId) -> Vec<String> {
    let batch = stream.read(shard, ReadFrom::Start).next().await.unwrap().unwrap();
    batch.iter().map(|delivery| String::from_utf8(delivery.payload.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn a_crash_takes_what_was_not_synced_and_its_positions_are_not_used_again() {
    let stream = MemoryStream::new("test", 1);
    let kept = append(&stream, &["a"]).await;
    stream.sync().await.into_result().unwrap();
    let lost = append(&stream, &["b", "c"]).await;
    stream.crash();
    assert_eq!(stream.tail(&kept[0].0).await.unwrap(), Some(kept[0].1));
    let later = append(&stream, &["d"]).await;
    assert!(later[0].1 > lost[1].1);
    assert_eq!(first_batch(&stream, &kept[0].0).await, ["a", "d"]);
}

#[tokio::test]
async fn entries_behind_a_position_are_counted() {
    let stream = MemoryStream::new("test", 1);
    let appended = append(&stream, &["a", "b", "c"]).await;
    let (shard, first) = &appended[0];
    for (after, count) in [(None, 3), (Some(*first), 2), (Some(appended[2].1), 0)] {
        assert_eq!(stream.count_after(shard, after).await.unwrap(), Some(count), "behind {after:?}");
    }
    stream.trim(shard, *first).await.into_result().unwrap();
    assert_eq!(stream.count_after(shard, None).await.unwrap(), Some(2));
}

#[tokio::test]
async fn a_crash_before_the_first_sync_leaves_nothing() {
    let stream = MemoryStream::new("test", 1);
    let lost = append(&stream, &["a"]).await;
    stream.crash();
    assert_eq!(stream.tail(&lost[0].0).await.unwrap(), None);
}

#[tokio::test]
async fn a_split_ends_the_parent_and_its_children_take_over_its_keys() {
    let stream = MemoryStream::new("test", 1);
    let parent = append(&stream, &["a"]).await[0].0.clone();
    let children = stream.split_shard(&parent).unwrap();
    let child = append(&stream, &["b"]).await[0].0.clone();
    assert!(children.contains(&child));
    let batches: Vec<_> = stream.read(&parent, ReadFrom::Start).collect().await;
    assert_eq!(batches.len(), 1);
    let shards = stream.shards().await.unwrap();
    assert!(shards[0].is_closed);
    assert_eq!(shards[1].parents, std::slice::from_ref(&parent));
    assert!(stream.split_shard(&parent).is_err());
}

#[tokio::test]
async fn a_merge_takes_over_the_keys_of_two_neighbours() {
    let stream = MemoryStream::new("test", 2);
    let shards = stream.shards().await.unwrap();
    assert!(stream.merge_shards(&shards[1].id, &shards[0].id).is_err());
    let child = stream.merge_shards(&shards[0].id, &shards[1].id).unwrap();
    assert_eq!(append(&stream, &["a"]).await[0].0, child);
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_the_end_of_its_shard() {
    let stream = MemoryStream::new("test", 1);
    let shard = ShardId::new("s0").unwrap();
    let mut reader = stream.read(&shard, ReadFrom::Start);
    assert!(futures::poll!(reader.next()).is_pending());
    stream.close_shard(&shard).unwrap();
    assert!(reader.next().await.is_none());
    let outcomes = stream.append(entries(&["a"])).await;
    assert!(!outcomes[0].is_done());
}

#[tokio::test]
async fn small_keys_reach_every_shard() {
    let stream = MemoryStream::new("test", 4);
    let tenant = TenantId::new("acme").unwrap();
    let entries = (0..64).map(|key| Entry { tenant: tenant.clone(), key, payload: "x".into() }).collect();
    stream.append(entries).await;
    for shard in stream.shards().await.unwrap() {
        assert!(stream.tail(&shard.id).await.unwrap().is_some(), "{}", shard.id);
    }
}
