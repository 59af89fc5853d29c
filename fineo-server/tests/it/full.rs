//! A store that has no room for more events: who sends them hears that they were not taken, and may be sent again.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow_flight::sql::CommandStatementIngest;
use async_trait::async_trait;
use fineo::{
    Error, ErrorKind, Fineo, Parts, Result, Stream,
    core::{
        Outcome, Position, ShardId, SystemClock,
        stream::{Appended, Delivery, Entry, ReadFrom, Shard, StreamCapabilities},
    },
};
use fineo_server::DoorLimits;
use futures::stream::BoxStream;

use crate::{
    desk::Desk,
    flight::{acme, texts},
    rig::Rig,
};

const EVENT: &str = r#"{"metrictype":"m","timestamp":1}"#;

/// A stream that takes nothing while it is full.
#[derive(Debug)]
struct Bounded {
    inner: Arc<dyn Stream>,
    is_full: Arc<AtomicBool>,
}

impl fmt::Display for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Stream for Bounded {
    fn capabilities(&self) -> StreamCapabilities {
        self.inner.capabilities()
    }

    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>> {
        if self.is_full.load(Ordering::Relaxed) {
            let full = || Outcome::NotDone(Error::new(ErrorKind::StorageFull, "no space left").with("path", "/srv"));
            return entries.iter().map(|_| full()).collect();
        }
        self.inner.append(entries).await
    }

    async fn sync(&self) -> Outcome<()> {
        self.inner.sync().await
    }

    async fn shards(&self) -> Result<Vec<Shard>> {
        self.inner.shards().await
    }

    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>> {
        self.inner.read(shard, from)
    }

    async fn tail(&self, shard: &ShardId) -> Result<Option<Position>> {
        self.inner.tail(shard).await
    }

    async fn trim(&self, shard: &ShardId, through: Position) -> Outcome<()> {
        self.inner.trim(shard, through).await
    }
}

/// An instance, and what makes its store full.
async fn bounded() -> (Fineo, Arc<AtomicBool>) {
    let is_full = Arc::new(AtomicBool::new(false));
    let parts = Fineo::memory().open().await.unwrap().parts().clone();
    let raw = Arc::new(Bounded { inner: Arc::clone(&parts.raw), is_full: Arc::clone(&is_full) });
    (Fineo::with_parts(Parts { raw, ..parts }).open().await.unwrap(), is_full)
}

#[tokio::test]
async fn events_that_the_store_has_no_room_for_have_failed_and_the_status_says_so() {
    // D6
    let (fineo, is_full) = bounded().await;
    let rig = Rig::over(fineo, Arc::new(SystemClock)).await;
    let acme = rig.caller("acme").await;
    assert_eq!(acme.post("/v1/events", EVENT).await.status, 202);
    is_full.store(true, Ordering::Relaxed);
    let told = acme.post("/v1/events", format!("{EVENT}\n{EVENT}\n")).await;
    assert_eq!(told.status, 507, "{told:?}");
    let json = told.json();
    let counts = ["accepted", "rejected", "failed"].map(|name| json[name].as_u64().unwrap());
    assert_eq!(counts, [0, 0, 2], "{json}");
    let [status, code] = ["status", "code"].map(|name| json["results"][1][name].as_str().unwrap());
    assert_eq!((status, code), ("failed", "storage_full"), "{json}");
    let long = format!("{{\"metrictype\":\"m\",\"timestamp\":1,\"text\":\"{}\"}}\n", "x".repeat(1 << 10)).repeat(4_000);
    let told = acme.post("/v1/events", long).await;
    assert_eq!(told.problem(), (507, "storage_full".to_owned()));
    let failed = told.json()["taken"]["failed"].as_u64().unwrap();
    assert!((1..4_000).contains(&failed), "{failed}: the rest is not read");
    let batch = acme.post("/v1/batches", EVENT).await;
    assert_eq!(batch.problem(), (507, "storage_full".to_owned()));
    assert!(!batch.text().contains("/srv"), "{batch:?}");
    is_full.store(false, Ordering::Relaxed);
    assert_eq!(acme.post("/v1/events", EVENT).await.status, 202);
    assert_eq!(acme.post("/v1/batches", EVENT).await.status, 202);
}

#[tokio::test]
async fn rows_that_the_store_has_no_room_for_are_no_wrong_arguments() {
    // D6
    let (fineo, is_full) = bounded().await;
    let desk = Desk::over(fineo, DoorLimits::default()).await;
    let mut client = acme(&desk).await;
    let tank = || CommandStatementIngest { table: "tank".to_owned(), ..CommandStatementIngest::default() };
    is_full.store(true, Ordering::Relaxed);
    let told = client.execute_ingest(tank(), futures::stream::iter([Ok(texts(3, 10))])).await.unwrap_err();
    let told = told.to_string().to_lowercase();
    assert!(told.contains("exhausted") && told.contains("storage_full"), "{told}");
    is_full.store(false, Ordering::Relaxed);
    assert_eq!(client.execute_ingest(tank(), futures::stream::iter([Ok(texts(3, 10))])).await.unwrap(), 3);
}
