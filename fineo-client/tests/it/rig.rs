//! A client whose clock only moves when it waits between tries, and events to send.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fineo_client::{
    Client, ClientOptions,
    event::{self, EventValue, EventWriter, FineoEvent, MetricDeclaration},
};
use fineo_core::{Clock, ManualClock, SeededEntropy, Timestamp};
use futures::future::BoxFuture;

use crate::server::{Deed, Server};

/// The time of a call.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(60);

/// A clock on which what is waited for between tries passes at once, and the time of a call when it is told to.
#[derive(Debug)]
pub(crate) struct TestClock {
    pub(crate) manual: ManualClock,
    pub(crate) waits: Mutex<Vec<Duration>>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.manual.now()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        if wait != TIME_MAX {
            self.waits.lock().unwrap().push(wait);
            self.manual.advance(wait);
            return Box::pin(async {});
        }
        self.manual.sleep(wait)
    }
}

/// A server that does as it is told, and a client of it.
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) clock: Arc<TestClock>,
}

impl Rig {
    pub(crate) async fn new(deeds: impl IntoIterator<Item = Deed>) -> Self {
        Self::with_options(deeds, |options| options).await
    }

    pub(crate) async fn with_options(
        deeds: impl IntoIterator<Item = Deed>,
        change: impl FnOnce(ClientOptions) -> ClientOptions,
    ) -> Self {
        let server = Server::new(deeds).await;
        let clock = Arc::new(TestClock {
            manual: ManualClock::new(Timestamp::saturating_from_micros(0)),
            waits: Mutex::default(),
        });
        let client = client(&format!("http://{}", server.address), &clock, change);
        Self { server, client, clock }
    }

    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.clock.waits.lock().unwrap().clone()
    }

    /// Asks for numbers.
    pub(crate) async fn ask(&self) -> fineo_core::Result<Vec<Row>> {
        self.client.query("SELECT n FROM t").rows().await
    }
}

pub(crate) fn client(url: &str, clock: &Arc<TestClock>, change: impl FnOnce(ClientOptions) -> ClientOptions) -> Client {
    let options = ClientOptions::default()
        .with_time_max(TIME_MAX)
        .with_clock(Arc::clone(clock) as Arc<dyn Clock>)
        .with_entropy(Arc::new(SeededEntropy::new(7)));
    Client::with_options(url, "secret", change(options)).unwrap()
}

#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Row {
    pub(crate) n: u64,
}

/// An answer to a question.
pub(crate) fn rows() -> Deed {
    Deed::Answer(200, "", r#"{"columns":["n"],"rows":[{"n":3}]}"#.to_owned())
}

/// A problem.
pub(crate) fn problem(status: u16, headers: &'static str, code: &str) -> Deed {
    let body =
        format!(r#"{{"code":"{code}","detail":"no","status":{status},"hint":"look","position":"line 1, column 15"}}"#);
    Deed::Answer(status, headers, body)
}

/// An answer about events: `a`ccepted, `r`ejected or `f`ailed, each.
pub(crate) fn told(outcomes: &str, token: &str) -> String {
    let result = |outcome| match outcome {
        'a' => r#"{"status":"accepted"}"#,
        'r' => r#"{"status":"rejected","code":"bad_utf8","message":"no UTF-8"}"#,
        _ => r#"{"status":"failed","code":"unavailable","message":"not now"}"#,
    };
    let results: Vec<&str> = outcomes.chars().map(result).collect();
    let count = |wanted| outcomes.chars().filter(|outcome| *outcome == wanted).count();
    format!(
        r#"{{"ack":"accepted","durability":"power_loss","token":"{token}","accepted":{},"rejected":{},"failed":{},"results":[{}]}}"#,
        count('a'),
        count('r'),
        count('f'),
        results.join(",")
    )
}

pub(crate) fn accepted(outcomes: &str, token: &str) -> Deed {
    Deed::Answer(202, "", told(outcomes, token))
}

/// An event.
pub(crate) struct Door(pub(crate) usize);

impl FineoEvent for Door {
    const METRIC: &'static str = "door";

    fn declaration() -> MetricDeclaration {
        event::declared(&[], vec![event::field("n", i64::FIELD_TYPE, &[], None)])
    }

    fn write(&self, event: &mut EventWriter) {
        event.value("n", &(self.0 as i64));
    }
}

pub(crate) fn doors(count: usize) -> Vec<Door> {
    (0..count).map(Door).collect()
}
