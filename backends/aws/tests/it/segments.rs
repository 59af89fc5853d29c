//! Segments: large ones, cold ones, and those whose upload fails.

use bytes::Bytes;
use fineo_aws_faults::{FaultProxy, Plan};
use fineo_backend_aws::{Aws, Endpoints, Resource};
use fineo_core::{
    Archive, Error, Outcome, Position, Result, ShardId, Timestamp,
    archive::{Created, SegmentKind, SegmentName, SegmentQuery, Stage},
};
use futures::TryStreamExt;
use libtest_mimic::Trial;
use object_store::{ObjectStoreExt, path::Path};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    cases::{Run, trial},
    place::{endpoint, options},
};

/// The trials of segments.
pub(crate) fn trials() -> Vec<Trial> {
    let cases: [(&str, Run); 3] = [
        ("aws, N11: a segment beyond one request is created once, whoever else writes it, and in its class", || {
            Box::pin(large_segment())
        }),
        ("aws: an upload whose part is refused is aborted, and leaves nothing", || Box::pin(aborted())),
        ("aws: the segments of a cold archive bear its storage class", || Box::pin(cold())),
    ];
    cases.into_iter().map(trial).collect()
}

/// A segment's name.
pub(crate) fn name() -> SegmentName {
    SegmentName {
        stage: Stage::Raw,
        kind: SegmentKind::Received,
        time: Timestamp::default(),
        shard: ShardId::new("s0").unwrap(),
        first: Position::from(1u64),
        last: Position::from(2u64),
    }
}

/// What the service itself answers to a request without a body.
pub(crate) async fn asked(url: &str, method: &str, path: &str) -> String {
    let mut service = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: s3\r\nconnection: close\r\n\r\n");
    service.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    service.read_to_string(&mut answer).await.unwrap();
    answer
}

/// An archive whose segments are to be cold, and the URL of its service.
async fn cold_archive() -> Result<(Aws, String)> {
    let url = endpoint("FINEO_TEST_S3_URL")?;
    let options = options(Endpoints::default().with_s3(&url)).with_archive_class(Some("STANDARD_IA".to_owned()));
    let aws = Aws::connect(options).await?;
    aws.bootstrap(&[Resource::Bucket]).await?;
    Ok((aws, url))
}

/// The store of objects does not tell classes: its service does.
async fn assert_is_cold(aws: &Aws, url: &str, name: &SegmentName) {
    let path = format!("/{0}/{0}/archive/{1}", aws.options().prefix, name.path());
    let head = asked(url, "HEAD", &path).await;
    assert!(head.to_lowercase().contains("x-amz-storage-class: standard_ia"), "{head}");
}

async fn large_segment() -> Result<()> {
    let (aws, url) = cold_archive().await?;
    let (archive, other) = (aws.archive(), aws.archive());
    let name = name();
    let (large, longer) = (Bytes::from(vec![7; 65 << 20]), Bytes::from(vec![7; (65 << 20) + 1]));
    let (one, two) = tokio::join!(archive.write(&name, large.clone()), other.write(&name, longer.clone()));
    let winner = match (one.into_result()?, two.into_result()?) {
        (Created::New, Created::Conflict) => large,
        (Created::Conflict, Created::New) => longer,
        both => panic!("one creates it, and the other is told: {both:?}"),
    };
    assert_eq!(other.write(&name, winner.clone()).await.into_result()?, Created::Same);
    assert_eq!(other.write(&name, "short".into()).await.into_result()?, Created::Conflict);
    assert!(archive.read(&name, None).await? == winner, "the segment differs");
    assert_is_cold(&aws, &url, &name).await;
    Ok(())
}

async fn cold() -> Result<()> {
    let (aws, url) = cold_archive().await?;
    let name = name();
    assert_eq!(aws.archive().write(&name, "x".into()).await.into_result()?, Created::New);
    assert_is_cold(&aws, &url, &name).await;
    Ok(())
}

async fn aborted() -> Result<()> {
    let url = endpoint("FINEO_TEST_S3_URL")?;
    // By the seed of a quiet day the first part is taken, and the second refused.
    let plan = Plan::quiet().with_refused_parts(500);
    let proxy =
        FaultProxy::start(&url, plan).await.map_err(|source| Error::internal("no proxy").with_source(source))?;
    let aws = Aws::connect(options(Endpoints::default().with_s3(proxy.url()))).await?;
    aws.bootstrap(&[Resource::Bucket]).await?;
    let uploads = format!("/{}?uploads", aws.bucket().name());
    let outcome = aws.archive().write(&name(), vec![7; 65 << 20].into()).await;
    let Outcome::NotDone(error) = outcome else { panic!("a refused part is no segment: {outcome:?}") };
    assert_eq!(error.message(), "S3 refused the call", "{error:?}");
    let tally = proxy.tally();
    assert_eq!((tally.calls["PUT"].requests >= 3, tally.faults["a part was refused"]), (true, 1), "{tally:?}");
    let left = asked(&url, "GET", &uploads).await;
    assert!(left.contains("ListMultipartUploadsResult") && !left.contains("<Upload>"), "{left}");
    let segments: Vec<_> =
        aws.archive().segments(SegmentQuery::new(Stage::Raw, SegmentKind::Received)).try_collect().await?;
    assert!(segments.is_empty(), "{segments:?}");
    // The service tells of those that are begun and not ended.
    let mut upload = aws.bucket().store().put_multipart(&Path::from("begun")).await.unwrap();
    assert!(asked(&url, "GET", &uploads).await.contains("<Upload>"));
    upload.abort().await.unwrap();
    Ok(())
}
