//! The typed client: a struct declares its metric, is sent, and is asked for.

use fineo::{
    ErrorKind, FineoEvent, TenantId,
    client::{Client, ClientOptions},
    schema::{Change, Identity},
};
use serde::Deserialize;

use crate::rig::Rig;

#[derive(FineoEvent)]
#[fineo(alias = "thermo")]
struct RoomSensor {
    #[fineo(timestamp)]
    at: i64,
    device: &'static str,
    #[fineo(alias = "t", unit = "C")]
    temp: f64,
    #[fineo(name = "type", field_type = "decimal(10,2)")]
    price: Option<String>,
    on: bool,
    #[fineo(skip)]
    #[expect(dead_code, reason = "it is there to be left out")]
    note: &'static str,
}

fn sensor(at: i64, temp: f64) -> RoomSensor {
    RoomSensor { at, device: "t-01", temp, price: Some("1.1".to_owned()), on: true, note: "" }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Row {
    t: f64,
    on: bool,
    #[serde(rename = "type")]
    price: f64,
}

#[tokio::test]
async fn a_struct_is_the_schema() {
    let rig = Rig::new().await;
    let token = rig.token("acme", &[fineo_server::Scope::Admin]).await;
    let client = Client::new(&format!("http://{}/", rig.address), token.reveal()).unwrap();
    client.declare::<RoomSensor>().await.unwrap();
    client.declare::<RoomSensor>().await.unwrap();
    let sent = client.send(&[sensor(1, 20.5), sensor(2, f64::INFINITY)]).await.unwrap();
    assert_eq!((sent.accepted, sent.results.len()), (2, 2));
    let asked = client.query("SELECT t, \"on\", type FROM thermo WHERE temp > $1 AND device = $2");
    let rows: Vec<Row> =
        asked.with_parameter(20).with_parameter("t-01").with_min_position(&sent.token).rows().await.unwrap();
    assert_eq!(rows, [Row { t: 20.5, on: true, price: 1.1 }]);
    let schema = rig.caller("acme").await.get("/v1/metrics/room_sensor/fields").await.json();
    assert_eq!((&schema[1]["name"], &schema[1]["unit"]), (&"temp".into(), &"C".into()), "{schema}");
}

#[tokio::test]
async fn many_events_are_sent_in_requests_that_a_server_takes() {
    let rig = Rig::new().await;
    let token = rig.token("acme", &[fineo_server::Scope::Ingest]).await;
    let client = Client::new(&format!("http://{}", rig.address), token.reveal()).unwrap();
    let events: Vec<RoomSensor> = (0..12_000).map(|at| sensor(at, 1.0)).collect();
    let sent = client.send(&events).await.unwrap();
    assert_eq!((sent.accepted, sent.results.len()), (12_000, 12_000));
    assert!(client.send::<RoomSensor>(&[]).await.unwrap().results.is_empty());
}

#[derive(Debug, PartialEq, Deserialize)]
struct Count {
    n: u64,
}

// I2
#[tokio::test]
async fn events_that_are_sent_again_under_their_key_are_stored_once() {
    let rig = Rig::new().await;
    let token = rig.token("acme", &[fineo_server::Scope::Admin]).await;
    let client = Client::new(&format!("http://{}", rig.address), token.reveal()).unwrap();
    client.declare::<RoomSensor>().await.unwrap();
    let by_arrival = Change::SetIdentity { metric: None, identity: Some(Identity::Arrival) };
    rig.fineo.schema(&TenantId::new("acme").unwrap()).apply(vec![by_arrival]).await.unwrap();
    let events: Vec<RoomSensor> = (0..100).map(|at| sensor(at, 1.0)).collect();
    for (key, n) in [("monday", 100), ("monday", 100), ("tuesday", 200)] {
        let sent = client.send_under(key, &events).await.unwrap();
        let asked = client.query("SELECT count(*) AS n FROM room_sensor").with_min_position(&sent.token);
        assert_eq!(asked.rows::<Count>().await.unwrap(), [Count { n }], "{key}");
    }
}

#[tokio::test]
async fn what_the_server_refuses_has_its_code() {
    // P6
    let rig = Rig::new().await;
    let token = rig.token("acme", &[fineo_server::Scope::Query]).await;
    let client = Client::new(&format!("http://{}", rig.address), token.reveal()).unwrap();
    let error = client.query("SELECT * FROM nonesuch").rows::<Row>().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("unknown_table")));
    assert_eq!(client.send(&[sensor(1, 1.0)]).await.unwrap_err().error.code(), Some("forbidden"));
    assert!(!format!("{client:?}").contains(token.reveal()));
    for (url, token) in [("ftp://x", "t"), ("127.0.0.1", "t"), ("http://127.0.0.1", "a\nb")] {
        assert_eq!(Client::new(url, token).unwrap_err().kind(), ErrorKind::Invalid, "{url}");
    }
    let once = ClientOptions::default().with_tries_max(1);
    let nobody = Client::with_options("http://127.0.0.1:1", "t", once).unwrap();
    assert!(nobody.query("SELECT 1").rows::<Row>().await.unwrap_err().is_retryable());
}
