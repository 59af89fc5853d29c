//! Events are taken in while the body still comes; where it breaks, the answer says what was taken.

use std::{io::Write, ops::Range, time::Duration};

use axum::body::Body;
use fineo::core::{Clock, SystemClock};
use fineo_server::Scope;
use hyper::Method;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use crate::rig::{Answer, Caller, Rig, config};

/// About how long an event is.
const LINE_BYTES: usize = 10_000;
/// More events than one slice holds.
const MANY: u64 = 300;

/// Events, a line each.
fn lines(numbers: Range<u64>) -> String {
    let event = |number| {
        let text = "x".repeat(LINE_BYTES - 50);
        format!("{{\"metrictype\":\"m\",\"timestamp\":{number},\"text\":\"{text}\"}}\n")
    };
    numbers.map(event).collect()
}

/// A request whose body is still being sent: what it is sent through, and its answer to come.
fn upload(caller: &Caller, path: &str) -> (mpsc::Sender<String>, tokio::task::JoinHandle<Answer>) {
    let (sender, receiver) = mpsc::channel::<String>(1);
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        Some((Ok::<_, std::io::Error>(receiver.recv().await?), receiver))
    });
    let (caller, path) = (caller.clone(), path.to_owned());
    let answer = async move { caller.send_body(Method::POST, &path, Body::from_stream(pieces)).await };
    (sender, tokio::spawn(answer))
}

/// What `future` gives, within half a minute.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::select! {
        value = future => value,
        () = SystemClock.sleep(Duration::from_secs(30)) => panic!("not within half a minute"),
    }
}

/// Sends a head and a body, which ends before its length where it `breaks_off`, and reads the answer.
async fn broken(rig: &Rig, token: &str, head: &str, body: &[u8], breaks_off: bool) -> (u16, Value) {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n{head}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    if breaks_off {
        stream.shutdown().await.unwrap();
    }
    let mut said = Vec::new();
    within(stream.read_to_end(&mut said)).await.unwrap();
    let said = String::from_utf8(said).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// How many events a problem says were taken, when it tells of each of them.
fn taken(problem: &Value) -> u64 {
    let taken = &problem["taken"];
    let results = taken["results"].as_array().unwrap();
    assert!(results.iter().all(|result| result["status"] == "accepted"), "{problem}");
    assert_eq!(taken["accepted"], results.len());
    results.len() as u64
}

/// How many events there are, once those before `token` can be asked for.
async fn count(caller: &Caller, token: &Value) -> u64 {
    let ask = serde_json::json!({"sql": "SELECT count(*) AS n FROM m", "min_position": token, "wait_ms": 20_000});
    let rows = caller.post("/v1/query", ask.to_string()).await;
    rows.json()["rows"][0]["n"].as_u64().unwrap_or_else(|| panic!("{rows:?}"))
}

#[tokio::test]
async fn events_can_be_asked_for_while_the_body_still_comes() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let (sender, answer) = upload(&acme, "/v1/events?ack=queryable");
    for start in (0..MANY).step_by(10) {
        sender.send(lines(start..start + 10)).await.unwrap();
    }
    let seen = async { while acme.ask("SELECT count(*) FROM m WHERE text IS NOT NULL").await == "count(*)\n0\n" {} };
    let known = async { while acme.get("/v1/metrics/m").await.status != 200 {} };
    within(known).await;
    within(seen).await;
    assert!(!answer.is_finished(), "the body has not ended");
    sender
        .send("{\"bad\":\u{7f}]}\n{\"metrictype\":\"m\",\"timestamp\":7777,\"text\":\"last\"}".to_owned())
        .await
        .unwrap();
    drop(sender);
    let answer = within(answer).await.unwrap();
    assert_eq!(answer.status, 202);
    let json = answer.json();
    assert_eq!((&json["ack"], &json["accepted"]), (&"queryable".into(), &(MANY + 2).into()));
    assert_eq!(json["results"].as_array().map(Vec::len), Some(302));
    assert_eq!(count(&acme, &json["token"]).await, MANY + 1);
}

// D1, E31, E32
#[tokio::test]
async fn a_body_that_breaks_is_answered_with_what_was_taken_and_may_be_sent_again() {
    let rig = Rig::new().await;
    let token = rig.token("acme", &[Scope::Admin]).await;
    let acme = rig.caller_with(&[("authorization", &format!("Bearer {}", token.reveal()))]);
    let body = lines(0..MANY);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(body.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let damaged = [&gzip[..gzip.len() - 20], b"xxxxxxxxxxxxxxxxxxxx"].concat();
    let mut stored = 0;
    let length = |bytes: &[u8]| format!("content-length: {}", bytes.len());
    for (head, part, breaks_off) in [
        (length(body.as_bytes()), &body.as_bytes()[..body.len() - 1], true),
        (format!("{}\r\ncontent-encoding: gzip", length(&damaged)), &damaged, false),
    ] {
        let (status, problem) = broken(&rig, token.reveal(), &head, part, breaks_off).await;
        assert_eq!((status, &problem["code"]), (400, &"body_unreadable".into()), "{problem}");
        let taken = taken(&problem);
        assert!((100..MANY).contains(&taken), "{taken}");
        // The second time the same events come.
        stored = taken.max(stored);
        assert_eq!(count(&acme, &problem["taken"]["token"]).await, stored, "neither more nor fewer than it says");
    }
    let again = acme.post("/v1/events", body).await.json();
    assert_eq!(again["accepted"], MANY);
    assert_eq!(count(&acme, &again["token"]).await, MANY, "what was taken before is known");
}

// E31, E34
#[tokio::test]
async fn a_limit_that_is_reached_late_leaves_what_came_before() {
    let mut config = config();
    (config.limits.events_max, config.limits.events_bytes_max) = (200, 4 << 20);
    let rig = Rig::with(config, None).await;
    let acme = rig.caller("acme").await;
    let (sender, answer) = upload(&acme, "/v1/events");
    let sending = async {
        for start in (0..MANY).step_by(10) {
            sender.send(lines(start..start + 10)).await.unwrap();
        }
        drop(sender);
    };
    within(sending).await;
    let many = within(answer).await.unwrap();
    assert_eq!(many.problem(), (413, "too_many_events".to_owned()));
    assert!((90..=200).contains(&taken(&many.json())), "{many:?}");

    let long = format!("[{}]", "1 ".repeat(3 << 20));
    let (sender, answer) = upload(&acme, "/v1/events");
    within(sender.send(long)).await.unwrap();
    drop(sender);
    let long = within(answer).await.unwrap();
    assert_eq!(long.problem(), (413, "too_many_events".to_owned()));
    assert_eq!(long.json()["taken"], Value::Null, "nothing was stored");
}

// E36
#[tokio::test]
async fn a_body_that_stops_coming_is_answered_with_what_was_taken() {
    let mut config = config();
    config.limits.body_seconds_max = 1;
    let rig = Rig::with(config, None).await;
    let acme = rig.caller("acme").await;
    let (sender, answer) = upload(&acme, "/v1/events");
    sender.send(lines(0..MANY)).await.unwrap();
    let answer = within(answer).await.unwrap();
    assert_eq!(answer.problem(), (408, "request_timeout".to_owned()));
    let taken = taken(&answer.json());
    assert!((100..MANY).contains(&taken), "{taken}");
    drop(sender);
}

// S19, P4
#[tokio::test]
async fn a_token_that_is_revoked_ends_what_is_being_sent_with_it() {
    let rig = Rig::new().await;
    let token = rig.token("acme", &[Scope::Ingest]).await;
    let device = rig.caller_with(&[("authorization", &format!("Bearer {}", token.reveal()))]);
    let (sender, answer) = upload(&device, "/v1/events");
    sender.send(lines(0..MANY)).await.unwrap();
    let acme = rig.caller("acme").await;
    within(async { while acme.get("/v1/metrics/m").await.status != 200 {} }).await;
    rig.credentials.revoke(token.id()).await.unwrap();
    let answer = within(answer).await.unwrap();
    assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()));
    assert!((100..MANY).contains(&taken(&answer.json())));
    drop(sender);
}

// I2
#[tokio::test]
async fn a_body_with_a_key_that_is_sent_again_makes_no_event_twice() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let timeless = "{\"metrictype\":\"m\",\"text\":\"no time of its own\"}\n".repeat(3);
    for (key, expected) in [("monday", 3), ("monday", 3), ("tuesday", 6)] {
        let sent = acme.and("idempotency-key", key).post("/v1/events?ack=queryable", timeless.clone()).await;
        assert_eq!(sent.json()["accepted"], 3, "{sent:?}");
        let errors = acme.ask("SELECT count(*) AS n FROM errors.stream").await;
        assert_eq!(errors, format!("n\n{expected}\n"), "after {key}");
    }
    let bad = acme.and("idempotency-key", "").post("/v1/events", timeless).await;
    assert_eq!(bad.problem(), (400, "invalid".to_owned()));
}
