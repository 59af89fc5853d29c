//! Several workers on one instance, killed in turn while its shards split and merge.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use fineo::{
    Fineo, TenantId,
    aws::{Aws, AwsOptions},
    core::{Clock, ShardId, SystemClock},
};
use tokio::runtime::{Builder, Runtime};

use super::{counted, events, until};
use crate::support::{aws_options, rows, tenant};

/// While one process is down the others go on within this time.
const GOES_ON_WITHIN: Duration = Duration::from_secs(10);
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const AT_ONCE: u32 = 10;

/// A process: an instance on threads of its own.
struct Worker {
    runtime: Runtime,
    fineo: Arc<Fineo>,
}

impl Worker {
    async fn start(options: &AwsOptions) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let options = options.clone();
        let opened = runtime.spawn(async move { Fineo::aws(options).open().await });
        Self { fineo: Arc::new(opened.await.unwrap().unwrap()), runtime }
    }

    /// Ends wherever it is: nothing is drained, no lease is given back.
    fn kill(self) {
        self.runtime.shutdown_background();
    }
}

/// Sends without a break through whoever is there.
struct Load {
    through: Mutex<Arc<Fineo>>,
    accepted: AtomicU32,
    has_ended: AtomicBool,
}

impl Load {
    async fn run(self: Arc<Self>, tenant: TenantId) {
        while !self.has_ended.load(Ordering::Relaxed) {
            let first = self.accepted.load(Ordering::Relaxed);
            let fineo = Arc::clone(&self.through.lock().unwrap());
            // What a killed process leaves unanswered is sent again: the same bytes are the same events.
            let sent =
                tokio::time::timeout(Duration::from_secs(5), fineo.ingest(&tenant, events(first..first + AT_ONCE)));
            if sent.await.is_ok_and(|sent| sent.is_ok_and(|receipt| receipt.failed().is_empty())) {
                self.accepted.fetch_add(AT_ONCE, Ordering::Relaxed);
            }
            SystemClock.sleep(Duration::from_millis(100)).await;
        }
    }

    /// How long it takes until `fineo` answers all that was accepted by now.
    async fn until_seen(&self, fineo: &Fineo, tenant: &TenantId, within: Duration) -> Duration {
        let accepted = self.accepted.load(Ordering::Relaxed);
        let sql = format!("SELECT count(*) FROM meter WHERE number < {accepted}");
        until(within, async || rows(fineo, tenant, &sql).await == [accepted.to_string()]).await
    }
}

async fn open_shards(fineo: &Fineo) -> Vec<ShardId> {
    let shards = fineo.parts().raw.shards().await.unwrap();
    shards.into_iter().filter(|shard| !shard.is_closed).map(|shard| shard.id).collect()
}

// N3, N6, O3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_on_aws_that_are_killed_in_turn_while_shards_split_lose_and_double_nothing() {
    let Some(options) = aws_options() else { return };
    let options = options.with_poll_every(Duration::from_millis(100));
    let acme = tenant("acme");
    let aws = Aws::connect(options.clone()).await.unwrap();
    let first = Worker::start(&options).await;
    let second = Worker::start(&options).await;
    let declared = r#"{"metrics":{"meter":{"fields":{"number":{"type":"int"}}}}}"#;
    first.fineo.schema(&acme).declare(declared).await.unwrap();
    let (has_ended, accepted) = (AtomicBool::new(false), AtomicU32::new(0));
    let load = Arc::new(Load { through: Mutex::new(Arc::clone(&second.fineo)), accepted, has_ended });
    let sending = tokio::spawn(Arc::clone(&load).run(acme.clone()));
    until(SETTLED_WITHIN, async || load.accepted.load(Ordering::Relaxed) >= 100).await;

    // The first worker has the leases. A shard splits, and it is killed.
    let shards = open_shards(&second.fineo).await;
    aws.split_shard("raw", &shards[0]).await.unwrap();
    first.kill();
    let took = load.until_seen(&second.fineo, &acme, SETTLED_WITHIN).await;
    println!("after a kill while a shard split, the other worker went on within {took:?}");
    assert!(took < GOES_ON_WITHIN, "{took:?}");

    // Another one comes, the children merge, and the worker that has gone on is killed in its turn.
    let third = Worker::start(&options).await;
    let open = open_shards(&third.fineo).await;
    aws.merge_shards("raw", [&open[1], &open[2]]).await.unwrap();
    load.until_seen(&third.fineo, &acme, SETTLED_WITHIN).await;
    *load.through.lock().unwrap() = Arc::clone(&third.fineo);
    second.kill();
    let took = load.until_seen(&third.fineo, &acme, SETTLED_WITHIN).await;
    println!("after a kill under load, the other worker went on within {took:?}");
    assert!(took < GOES_ON_WITHIN, "{took:?}");

    load.has_ended.store(true, Ordering::Relaxed);
    sending.await.unwrap();
    load.until_seen(&third.fineo, &acme, SETTLED_WITHIN).await;
    let accepted = load.accepted.load(Ordering::Relaxed);
    let counts = counted(&third.fineo, &acme).await;
    // What was sent and not answered may be there as well, once.
    let more = accepted + AT_ONCE;
    assert!([format!("{accepted}|{accepted}|0"), format!("{more}|{more}|0")].contains(&counts), "{accepted}: {counts}");
    third.kill();
}
