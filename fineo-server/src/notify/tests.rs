//! A webhook that fails for a while, and what it gets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    routing::{get, post},
};
use fineo::{
    Fineo, SchemaRepo,
    compact::{FailedTenant, Notifier},
    core::{ManualClock, SystemEntropy, Timestamp},
};
use serde_json::{Value, json};

use super::{Notice, Notices, Recipient, keep_telling, tell_rejected};
use crate::{Credentials, DoorLimits, NotifyConfig, Shared, Shutdown};

/// What a webhook answers next, and what it got.
#[derive(Debug, Clone, Default)]
struct Hook(Arc<Mutex<(Vec<u16>, Vec<Value>)>>);

impl Hook {
    async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notices?secret=x", listener.local_addr().unwrap());
        let elsewhere = get(async || "a login page");
        let routes =
            Router::new().route("/notices", post(take)).route("/elsewhere", elsewhere).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    fn got(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    fn fails(&self, status: u16) {
        self.0.lock().unwrap().0.push(status);
    }
}

async fn take(State(hook): State<Hook>, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap) {
    assert_eq!(headers["authorization"], "Bearer token");
    let mut state = hook.0.lock().unwrap();
    state.1.push(serde_json::from_slice(&body).unwrap());
    let status = state.0.pop().map_or(StatusCode::NO_CONTENT, |status| StatusCode::from_u16(status).unwrap());
    (status, HeaderMap::from_iter([(LOCATION, "/elsewhere".parse().unwrap())]))
}

struct Desk {
    hook: Hook,
    clock: Arc<ManualClock>,
    repo: Arc<dyn SchemaRepo>,
    config: NotifyConfig,
}

impl Desk {
    async fn new() -> Self {
        let hook = Hook::default();
        let url = Some(hook.listen().await);
        let config =
            NotifyConfig { tenant_url: url.clone(), operator_url: url, bearer_token: Some("token".to_owned()) };
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_000_000).unwrap()));
        Self { hook, clock, repo: Arc::new(fineo::memory::MemoryRepo::new()), config }
    }

    /// As after a restart: nothing in memory.
    fn notices(&self) -> Notices {
        Notices::new(Arc::clone(&self.repo), self.clock.clone(), self.config.clone()).unwrap().unwrap()
    }
}

fn failed(error: &str) -> FailedTenant {
    FailedTenant { tenant: "acme".to_owned(), metric: None, error: error.to_owned() }
}

#[tokio::test]
async fn a_notice_is_sent_until_it_is_taken_and_then_not_again_for_an_hour() {
    let desk = Desk::new().await;
    desk.notices().commit_failed(&failed("disk")).await.unwrap();
    // The same while it waits is no second one.
    desk.notices().commit_failed(&failed("disk")).await.unwrap();
    desk.hook.fails(500);
    desk.hook.fails(302);
    assert_eq!(desk.notices().send_due().await.unwrap(), 0);
    assert_eq!(desk.notices().send_due().await.unwrap(), 0);
    assert_eq!(desk.hook.got().len(), 1, "it waits for its turn");
    desk.clock.advance(Duration::from_secs(2));
    assert_eq!(desk.notices().send_due().await.unwrap(), 0);
    desk.clock.advance(Duration::from_secs(4));
    assert_eq!(desk.notices().send_due().await.unwrap(), 1);
    let got = desk.hook.got();
    assert_eq!(got.len(), 2);
    assert_eq!(got[1]["kind"], "commit_failed");
    assert_eq!((&got[1]["tenant"], &got[1]["detail"]), (&json!("acme"), &json!({ "error": "disk" })));

    desk.notices().commit_failed(&failed("disk")).await.unwrap();
    desk.notices().commit_failed(&failed("memory")).await.unwrap();
    assert_eq!(desk.notices().send_due().await.unwrap(), 1, "another reason is news");
    desk.clock.advance(Duration::from_secs(3601));
    desk.notices().commit_failed(&failed("disk")).await.unwrap();
    assert_eq!(desk.notices().send_due().await.unwrap(), 1, "and so is one that lasts");
}

#[tokio::test]
async fn metrics_that_fail_with_the_same_words_are_told_one_by_one() {
    let desk = Desk::new().await;
    for metric in [None, Some("n1"), Some("n2"), Some("n1")] {
        let failed = FailedTenant { metric: metric.map(str::to_owned), ..failed("disk") };
        desk.notices().commit_failed(&failed).await.unwrap();
    }
    assert_eq!(desk.notices().send_due().await.unwrap(), 3);
    let got: Vec<Value> = desk.hook.got().into_iter().map(|got| got["detail"]["metric"].clone()).collect();
    assert_eq!(got, [Value::Null, json!("n1"), json!("n2")]);
}

// B1
#[tokio::test]
async fn news_of_thousands_of_names_wait_in_little_room_and_say_how_many_there_are() {
    let desk = Desk::new().await;
    desk.hook.fails(500);
    for number in 0..40 {
        let name = |name: u32| {
            json!({ "name": format!("{number}-{name}-{}", "x".repeat(5_000)), "is_declared": false,
            "type": "long", "records": 1, "of_records": 1 })
        };
        let metric = json!({ "id": "n1", "metric": "m", "rows_in": 1, "rows_out": 1, "rows_rewritten": 0, "duplicates": 0,
            "bytes_in": 1, "bytes_out": 1, "files_added": 1, "files_removed": 0, "conflicts": [],
            "new_names": (0..200).map(name).collect::<Vec<_>>() });
        let report = json!({ "tenant": "acme", "metrics": [metric], "unreadable": 0, "retired": 0 });
        desk.notices().schema_news(&serde_json::from_value(report).unwrap()).await.unwrap();
    }
    let kept = desk.repo.latest(&super::subject().unwrap()).await.unwrap().unwrap().body.len();
    assert!(kept < 1 << 20, "{kept} bytes");
    desk.notices().send_due().await.unwrap();
    let detail = &desk.hook.got()[0]["detail"];
    assert_eq!(detail["metrics"][0]["new_names"].as_array().unwrap().len(), 2);
    assert_eq!(detail["more"], 198);
}

#[tokio::test]
async fn the_oldest_notices_give_way_to_new_ones_before_the_repository_takes_no_more() {
    let desk = Desk::new().await;
    for number in 0..12 {
        desk.notices().commit_failed(&failed(&format!("{number} {}", "x".repeat(1 << 20)))).await.unwrap();
    }
    assert_eq!(desk.notices().send_due().await.unwrap(), 7);
    let got = desk.hook.got();
    let errors = got.iter().map(|got| got["detail"]["error"].as_str().unwrap().split(' ').next().unwrap());
    assert_eq!(errors.collect::<Vec<_>>(), ["5", "6", "7", "8", "9", "10", "11"]);
}

#[tokio::test]
async fn what_the_configuration_keeps_to_itself_is_not_shown() {
    let shown = format!("{:?}", Desk::new().await.config);
    assert_eq!(
        shown,
        r#"NotifyConfig { tenant_url: Some("set"), operator_url: Some("set"), bearer_token: Some("set") }"#
    );
}

// A login page answers everybody with 200.
#[tokio::test]
async fn a_webhook_that_sends_elsewhere_has_not_taken_the_notice() {
    let desk = Desk::new().await;
    desk.notices().commit_failed(&failed("disk")).await.unwrap();
    desk.hook.fails(302);
    assert_eq!(desk.notices().send_due().await.unwrap(), 0);
    assert_eq!(desk.hook.got().len(), 1);
    desk.clock.advance(Duration::from_secs(2));
    assert_eq!(desk.notices().send_due().await.unwrap(), 1);
}

#[tokio::test]
async fn what_a_tenant_sent_wrong_and_what_is_new_goes_to_the_tenant() {
    let desk = Desk::new().await;
    let fineo = Fineo::memory().open().await.unwrap();
    let acme = fineo::TenantId::new("acme").unwrap();
    let receipt = fineo.ingest(&acme, r#"{"metrictype":"m","temp":1}{"metrictype":"m","timestamp":1,"temp":2}"#).await;
    fineo.wait_until_queryable(&receipt.unwrap()).await.unwrap();
    let mut told = std::collections::BTreeMap::new();
    for _ in 0..2 {
        tell_rejected(&desk.notices(), &fineo, &mut told).await.unwrap();
    }
    desk.notices().send_due().await.unwrap();
    let got = desk.hook.got();
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!(
        (&got[0]["kind"], &got[0]["detail"]["by_code"]),
        (&json!("malformed"), &json!({ "timestamp_missing": 1 }))
    );
}

#[tokio::test]
async fn what_was_rejected_right_before_a_stop_is_told_after_the_restart() {
    let desk = Desk::new().await;
    let fineo = Arc::new(Fineo::memory().open().await.unwrap());
    let repo = Arc::clone(&fineo.parts().repo);
    // Nobody lets the time go on, so that there is no look but the last.
    let credentials = Credentials::open(repo, desk.clock.clone(), Arc::new(SystemEntropy::new())).await.unwrap();
    let shared = Shared::new(Arc::clone(&fineo), Arc::new(credentials), DoorLimits::default(), None);
    let shutdown = Shutdown::new();
    let mut telling = Box::pin(keep_telling(desk.notices(), shared, shutdown.clone()));
    assert!(futures::poll!(&mut telling).is_pending());
    let acme = fineo::TenantId::new("acme").unwrap();
    let receipt = fineo.ingest(&acme, r#"{"metrictype":"m","temp":1}"#).await.unwrap();
    fineo.wait_until_queryable(&receipt).await.unwrap();
    shutdown.request();
    telling.await.unwrap();
    assert_eq!(desk.notices().send_due().await.unwrap(), 1);
    assert_eq!(desk.hook.got()[0]["kind"], "malformed");
}

#[tokio::test]
async fn who_is_nowhere_is_told_nothing() {
    let desk = Desk::new().await;
    let nowhere = NotifyConfig::default();
    assert!(Notices::new(Arc::clone(&desk.repo), desk.clock.clone(), nowhere).unwrap().is_none());
    let config = NotifyConfig { operator_url: None, ..desk.config.clone() };
    let notices = Notices::new(Arc::clone(&desk.repo), desk.clock.clone(), config).unwrap().unwrap();
    notices.add(Notice::new(Recipient::Operator, "commit_failed", "acme", &json!(1))).await.unwrap();
    assert_eq!(notices.send_due().await.unwrap(), 0);
    assert!(desk.hook.got().is_empty());
}
