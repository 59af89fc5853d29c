//! The scenario: deploy, with Firehose for the archive; send, import, look, compact.

use std::{path::Path as File, process::Command, sync::Arc, time::Duration};

use fineo_backend_aws::{Aws, AwsOptions, Endpoints, Resource, folder};
use fineo_core::{
    Clock, Entropy, MetricId, NearlineStore, SystemClock, SystemEntropy, TenantId,
    archive::{SegmentKind, SegmentQuery, Stage},
    nearline::ScanRequest,
};
use fineo_ingest::{Edge, Limits};
use fineo_lambda::{Manifest, Upload};
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};
use serde_json::json;

use crate::cloud::Cloud;

const TEMPLATE: &str = include_str!("../../../deploy/aws/template.yaml");
const FUNCTIONS: [&str; 4] = ["fineo-lambda-raw", "fineo-lambda-staged", "fineo-lambda-import", "fineo-lambda-compact"];
/// More than compaction lets wait.
const SENT: usize = 1_200;
/// How long events may take to be rows, on a machine that is busy and an emulator that is slow.
const VISIBLE_WITHIN: Duration = Duration::from_secs(120);

/// Packs the binaries that were built for this test, as `scripts/package-lambda` packs what it builds.
fn package(folder: &File) {
    let built = File::new(env!("CARGO_BIN_EXE_fineo-lambda-raw")).parent().unwrap().parent().unwrap();
    let script = File::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/package-lambda");
    let packed = Command::new(script)
        .args(["--debug".as_ref(), folder.as_os_str()])
        .env("FINEO_LAMBDA_BUILT", "1")
        .env("CARGO_TARGET_DIR", built)
        .status();
    assert!(packed.unwrap().success());
}

async fn rows(aws: &Aws, metric: &str) -> usize {
    let request = ScanRequest::new(TenantId::new("acme").unwrap(), MetricId::new(metric).unwrap());
    let found: Result<Vec<_>, _> = aws.nearline().scan(request).try_collect().await;
    found.unwrap().iter().map(arrow_array::RecordBatch::num_rows).sum()
}

/// Waits until a metric has so many rows.
async fn wait_for(aws: &Aws, metric: &str, wanted: usize) {
    let begun = SystemClock.now();
    let mut found = rows(aws, metric).await;
    while found < wanted {
        let waited = SystemClock.now().micros() - begun.micros();
        assert!(waited < i64::try_from(VISIBLE_WITHIN.as_micros()).unwrap(), "{metric} has {found} of {wanted} rows");
        SystemClock.sleep(Duration::from_millis(200)).await;
        found = rows(aws, metric).await;
    }
    assert_eq!(found, wanted, "{metric}");
    println!("{metric}: {found} rows after {:.1} s", (SystemClock.now().micros() - begun.micros()) as f64 / 1e6);
}

async fn segments(aws: &Aws, stage: Stage, kind: SegmentKind) -> usize {
    let found: Vec<_> = aws.stores().archive.segments(SegmentQuery::new(stage, kind)).try_collect().await.unwrap();
    found.len()
}

pub(crate) async fn events_become_rows_and_tables(url: &str) {
    let id = u128::from_be_bytes(SystemEntropy::new().id());
    let (prefix, code) = (format!("l{:024x}", id >> 32), format!("c{:024x}", id >> 32));
    let endpoints = Endpoints::default().with_s3(url).with_kinesis(url).with_dynamodb(url).with_firehose(url);
    let options = |name: &str| AwsOptions::new(name).with_region("us-east-1").with_endpoints(endpoints.clone());

    let packages = tempfile::tempdir().unwrap();
    package(packages.path());
    Aws::connect(options(&code)).await.unwrap().bootstrap(&[Resource::Bucket]).await.unwrap();
    let store = folder(&format!("s3://{code}/fineo"), options(&code)).await.unwrap();
    for name in FUNCTIONS {
        let file = format!("{name}.zip");
        let bytes = std::fs::read(packages.path().join(&file)).unwrap();
        store.put(&Path::from(file), bytes.into()).await.unwrap();
    }
    let cloud = Cloud::new(url);
    let parameters = [
        ("Prefix", prefix.as_str()),
        ("Bucket", &prefix),
        ("CodeBucket", &code),
        ("CodePrefix", "fineo/"),
        ("ColdAfterDays", "90"),
        ("ColdClass", "GLACIER"),
        ("ArchiveBy", "firehose"),
    ];
    cloud.deploy(&prefix, TEMPLATE, &parameters).await;
    let delivery = Some(format!("{prefix}-archive"));
    let aws = Aws::open(options(&prefix).with_creates_missing(false).with_archive_delivery(delivery)).await.unwrap();

    // Streamed: good events, one of them twice, and a bad one.
    let raw: Arc<dyn fineo_core::Stream> = aws.stream("raw");
    let edge = Edge::new(raw, Arc::new(SystemClock), Arc::new(SystemEntropy::new()), Limits::default(), Arc::default());
    let event =
        |n: usize| format!(r#"{{"metrictype":"pump","timestamp":{},"t":{n}}}"#, 1_700_000_000_000u64 + n as u64);
    let mut events: Vec<String> = (0..SENT).map(event).collect();
    events.push(event(7));
    events.push(r#"{"metrictype":"pump","timestamp":"soon"}"#.to_owned());
    let acme = TenantId::new("acme").unwrap();
    let receipt = edge.ingest(&acme, events.join("\n").into()).await.unwrap();
    assert_eq!(receipt.accepted(), SENT + 2);
    wait_for(&aws, "n1", SENT).await;
    wait_for(&aws, "errors", 1).await;
    for stage in Stage::ALL {
        assert!(segments(&aws, stage, SegmentKind::Received).await > 0, "{stage}");
    }
    assert_eq!(segments(&aws, Stage::Raw, SegmentKind::Malformed).await, 1);

    // Imported: an object in the inbox, told of through the queue; then its event once more.
    let inbox = folder(&format!("s3://{prefix}/inbox/acme"), options(&prefix)).await.unwrap();
    let file: Vec<String> = (0..20).map(|n| format!("fan,{},{n}", 1_700_000_000_000u64 + n)).collect();
    inbox
        .put(&Path::from("more.csv"), format!("metrictype,timestamp,rpm\n{}\n", file.join("\n")).into())
        .await
        .unwrap();
    wait_for(&aws, "n2", 20).await;
    let again = json!({ "Records": [{ "eventSource": "aws:s3", "eventTime": "2026-01-02T03:04:05Z", "eventName": "ObjectCreated:Put",
        "userIdentity": {}, "requestParameters": {},
        "s3": { "bucket": { "name": prefix }, "object": { "key": "inbox/acme/more.csv", "sequencer": "again" } } }] });
    let first: Vec<Manifest> = serde_json::from_value(cloud.invoke(&format!("{prefix}-import"), &again).await).unwrap();
    let second: Vec<Manifest> =
        serde_json::from_value(cloud.invoke(&format!("{prefix}-import"), &again).await).unwrap();
    assert_eq!((first[0].accepted, &second), (20, &first));
    let upload = Upload::new(&prefix, "inbox/acme/more.csv", "again");
    let manifests = aws.bucket().folder("imports");
    assert_eq!(Manifest::read(&*manifests, &upload).await.unwrap().as_ref(), first.first());

    // Compacted: what is archived becomes files.
    let report = cloud.invoke(&format!("{prefix}-compact"), &json!({})).await;
    assert!(report["failed"].as_array().is_some_and(Vec::is_empty), "{report}");
    let rows_in_files = report["tenants"][0]["metrics"].as_array().unwrap().iter();
    let rows_in_files: u64 = rows_in_files.map(|metric| metric["rows_out"].as_u64().unwrap_or(0)).sum();
    println!("compacted: {report}");
    assert!(rows_in_files >= SENT as u64, "{report}");
    assert_eq!(rows(&aws, "n1").await, SENT, "what is compacted stays nearline for a while");

    cloud.delete(&prefix).await;
    aws.delete_everything().await.unwrap();
}
