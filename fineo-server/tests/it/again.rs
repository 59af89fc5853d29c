//! A batch with a key that is sent again, whatever became of it the first time.

use std::io::Write;

use fineo::schema::{Change, Identity, MissingTimestamp};
use hyper::Method;

use crate::rig::{Caller, Rig, config};

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
    let sent = "/v1/batches";
    let forms: [(&str, &[(&str, &str)], Vec<u8>); 5] = [
        (sent, &[("content-type", "application/json")], JSON.into()),
        (sent, &[("content-type", "application/json"), ("content-encoding", "gzip")], gzip(JSON)),
        (sent, &[("content-type", "text/csv")], CSV.into()),
        (sent, &[("content-type", "text/csv"), ("content-encoding", "gzip")], gzip(CSV)),
        (&from, &[], Vec::new()),
    ];
    for (number, (path, headers, body)) in forms.into_iter().enumerate() {
        let named = acme.and("idempotency-key", &format!("key {number}"));
        let sender = headers.iter().fold(named, |caller, (name, value)| caller.and(name, value));
        let send = || sender.send(Method::POST, path, body.clone());
        let answers = futures::future::join_all((0..8).map(|_| send())).await;
        for answer in &answers {
            assert!([200, 202].contains(&answer.status), "{answer:?}");
            assert_eq!((&answer.json()["id"], &answer.json()["accepted"]), (&answers[0].json()["id"], &3.into()));
        }
        let expected = [2 * (number + 1), number + 1].map(|count| count.to_string());
        assert_eq!(counted(&rig, &acme).await, expected, "{path} {headers:?}");
    }
    let taken = rig.fineo.pipeline().counters().tenant(&fineo::TenantId::new("acme").unwrap()).accepted;
    assert!(taken > 3 * 5, "nothing was taken in twice, so that nothing was tried");
    rig.stop().await;
}
