//! A batch with a key that is sent again, whatever became of it the first time.

use std::{collections::BTreeSet, io::Write};

use fineo::schema::{Change, Identity, MissingTimestamp};
use fineo_server::Scope;
use tokio::io::AsyncWriteExt;

use crate::{
    ended::{answer, begin, whole},
    rig::{Caller, Rig, config},
};

/// How often each batch is sent at once.
const TIMES: u64 = 8;

/// A tenant whose events are told by their arrival, where they have a time of their own and where they have none.
async fn by_arrival(rig: &Rig) -> Caller {
    let tenant = fineo::TenantId::new("acme").unwrap();
    let metric = |name: &str| Change::CreateMetric { name: name.to_owned(), aliases: Vec::new() };
    let changes = vec![
        metric("told"),
        metric("timeless"),
        Change::SetIdentity { metric: Some("told".to_owned()), identity: Some(Identity::Arrival) },
        Change::SetMissingTimestamp { metric: None, policy: Some(MissingTimestamp::Arrival) },
    ];
    rig.fineo.schema(&tenant).apply(changes).await.unwrap();
    rig.caller("acme").await
}

async fn counted(rig: &Rig, acme: &Caller) -> [String; 2] {
    rig.fineo.wait_until_drained().await.unwrap();
    let count = async |metric: &str| acme.ask(&format!("SELECT count(*) AS n FROM {metric}")).await.replace("n\n", "");
    [count("told").await.trim().to_owned(), count("timeless").await.trim().to_owned()]
}

const JSON: &str = "{\"metrictype\":\"told\",\"timestamp\":1,\"a\":1}\n{\"metrictype\":\"timeless\",\"a\":1}\n\
                    {\"metrictype\":\"told\",\"timestamp\":1,\"a\":1}\n";
const CSV: &str = "metrictype,a\ntold,1\ntimeless,1\ntold,1\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

// I2
#[tokio::test]
async fn a_batch_with_a_key_that_is_sent_many_times_at_once_makes_no_event_twice() {
    let drops = tempfile::tempdir().unwrap();
    std::fs::create_dir(drops.path().join("acme")).unwrap();
    std::fs::write(drops.path().join("acme/monday.csv.gz"), gzip(CSV)).unwrap();
    let mut config = config();
    config.batches.folders = vec![format!("file://{}", drops.path().display())];
    let rig = Rig::with(config, None).await;
    let acme = by_arrival(&rig).await;
    let from = format!("/v1/batches?from=file://{}/acme/monday.csv.gz", drops.path().display());
    let token = rig.token("acme", &[Scope::Ingest]).await;
    let (json, csv, packed) =
        ("content-type: application/json\r\n", "content-type: text/csv\r\n", "content-encoding: gzip\r\n");
    let forms = [
        ("/v1/batches", json.to_owned(), JSON.into()),
        ("/v1/batches", [json, packed].concat(), gzip(JSON)),
        ("/v1/batches", csv.to_owned(), CSV.into()),
        ("/v1/batches", [csv, packed].concat(), gzip(CSV)),
        (&*from, String::new(), Vec::new()),
    ];
    for (number, (path, headers, body)) in forms.into_iter().enumerate() {
        let headers = format!("{headers}idempotency-key: key {number}\r\n");
        let mut sent = Vec::new();
        for _ in 0..TIMES {
            // None of them has a manifest once its body is asked for.
            sent.push(begin(&rig, &token, path, &headers).await);
        }
        for stream in &mut sent {
            stream.write_all(&whole(&body)).await.unwrap();
        }
        let mut ids = BTreeSet::new();
        for stream in sent {
            let (status, batch) = answer(stream).await;
            assert!([200, 202].contains(&status) && batch["accepted"] == 3, "{status} {batch}");
            ids.insert(batch["id"].to_string());
        }
        assert_eq!(ids.len(), 1);
        let expected = [2 * (number + 1), number + 1].map(|count| count.to_string());
        assert_eq!(counted(&rig, &acme).await, expected, "{path} {headers}");
    }
    let taken = rig.fineo.pipeline().counters().tenant(&fineo::TenantId::new("acme").unwrap()).accepted;
    assert!(
        (3 * 5..=3 * 5 * TIMES).contains(&taken),
        "{taken}: those that came before a manifest were taken in, and known"
    );
    rig.stop().await;
}

#[tokio::test]
async fn another_batch_under_a_known_key_is_refused_and_not_lost_in_silence() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await.and("idempotency-key", "monday");
    let first = acme.post("/v1/batches", JSON).await;
    assert_eq!(first.status, 202, "{first:?}");
    let again = acme.post("/v1/batches", JSON).await;
    assert_eq!((again.status, &again.json()["id"]), (200, &first.json()["id"]));
    let packed = acme.and("content-encoding", "gzip").post("/v1/batches", gzip(JSON)).await;
    assert_eq!(packed.status, 200, "packed it is the same batch: {packed:?}");
    for (path, body) in [("/v1/batches", "{\"metrictype\":\"other\"}"), ("/v1/batches?metric=m", JSON)] {
        let other = acme.post(path, body).await;
        assert_eq!(other.problem(), (422, "idempotency_key_reused".to_owned()), "{path}");
    }
    let look = acme.get(&format!("/v1/batches/{}", first.json()["id"].as_str().unwrap())).await;
    assert_eq!((look.status, look.json().get("sent")), (200, None));
}

#[tokio::test]
async fn of_bodies_that_come_under_one_key_at_once_only_one_is_taken_in() {
    let rig = Rig::new().await;
    let token = rig.token("acme", &[Scope::Ingest]).await;
    let acme = rig.caller("acme").await;
    for round in 0..4 {
        let headers = format!("idempotency-key: round {round}\r\n");
        let mut sent = Vec::new();
        for _ in 0..TIMES {
            sent.push(begin(&rig, &token, "/v1/batches", &headers).await);
        }
        for (number, stream) in sent.iter_mut().enumerate() {
            let body = format!("{{\"metrictype\":\"m{round}\",\"timestamp\":1,\"sender\":{number}}}\n").repeat(2);
            stream.write_all(&whole(body.as_bytes())).await.unwrap();
        }
        let mut taken = Vec::new();
        for (number, stream) in sent.into_iter().enumerate() {
            match answer(stream).await {
                (202, _) => taken.push(number),
                (status, problem) => {
                    assert_eq!((status, &problem["code"]), (422, &"idempotency_key_reused".into()), "{problem}");
                }
            }
        }
        assert_eq!(taken.len(), 1);
        rig.fineo.wait_until_drained().await.unwrap();
        let senders = format!("SELECT DISTINCT sender FROM m{round}");
        assert_eq!(acme.ask(&senders).await, format!("sender\n{}\n", taken[0]), "nothing of a refused one is there");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_batch_is_told_by_how_its_body_is_read_too() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await.and("idempotency-key", "monday");
    let json = acme.and("content-type", "application/json");
    assert_eq!(json.post("/v1/batches", JSON).await.status, 202);
    assert_eq!(json.post("/v1/batches", JSON).await.status, 200);
    assert_eq!(acme.and("content-type", "application/x-ndjson").post("/v1/batches", JSON).await.status, 200);
    let csv = acme.and("content-type", "text/csv").post("/v1/batches", JSON).await;
    assert_eq!(csv.problem(), (422, "idempotency_key_reused".to_owned()));
}
