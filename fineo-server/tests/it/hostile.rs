//! Peers that mean no good, or know no better. Each ends as it should, and a neighbour does not notice.

use std::{net::SocketAddr, time::Duration};

use fineo::core::{Clock, SystemClock};
use fineo_server::{Config, Credentials, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::rig::{Rig, config};

/// Sends bytes as they are and reads until the server closes; what it said, cut after the status.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has heard enough may close before all is sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read =
        async { while stream.read_buf(&mut answer).await.is_ok_and(|length| length > 0 && answer.len() < 12) {} };
    tokio::select! {
        () = read => {}
        () = SystemClock.sleep(Duration::from_secs(20)) => panic!("no answer"),
    }
    String::from_utf8_lossy(&answer).chars().skip(9).take(3).collect()
}

/// Sends bytes, says that no more come, and reads the status of every answer until the server closes.
async fn statuses(address: SocketAddr, request: &str) -> Vec<String> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::select! {
        // What the server did not read makes the system say that the connection was reset.
        _ = read => {}
        () = SystemClock.sleep(Duration::from_secs(20)) => panic!("not closed"),
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split("HTTP/1.1 ").skip(1).map(|rest| rest.chars().take(3).collect()).collect()
}

async fn canary(rig: &Rig) {
    let canary = rig.caller("canary").await;
    canary.ingest(r#"{"metrictype":"m","timestamp":1,"ok":true}"#).await;
    assert_eq!(canary.ask("SELECT ok FROM m").await, "ok\ntrue\n");
}

// E01, E02, E31, E34
#[tokio::test]
async fn bodies_without_events_or_with_too_many_are_refused_as_a_whole() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    for (body, expected) in [
        (String::new(), (400, "empty")),
        (" \n ".to_owned(), (400, "empty")),
        (format!("[{}]", vec!["{}"; 10_001].join(",")), (413, "too_many_events")),
    ] {
        let (status, code) = acme.post("/v1/events", body).await.problem();
        assert_eq!((status, code.as_str()), expected);
    }
    let none = acme.post("/v1/events", "[]").await;
    assert_eq!((none.status, none.json()["results"].as_array().map(Vec::len)), (202, Some(0)));
    for (body, code) in [("null", "not_an_object"), ("42", "not_an_object"), ("\u{fffd}", "json_unreadable")] {
        let answer = acme.post("/v1/events", body).await;
        assert!(answer.status == 202 || answer.status == 400, "{body}: {answer:?} {code}");
    }
    canary(&rig).await;
}

// E31, E32, W27
#[tokio::test]
async fn requests_that_lie_about_themselves_are_refused_or_closed() {
    let rig = Rig::new().await;
    let token = rig.token("acme", &[fineo_server::Scope::Ingest]).await;
    let head = format!("POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", token.reveal());
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(512 * 1024));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (request, expected) in [
        (format!("{head}content-length: 1073741824\r\n\r\n"), "413"),
        (format!("{head}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"), "400"),
        (format!("{head}content-length: -1\r\n\r\n"), "400"),
        (format!("{head}content-encoding: br\r\ncontent-length: 2\r\n\r\n{{}}"), "415"),
        (format!("{head}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{{}}"), "400"),
        ("GET /v1/metrics HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n".to_owned(), "400"),
        ("GET //v1/metrics HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "404"),
        ("GET /v1/%2e%2e/metrics HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "404"),
        ("DELETE /v1/query HTTP/1.1\r\nhost: x\r\nx-http-method-override: POST\r\n\r\n".to_owned(), "405"),
        (long, "431"),
        (many, "431"),
        ("\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), "400"),
    ] {
        assert_eq!(raw(rig.address, request.as_bytes()).await, expected, "{}", &request[..request.len().min(300)]);
    }
    let mut endless = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..12 {
        endless.extend(format!("100000\r\n{}\r\n", "x".repeat(1 << 20)).into_bytes());
    }
    assert_eq!(raw(rig.address, &endless).await, "413");
    canary(&rig).await;
}

// E32
#[tokio::test]
async fn a_request_whose_body_is_not_as_long_as_it_says_ends_the_connection() {
    let rig = Rig::new().await;
    let token = rig.token("acme", &[fineo_server::Scope::Ingest]).await;
    let head = format!("POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", token.reveal());
    let (chunked, length) = ("transfer-encoding: chunked\r\n", "content-length: 2\r\n");
    for both in [format!("{length}{chunked}"), format!("{chunked}{length}")] {
        let both = format!("{head}{both}\r\n2\r\n[]\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(statuses(rig.address, &both).await, ["400"]);
        let second = format!("{head}{length}\r\n[]{both}");
        assert_eq!(statuses(rig.address, &second).await, ["202", "400"], "on a connection that was used before");
    }
    let longer = format!("{head}content-length: 20\r\n\r\n[]");
    assert_eq!(statuses(rig.address, &longer).await, ["400"]);
    let shorter = format!("{head}content-length: 1\r\n\r\n[]");
    assert_eq!(statuses(rig.address, &shorter).await.last().map(String::as_str), Some("400"));
    canary(&rig).await;
}

// E36
#[tokio::test]
async fn a_body_that_trickles_is_cut_off_at_its_deadline() {
    let mut config = config();
    config.limits.body_seconds_max = 1;
    let rig = Rig::with(config, None).await;
    let token = rig.token("acme", &[fineo_server::Scope::Ingest]).await;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\n\r\n{{",
        token.reveal()
    );
    assert_eq!(raw(rig.address, head.as_bytes()).await, "408");
    canary(&rig).await;
}

// E36
#[tokio::test]
async fn a_stranger_who_says_nothing_is_closed() {
    let mut config = config();
    config.limits.hello_seconds_max = 1;
    let rig = Rig::with(config, None).await;
    let said = raw(rig.address, b"GET /healthz HTTP/1.1\r\nhost: x\r\n").await;
    assert!(said.is_empty() || said == "408", "{said}");
}

// W12
#[tokio::test]
async fn a_guesser_is_told_to_wait() {
    let rig = Rig::new().await;
    let wrong = rig.caller_with(&[("authorization", "Bearer fineo_x")]);
    let mut last = wrong.get("/v1/metrics").await;
    for _ in 0..20 {
        last = wrong.get("/v1/metrics").await;
    }
    assert_eq!(last.problem(), (429, "too_many_attempts".to_owned()));
    assert!(last.header("retry-after").parse::<u64>().unwrap() <= 60);
}

#[tokio::test]
async fn no_door_opens_to_other_machines_unless_it_is_protected_or_told_to() {
    for (is_told, is_open) in [(false, false), (true, true)] {
        let mut config: Config = config();
        config.http.address = Some("0.0.0.0:0".parse().unwrap());
        config.security.listen_beyond_loopback_without_tls_or_tokens = is_told;
        let fineo = fineo::Fineo::memory().open().await.unwrap();
        let repo = fineo.parts().repo.clone();
        let clock = std::sync::Arc::new(SystemClock);
        let entropy = std::sync::Arc::new(fineo::core::SystemEntropy::new());
        let credentials = Credentials::open(repo, clock, entropy).await.unwrap();
        let server = Server::open(&config, fineo, credentials, None).await;
        assert_eq!(server.is_ok(), is_open, "{server:?}");
    }
}
