//! What was begun over HTTP with a credential ends with it.

use std::sync::Arc;

use fineo::{
    TenantId,
    schema::{Change, Identity},
};
use fineo_conformance::fault::{Fault, FaultPlan, Faults, FaultyObjects, Operation, When};
use fineo_server::{Scope, auth::Token};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    rig::{Rig, config},
    slices::within,
};

const EVENT: &str = "{\"metrictype\":\"m\",\"timestamp\":1}\n";

/// Sends the head of a request, and waits until the server asks for its body: it knows by then who asks.
pub(crate) async fn begin(rig: &Rig, token: &Token, target: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\
         {headers}authorization: Bearer {}\r\n\r\n",
        token.reveal()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = [0; 25];
    within(stream.read_exact(&mut said)).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// A piece of a body.
fn piece(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A whole body, in a piece.
pub(crate) fn whole(bytes: &[u8]) -> Vec<u8> {
    let mut sent = if bytes.is_empty() { Vec::new() } else { piece(bytes) };
    sent.extend(b"0\r\n\r\n");
    sent
}

/// The status and the body of what is answered.
pub(crate) async fn answer(mut stream: TcpStream) -> (u16, Value) {
    let mut said = String::new();
    within(stream.read_to_string(&mut said)).await.unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

// S19, P4
#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_token_is_revoked_before_its_first_rows_is_not_answered() {
    let rig = Rig::new().await;
    let other = rig.caller("acme").await;
    let position = other.ingest(EVENT).await["token"].as_str().unwrap().to_owned() + "fffff";
    // More pairs than can be counted while the test waits.
    let numbers = "generate_series(1, 3000000)";
    let long = format!("SELECT count(*) FROM {numbers} a, {numbers} b WHERE a.value < b.value");
    for ask in [json!({"sql": long}), json!({"sql": "SELECT 1", "min_position": position, "wait_ms": 60_000})] {
        let token = rig.token("acme", &[Scope::Query]).await;
        let ask = ask.to_string();
        let mut asked = begin(&rig, &token, "/v1/query", "content-type: application/json\r\n").await;
        asked.write_all(&whole(ask.as_bytes())).await.unwrap();
        // What came later is answered, so that what came before has begun.
        other.ask("SELECT count(*) FROM m").await;
        rig.credentials.revoke(token.id()).await.unwrap();
        let (status, problem) = answer(asked).await;
        assert_eq!((status, &problem["code"]), (401, &"unauthenticated".into()), "{ask}: {problem}");
    }
    rig.stop().await;
}

// S19, P4
#[tokio::test]
async fn a_batch_whose_token_is_revoked_while_its_body_comes_is_not_taken_in() {
    let rig = Rig::new().await;
    let token = rig.token("acme", &[Scope::Ingest]).await;
    let mut sending = begin(&rig, &token, "/v1/batches", "").await;
    sending.write_all(&piece(EVENT.as_bytes())).await.unwrap();
    rig.credentials.revoke(token.id()).await.unwrap();
    // The server may have closed its side already.
    let _ = sending.write_all(&whole(EVENT.as_bytes())).await;
    let (status, problem) = answer(sending).await;
    assert_eq!((status, &problem["batch"]), (401, &Value::Null), "{problem}");
    rig.fineo.wait_until_drained().await.unwrap();
    assert_eq!(rig.caller("acme").await.get("/v1/metrics/m").await.status, 404, "nothing came");
    rig.stop().await;
}

// S19, P4, I2
#[tokio::test]
async fn a_batch_that_is_being_taken_in_ends_with_its_token_and_says_what_was_taken() {
    const EVENTS: usize = 320;
    let store = InMemory::new();
    let text = "x".repeat(100_000);
    let event = |at| format!("{{\"metrictype\":\"m\",\"timestamp\":{at},\"text\":\"{text}\"}}\n");
    let events: String = (0..EVENTS).map(event).collect();
    store.put(&Path::from("acme/long.json"), events.into()).await.unwrap();
    // It is found and then read in four requests, of which the third is never answered.
    let silent = Faults::new(FaultPlan::new(1).with_rule(Operation::ObjectGet, When::Nth(3), Fault::Hang));
    let store: Arc<dyn ObjectStore> = Arc::new(FaultyObjects::new(Arc::new(store), &silent));
    let rig = Rig::with_folder(config(), "s3://drops/", &store).await;
    let by_arrival = Change::SetIdentity { metric: None, identity: Some(Identity::Arrival) };
    rig.fineo.schema(&TenantId::new("acme").unwrap()).apply(vec![by_arrival]).await.unwrap();
    let token = rig.token("acme", &[Scope::Ingest]).await;
    let device = rig.caller_with(&[("authorization", &format!("Bearer {}", token.reveal()))]);
    let sending = tokio::spawn(async move {
        device.and("idempotency-key", "monday").post("/v1/batches?from=s3://drops/acme/long.json", "").await
    });
    let acme = rig.caller("acme").await;
    within(async { while acme.get("/v1/metrics/m").await.status != 200 {} }).await;
    rig.credentials.revoke(token.id()).await.unwrap();
    let answer = within(sending).await.unwrap();
    assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()));
    let batch = &answer.json()["batch"];
    let accepted = batch["accepted"].as_u64().unwrap();
    assert!((1..EVENTS as u64).contains(&accepted), "{batch}");
    rig.fineo.wait_until_drained().await.unwrap();
    let count = acme.ask("SELECT count(*) AS n FROM m").await;
    assert_eq!(count, format!("n\n{accepted}\n"), "neither more nor fewer than it says");
    let monday = acme.and("idempotency-key", "monday");
    let other = monday.post("/v1/batches", "{\"metrictype\":\"other\",\"timestamp\":1}").await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused".to_owned()), "the key is the first one's");
    let again = monday.post("/v1/batches?from=s3://drops/acme/long.json", "").await;
    assert_eq!((again.status, &again.json()["accepted"]), (202, &EVENTS.into()), "what ended early has no manifest");
    rig.fineo.wait_until_drained().await.unwrap();
    let count = acme.ask("SELECT count(*) AS n FROM m").await;
    assert_eq!(count, format!("n\n{EVENTS}\n"), "the events that were taken in are known by their key and place");
    assert_eq!(acme.get("/v1/metrics/other").await.status, 404, "nothing of the refused one came");
    rig.stop().await;
}
