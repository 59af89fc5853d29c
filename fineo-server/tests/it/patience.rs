//! How long the doors wait: for who says nothing, and not at all for what is under way.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use fineo::{
    TenantId,
    core::{Clock, SystemClock},
};
use fineo_server::{DoorLimits, Scope};
use futures::TryStreamExt;
use http_body_util::BodyExt;
use hyper::Method;
use object_store::{
    ObjectStore, ObjectStoreExt,
    memory::InMemory,
    path::Path,
    throttle::{ThrottleConfig, ThrottledStore},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    desk::Desk,
    rig::{Rig, config},
};

/// Says `hello` and waits until the door closes.
async fn until_closed(address: SocketAddr, hello: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(hello).await.unwrap();
    let mut said = Vec::new();
    tokio::select! {
        // A door may also reset what it has no more patience with.
        _ = stream.read_to_end(&mut said) => {}
        () = SystemClock.sleep(Duration::from_secs(20)) => panic!("not closed after {hello:?}"),
    }
}

// E36, W24
#[tokio::test]
async fn a_stranger_who_does_not_say_who_it_is_is_closed_at_every_door() {
    let mut config = config();
    for door in [&mut config.postgres, &mut config.flight] {
        (door.enabled, door.address) = (true, Some("127.0.0.1:0".parse().unwrap()));
    }
    config.limits.hello_seconds_max = 1;
    let rig = Rig::with(config, None).await;
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for (address, hellos) in [
        (rig.address, [&b""[..], b"GET /healthz", http2]),
        (rig.postgres.unwrap(), [b"", b"\0\0\0", b"\0\0\0\x12\0\x03\0\0user\0acme\0\0"]),
        (rig.flight.unwrap(), [b"", b"PRI *", http2]),
    ] {
        for hello in hellos {
            until_closed(address, hello).await;
        }
    }
}

#[tokio::test]
async fn a_connection_without_work_is_closed_and_one_with_work_is_not() {
    let store = InMemory::new();
    let event = r#"{"metrictype":"m","timestamp":1,"ok":true}"#;
    store.put(&Path::from("acme/slow.json"), event.into()).await.unwrap();
    let slow = ThrottleConfig { wait_get_per_call: Duration::from_millis(2_500), ..ThrottleConfig::default() };
    let store: Arc<dyn ObjectStore> = Arc::new(ThrottledStore::new(store, slow));
    let mut config = config();
    config.limits.idle_seconds_max = 1;
    let rig = Rig::with_folder(config, "s3://drops/", &store).await;
    let acme = rig.caller("acme").await;
    let taken = acme.send(Method::POST, "/v1/batches?from=s3://drops/acme/slow.json", "").await;
    assert_eq!((taken.status, &taken.json()["accepted"]), (202, &1.into()), "{taken:?}");
    until_closed(rig.address, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
}

/// More rows than any buffer on the way to a client holds.
const MANY: &str = "SELECT value, repeat('x', 50) AS text FROM generate_series(1, 100000000)";

/// Waits until `tenant` has no session and no call.
async fn until_free(desk: &Desk, tenant: &str, within: Duration) {
    let tenant = TenantId::new(tenant).unwrap();
    let free = async {
        while desk.shared.connections.admit_tenant(&tenant).is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(within, free).await.expect("the tenant's place is free again");
}

fn impatient() -> DoorLimits {
    let mut limits = DoorLimits::default();
    (limits.stall_max, limits.connections_per_tenant_max) = (Duration::from_secs(1), 1);
    limits
}

// Q29
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_client_that_takes_nothing_is_left() {
    let desk = Desk::with_limits(impatient()).await;
    let client = crate::pg::acme(&desk).await;
    let rows = client.query_raw(MANY, Vec::<String>::new()).await.unwrap();
    until_free(&desk, "acme", Duration::from_secs(20)).await;
    let all: Result<Vec<_>, _> = rows.try_collect().await;
    assert!(all.is_err(), "a part is not taken for the whole");
}

// Q29
#[tokio::test(flavor = "multi_thread")]
async fn a_flight_client_that_takes_nothing_is_left() {
    let desk = Desk::with_limits(impatient()).await;
    let mut client = crate::flight::acme(&desk).await;
    let info = client.execute(MANY.to_owned(), None).await.unwrap();
    let rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    until_free(&desk, "acme", Duration::from_secs(20)).await;
    let all: Result<Vec<_>, _> = rows.try_collect().await;
    assert!(all.is_err(), "a part is not taken for the whole");
}

// B3
#[tokio::test(flavor = "multi_thread")]
async fn a_flight_call_that_is_cancelled_ends_its_query_while_the_connection_stays() {
    let mut limits = DoorLimits::default();
    limits.connections_per_tenant_max = 1;
    let desk = Desk::with_limits(limits).await;
    let mut client = crate::flight::acme(&desk).await;
    let info = client.execute(MANY.to_owned(), None).await.unwrap();
    let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(rows.try_next().await.unwrap().is_some());
    drop(rows);
    until_free(&desk, "acme", Duration::from_secs(2)).await;
    client.execute("SELECT 1".to_owned(), None).await.unwrap();
}

// S19, P4
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_ends_the_answers_that_stream_to_it() {
    let desk = Desk::open().await;
    let mut client = crate::flight::acme(&desk).await;
    let info = client.execute(MANY.to_owned(), None).await.unwrap();
    let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(rows.try_next().await.unwrap().is_some());
    desk.shared.credentials.revoke(&desk.token_id).await.unwrap();
    let ended = async {
        loop {
            match rows.try_next().await {
                Ok(Some(_)) => {}
                outcome => break outcome,
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the answer ends").unwrap_err();
    assert!(ended.to_string().contains("permission_revoked"), "{ended}");

    let rig = Rig::new().await;
    let token = rig.token("acme", &[Scope::Query]).await;
    let acme = rig.caller_with(&[("authorization", &format!("Bearer {}", token.reveal()))]);
    let ask = serde_json::json!({ "sql": MANY }).to_string();
    let mut answer = acme.and("content-type", "application/json").begin(Method::POST, "/v1/query", ask).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    rig.credentials.revoke(token.id()).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), answer.into_body().collect()).await;
    assert!(ended.expect("the answer ends").is_err(), "a part is not taken for the whole");
}
