//! Connections that are lost without a word: nothing comes any more, and nobody closes them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fineo_backend_aws::{Aws, Endpoints, Resource};
use fineo_core::{Clock, Result, Stream, SystemClock, Timestamp, stream::ReadFrom};
use futures::{StreamExt, future::BoxFuture};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::{
    cases::append,
    place::{endpoint, options},
    way,
};

/// Whether what the service says on a connection is kept back.
type IsSilent = Arc<AtomicBool>;

/// The way to a service, on which subscriptions can be made to fall silent.
struct Way {
    url: String,
    subscriptions: Arc<Mutex<Vec<IsSilent>>>,
}

impl Way {
    async fn to(service: &str) -> Self {
        let subscriptions = Arc::<Mutex<Vec<IsSilent>>>::default();
        let all = Arc::clone(&subscriptions);
        let url = way::to(service, move |client, service| carry(client, service, Arc::clone(&all))).await;
        Self { url, subscriptions }
    }

    fn count(&self) -> usize {
        self.subscriptions.lock().unwrap().len()
    }

    /// From now on nothing comes through the subscriptions that there are.
    fn silence(&self) {
        self.subscriptions.lock().unwrap().iter().for_each(|is_silent| is_silent.store(true, Ordering::SeqCst));
    }
}

async fn carry(client: TcpStream, service: TcpStream, subscriptions: Arc<Mutex<Vec<IsSilent>>>) {
    let ((asked, answers), (said, questions)) = (client.into_split(), service.into_split());
    let is_silent = IsSilent::default();
    // Whoever hangs up ends both ways.
    tokio::select! {
        () = ask(asked, questions, Arc::clone(&is_silent), subscriptions) => {}
        () = answer(said, answers, is_silent) => {}
    }
}

async fn ask(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    is_silent: IsSilent,
    subscriptions: Arc<Mutex<Vec<IsSilent>>>,
) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        // A request of a subscription is short: its head comes in one piece.
        if bytes[..count].windows(16).any(|word| word == b"SubscribeToShard") {
            subscriptions.lock().unwrap().push(Arc::clone(&is_silent));
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_silent: IsSilent) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if !is_silent.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// A clock by which minutes are short.
#[derive(Debug)]
struct Hasty;

impl Clock for Hasty {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(if wait < Duration::from_secs(60) { wait } else { wait / 100 })
    }
}

/// What is pushed goes on when the connection of a subscription is lost without a word.
pub(crate) async fn subscription() -> Result<()> {
    let way = Way::to(&endpoint("FINEO_TEST_KINESIS_URL")?).await;
    let options = options(Endpoints::default().with_kinesis(&way.url)).with_shards(Some(1));
    let aws = Aws::connect(options.with_fan_out(Some("fineo".to_owned())).with_clock(Arc::new(Hasty))).await?;
    aws.bootstrap(&[Resource::Stream("raw".to_owned())]).await?;
    let stream: Arc<dyn Stream> = aws.stream("raw");
    let mut batches = stream.read(&stream.shards().await?[0].id, ReadFrom::Start);
    let mut seen = 0;
    for round in 0..3 {
        append(&stream, round).await?;
        // Forty entries of each round: the first are polled, the next ones pushed, and who reads is subscribed.
        while seen < 40 * (round + 1) || way.count() == 0 {
            let more = tokio::time::timeout(Duration::from_millis(200), batches.next()).await;
            if let Ok(Some(batch)) = more {
                seen += batch?.len() as u64;
            }
        }
        if round == 1 {
            way.silence();
        }
    }
    // A service may refuse another subscription for as long as it has not missed the first.
    assert!(way.count() >= 2, "{}", way.count());
    Ok(())
}
