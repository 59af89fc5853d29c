//! Shards and entries that are gone before they were read: told by workers and by functions, once (D8, O3).

use std::{collections::HashSet, fmt, sync::Arc};

use async_trait::async_trait;
use fineo_backend_memory::MemoryStream;
use fineo_core::{
    Error, Outcome, Position, Result, SchemaRepo, ShardId, Stream,
    archive::Stage,
    repo::{Keep, Subject, Version},
    stream::{Appended, Delivery, Entry, ReadFrom, Shard, StreamCapabilities},
};
use fineo_ingest::{BatchDriver, Pipeline, PipelineOptions, PipelineParts};
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::watch;

use crate::{
    batches::{edge, everything},
    support::{SOON, World, tenant},
};

/// A stream whose shards expire, as those of a service.
#[derive(Debug)]
struct Expiring {
    inner: MemoryStream,
    gone: watch::Sender<HashSet<ShardId>>,
}

impl Expiring {
    fn new(inner: &MemoryStream) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), gone: watch::Sender::default() })
    }

    fn expire(&self, shard: &ShardId) {
        self.gone.send_modify(|gone| {
            gone.insert(shard.clone());
        });
    }

    fn check(&self, shard: &ShardId) -> Result<()> {
        if self.gone.borrow().contains(shard) { Err(gone(shard)) } else { Ok(()) }
    }
}

fn gone(shard: &ShardId) -> Error {
    Error::not_found("no such shard").with("shard", shard)
}

#[async_trait]
impl Stream for Expiring {
    fn capabilities(&self) -> StreamCapabilities {
        self.inner.capabilities()
    }

    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>> {
        self.inner.append(entries).await
    }

    async fn sync(&self) -> Outcome<()> {
        self.inner.sync().await
    }

    async fn shards(&self) -> Result<Vec<Shard>> {
        let shards = self.inner.shards().await?;
        Ok(shards.into_iter().filter(|shard| self.check(&shard.id).is_ok()).collect())
    }

    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>> {
        let (shard, expired) = (shard.clone(), self.gone.subscribe());
        futures::stream::unfold(Some(self.inner.read(&shard, from)), move |read| {
            let (shard, mut expired) = (shard.clone(), expired.clone());
            async move {
                let mut read = read?;
                tokio::select! {
                    biased;
                    _ = expired.wait_for(|gone| gone.contains(&shard)) => Some((Err(gone(&shard)), None)),
                    next = read.next() => next.map(|next| (next, Some(read))),
                }
            }
        })
        .boxed()
    }

    async fn tail(&self, shard: &ShardId) -> Result<Option<Position>> {
        self.check(shard)?;
        self.inner.tail(shard).await
    }

    async fn trim(&self, shard: &ShardId, through: Position) -> Outcome<()> {
        self.inner.trim(shard, through).await
    }
}

impl fmt::Display for Expiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expiring {}", self.inner)
    }
}

fn parts(world: &World, raw: &Arc<Expiring>) -> PipelineParts {
    PipelineParts { raw: Arc::clone(raw) as _, ..world.parts() }
}

async fn start(world: &World, raw: &Arc<Expiring>) -> Pipeline {
    let mut options = PipelineOptions::default().with_retention(None);
    options.shards_every = SOON / 20;
    Pipeline::start(parts(world, raw), options).await.unwrap()
}

fn event(number: usize) -> String {
    format!(r#"{{"metrictype":"m","timestamp":{number}}}"#)
}

/// Many events, so that every open shard has some.
fn events(from: usize) -> Vec<String> {
    (from..from + 20).map(event).collect()
}

async fn send(world: &World, events: &[String]) {
    let edge = edge(world);
    for event in events {
        let receipt = edge.ingest(&tenant("acme"), event.clone().into()).await.unwrap();
        assert_eq!(receipt.accepted(), 1);
    }
}

async fn losses(world: &World, shard: &ShardId) -> Vec<serde_json::Value> {
    let subject = Subject::system(&format!("loss/main/raw/{shard}"), Keep::History).unwrap();
    let kept = world.repo.history(&subject, Version::NONE.next(), 10).await.unwrap();
    kept.iter().map(|kept| serde_json::from_slice(&kept.body).unwrap()).collect()
}

/// Its only shard, up to where that was passed on, and that it was split and expired since.
async fn split_and_expired(world: &World, raw: &Expiring, send_before: bool) -> (ShardId, Position) {
    let (shard, read) = everything(&world.raw).await;
    if send_before {
        send(world, &[event(2)]).await;
    }
    world.raw.split_shard(&shard).unwrap();
    send(world, &events(100)).await;
    raw.expire(&shard);
    (shard, read.last().unwrap().position)
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_expired_unread_is_a_loss_and_what_came_of_it_goes_on() {
    let world = World::new();
    let raw = Expiring::new(&world.raw);
    send(&world, &[event(1)]).await;
    let pipeline = start(&world, &raw).await;
    pipeline.drain(SOON).await.unwrap();
    pipeline.stop().await.unwrap();
    let (shard, read) = split_and_expired(&world, &raw, true).await;
    for noted in [1, 0] {
        let pipeline = start(&world, &raw).await;
        pipeline.drain(SOON).await.unwrap();
        assert_eq!(pipeline.status().await.unwrap().losses, noted);
        pipeline.stop().await.unwrap();
        assert_eq!(world.rows("acme", "n1", &[]).await.len(), 21);
        let losses = losses(&world, &shard).await;
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0]["after"].as_str(), Some(&*read.to_string()));
        assert_eq!(losses[0]["reason"], "the shard was gone before it was read to its end");
    }
}

#[tokio::test(start_paused = true)]
async fn so_is_one_whose_children_were_never_read_and_expired_too() {
    let world = World::new();
    let raw = Expiring::new(&world.raw);
    send(&world, &[event(1)]).await;
    let pipeline = start(&world, &raw).await;
    pipeline.drain(SOON).await.unwrap();
    pipeline.stop().await.unwrap();
    let (shard, _) = split_and_expired(&world, &raw, true).await;
    let children = raw.shards().await.unwrap();
    let merged = world.raw.merge_shards(&children[0].id, &children[1].id).unwrap();
    send(&world, &[event(3)]).await;
    children.iter().for_each(|child| raw.expire(&child.id));
    let pipeline = start(&world, &raw).await;
    pipeline.drain(SOON).await.unwrap();
    pipeline.stop().await.unwrap();
    assert_eq!(world.rows("acme", "n1", &[]).await, ["1000 m", "3000 m"]);
    for lost in [&shard, &children[0].id, &children[1].id] {
        assert_eq!(losses(&world, lost).await.len(), 1, "{lost}");
    }
    assert!(losses(&world, &merged).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_was_read_to_its_end_or_is_older_than_the_pipeline_is_none() {
    for is_read in [true, false] {
        let world = World::new();
        let raw = Expiring::new(&world.raw);
        send(&world, &[event(1)]).await;
        if is_read {
            let pipeline = start(&world, &raw).await;
            world.raw.split_shard(&ShardId::new("s0").unwrap()).unwrap();
            send(&world, &events(100)).await;
            pipeline.drain(SOON).await.unwrap();
            pipeline.stop().await.unwrap();
            raw.expire(&ShardId::new("s0").unwrap());
        } else {
            split_and_expired(&world, &raw, false).await;
        }
        for _ in 0..2 {
            let pipeline = start(&world, &raw).await;
            pipeline.drain(SOON).await.unwrap();
            assert_eq!(pipeline.status().await.unwrap().losses, 0, "{is_read}");
            pipeline.stop().await.unwrap();
        }
        assert!(losses(&world, &ShardId::new("s0").unwrap()).await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_shard_expires_ends_with_a_loss() {
    let world = World::new();
    let raw = Expiring::new(&world.raw);
    send(&world, &[event(1)]).await;
    let pipeline = start(&world, &raw).await;
    pipeline.drain(SOON).await.unwrap();
    let shard = ShardId::new("s0").unwrap();
    raw.expire(&shard);
    // The worker meets it, looks again a second later, and ends.
    let lost = async {
        while losses(&world, &shard).await.is_empty() {
            tokio::task::yield_now().await;
            world.parts().clock.sleep(SOON / 10).await;
        }
    };
    tokio::time::timeout(SOON, lost).await.unwrap();
    assert_eq!(pipeline.status().await.unwrap().losses, 1);
    pipeline.stop().await.unwrap();
}

#[tokio::test]
async fn a_gap_before_a_batch_that_a_mapping_delivers_is_a_loss() {
    let world = World::new();
    send(&world, &[event(1), event(2), event(3), event(4)]).await;
    let (shard, batch) = everything(&world.raw).await;
    let driver = || BatchDriver::new(world.parts(), PipelineOptions::default().with_retention(None), Stage::Raw);
    assert_eq!(driver().pass(&shard, &batch[..2], SOON).await.done, 2);
    assert!(world.raw.trim(&shard, batch[2].position).await.is_done());
    for noted in [1, 0, 0] {
        let driver = driver();
        let report = driver.pass(&shard, &batch[3..], SOON).await;
        assert!(report.done == 1 && report.failure.is_none(), "{report:?}");
        assert_eq!(driver.counters().losses(), noted);
    }
    let losses = losses(&world, &shard).await;
    assert_eq!(losses.len(), 1);
    assert_eq!(losses[0]["after"].as_str(), Some(&*batch[1].position.to_string()));
    assert_eq!(losses[0]["before"].as_str(), Some(&*batch[3].position.to_string()));
}

#[tokio::test]
async fn a_shard_that_functions_read_to_its_end_is_none_however_late_its_children_come() {
    let world = World::new();
    let raw = Expiring::new(&world.raw);
    send(&world, &[event(1)]).await;
    let driver = || BatchDriver::new(parts(&world, &raw), PipelineOptions::default().with_retention(None), Stage::Raw);
    let (parent, batch) = everything(&world.raw).await;
    assert_eq!(driver().pass(&parent, &batch, SOON).await.done, 1);
    world.raw.split_shard(&parent).unwrap();
    send(&world, &events(100)).await;
    let children = raw.shards().await.unwrap().split_off(1);
    for child in children {
        let first = raw.read(&child.id, ReadFrom::Start).next().await.unwrap().unwrap();
        let report = driver().pass(&child.id, &first, SOON).await;
        assert!(report.failure.is_none(), "{report:?}");
        // The second one gets its first when the parent is no longer known.
        raw.expire(&parent);
    }
    let pipeline = start(&world, &raw).await;
    assert_eq!(pipeline.status().await.unwrap().losses, 0);
    pipeline.stop().await.unwrap();
    assert!(losses(&world, &parent).await.is_empty());
}

#[tokio::test]
async fn a_function_that_gets_the_first_of_a_shard_tells_what_was_lost_of_its_parent() {
    let world = World::new();
    let raw = Expiring::new(&world.raw);
    send(&world, &[event(1)]).await;
    let driver = || BatchDriver::new(parts(&world, &raw), PipelineOptions::default().with_retention(None), Stage::Raw);
    let (parent, batch) = everything(&world.raw).await;
    assert_eq!(driver().pass(&parent, &batch, SOON).await.done, 1);
    split_and_expired(&world, &raw, true).await;
    for child in raw.shards().await.unwrap() {
        let first = raw.read(&child.id, ReadFrom::Start).next().await.unwrap().unwrap();
        let report = driver().pass(&child.id, &first, SOON).await;
        assert!(report.failure.is_none(), "{report:?}");
    }
    assert_eq!(losses(&world, &parent).await.len(), 1);
}
