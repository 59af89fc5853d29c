//! The socket in the data directory, and the end of a server.

use std::os::unix::fs::PermissionsExt;

use fineo::{Fineo, ImportFormat, TenantId};
use fineo_server::{
    client::{Client, Method, Sent},
    http::{
        operator::{ImportQuery, MadeToken, NewToken, ReportView},
        resource::MetricView,
    },
    socket_path,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::rig::{Rig, config};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_reaches_the_server_through_the_directory_and_nobody_else_can() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::with(config(), Some(directory.path().to_owned())).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = socket_path(directory.path());
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    let client = Client::connect(directory.path()).await.unwrap().unwrap();
    let acme = TenantId::new("acme").unwrap();

    let lines: String = (0..5_000).map(|n| format!("{{\"metrictype\":\"m\",\"timestamp\":{n},\"n\":{n}}}\n")).collect();
    let query = ImportQuery { tenant: Some("acme".to_owned()), ..ImportQuery::default() };
    let source = Box::new(std::io::Cursor::new(lines.into_bytes()));
    let counts = client.import(&query, source, &|_| {}).await.unwrap();
    assert_eq!((counts.accepted, counts.rejected_total(), counts.duplicates), (5_000, 0, 0));

    let mut rows = client.sql(&acme, None, "SELECT count(*) AS n FROM m").await.unwrap();
    assert_eq!(rows.schema().field(0).name(), "n");
    assert_eq!(rows.next_batch().await.unwrap().unwrap().num_rows(), 1);
    let error = client.sql(&acme, None, "SELECT * FROM nonesuch").await.unwrap_err();
    assert!(error.to_string().contains("nonesuch"), "{error}");
    let error = client.sql(&acme, None, "SELEC 1").await.unwrap_err().to_string();
    assert_eq!((error.matches("position=").count(), error.matches("hint=").count() < 2), (1, true), "{error}");
    let metrics: Vec<MetricView> = client.ask(Method::GET, "/v1/metrics", Sent::to(&acme)).await.unwrap();
    assert_eq!(metrics[0].name, "m");
    let status: ReportView = client.ask(Method::GET, "/operator/status", Sent::default()).await.unwrap();
    assert!(status.text.contains("acme"), "{}", status.text);

    let asked = NewToken {
        tenant: "acme".to_owned(),
        scopes: [fineo_server::Scope::Query].into_iter().collect(),
        role: None,
        expires_at: None,
        note: String::new(),
    };
    let sent = Sent::default().with_json(&asked).unwrap();
    let made: MadeToken = client.ask(Method::POST, "/operator/tokens", sent).await.unwrap();
    let caller = rig.caller_with(&[("authorization", &format!("Bearer {}", made.token))]);
    assert_eq!(caller.ask("SELECT count(*) FROM m").await, "count(*)\n5000\n");
    assert_eq!(caller.get("/operator/status").await.status, 404, "no such thing from the network");
    assert!(!format!("{made:?}").contains(&made.token));
    drop(client);
    rig.stop().await;
    assert!(!socket.exists());
    let _ = ImportFormat::Json;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_comes_in_while_a_crowd_takes_every_connection() {
    // W12
    let directory = tempfile::tempdir().unwrap();
    let mut config = config();
    config.limits.connections_max = 1;
    let rig = Rig::with(config, Some(directory.path().to_owned())).await;
    let mut heard = [0; 12];
    let mut crowd = TcpStream::connect(rig.address).await.unwrap();
    crowd.write_all(b"GET /healthz HTTP/1.1\r\nhost: fineo\r\n\r\n").await.unwrap();
    crowd.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"HTTP/1.1 200");
    let mut late = TcpStream::connect(rig.address).await.unwrap();
    assert_eq!(late.read(&mut heard).await.unwrap_or_default(), 0, "there is no room for another one");
    let client = Client::connect(directory.path()).await.unwrap().unwrap();
    let _: ReportView = client.ask(Method::GET, "/operator/status", Sent::default()).await.unwrap();
    drop((client, crowd));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_hears_what_ended_an_answer_that_had_begun() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::with(config(), Some(directory.path().to_owned())).await;
    let client = Client::connect(directory.path()).await.unwrap().unwrap();
    let acme = TenantId::new("acme").unwrap();
    let sql = "SELECT 1 / (value - 900000) AS x FROM generate_series(1, 1000000)";
    let mut rows = client.sql(&acme, None, sql).await.unwrap();
    let mut count = 0;
    let error = loop {
        match rows.next_batch().await {
            Ok(Some(batch)) => count += batch.num_rows(),
            Ok(None) => panic!("a part is no whole"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(count > 0 && error.to_lowercase().contains("zero"), "{count} rows, then {error}");
    drop((rows, client));
    rig.stop().await;
}

// N12, D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_lets_go_of_the_directory_with_everything_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::with(config(), Some(directory.path().to_owned())).await;
    let acme = rig.caller("acme").await;
    let answer = acme.post("/v1/events", r#"{"metrictype":"m","timestamp":1,"n":7}"#).await;
    assert_eq!(answer.json()["durability"], "power_loss");
    rig.stop().await;
    let fineo = Fineo::local(directory.path()).open().await.unwrap();
    fineo.wait_until_drained().await.unwrap();
    let csv = fineo.sql(&TenantId::new("acme").unwrap(), "SELECT n FROM m").await.unwrap().to_csv().await.unwrap();
    assert_eq!(csv, "n\n7\n");
    fineo.close().await.unwrap();
    assert!(Client::connect(directory.path()).await.unwrap().is_none(), "nobody holds it");
}
