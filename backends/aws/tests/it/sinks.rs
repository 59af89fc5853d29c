//! The sink through Firehose: what is sent is read once, only what failed is sent again, and a copy makes an instance anew.

use std::{sync::Arc, time::Duration};

use fineo_backend_aws::{Aws, Endpoints, Resource, SinkEntry, read_delivered};
use fineo_conformance::pipeline::{Client, Stores, check};
use fineo_core::{
    Cover, ErrorKind, Outcome, Position, Result, ShardId, Stream, TenantId,
    archive::{SegmentKind, Stage},
    stream::{Delivery, Entry},
};
use fineo_ingest::{Pipeline, PipelineOptions};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::{
    cases::{Run, everywhere, trial},
    faults::place,
    place::{endpoint, options},
    stub::Answer,
    sweep::OnAws,
};

/// The trials of the sink.
pub(crate) fn trials() -> Vec<Trial> {
    let cases: [(&str, Run); 3] = [
        ("aws: what a sink sends through Firehose is read once and in order, kind by kind", || Box::pin(sunk())),
        ("aws, N1: of a batch that Firehose takes in part the rest is sent again, and nothing else", || {
            Box::pin(partly_sunk())
        }),
        ("aws: what a tap sends through Firehose makes an instance anew, nothing lost and nothing doubled", || {
            Box::pin(copied())
        }),
    ];
    cases.into_iter().map(trial).collect()
}

/// An entry of stage raw, as its tap or its errors have it.
fn sink_entry(kind: SegmentKind, position: u64) -> SinkEntry {
    let payload = format!("{} {position} {}", kind.as_str(), "x".repeat(1_000));
    let tenant = TenantId::new("acme").unwrap();
    let delivery = Delivery { tenant, position: Position::from(position), payload: payload.into() };
    SinkEntry { stage: Stage::Raw, kind, shard: ShardId::new("s0").unwrap(), delivery }
}

async fn sunk() -> Result<()> {
    let url = endpoint("FINEO_TEST_S3_URL")?;
    let aws = Aws::connect(options(Endpoints::default().with_s3(&url).with_firehose(&url))).await?;
    aws.bootstrap(&[Resource::Bucket]).await?;
    let name = aws.options().prefix.clone();
    delivery_stream(&url, &name, aws.bucket().name()).await;
    let sink = aws.sink(&name);
    // In disorder, kinds mixed, and everything from 1,000 on twice, as after a lost answer.
    let mut entries: Vec<SinkEntry> = (0..3_000).rev().map(|n| sink_entry(SegmentKind::Received, n)).collect();
    entries.extend((1_000..3_000).map(|n| sink_entry(SegmentKind::Received, n)));
    entries.extend((0..10).map(|n| sink_entry(SegmentKind::Malformed, n)));
    let outcomes = sink.send(&entries).await;
    assert_eq!((outcomes.len(), outcomes.iter().all(Outcome::is_done)), (5_010, true));
    for (kind, count) in [(SegmentKind::Received, 3_000), (SegmentKind::Malformed, 10), (SegmentKind::Commit, 0)] {
        let read = read_delivered(&*aws.bucket().store(), "sunk", (Stage::Raw, kind)).await?;
        let positions: Vec<Position> = read.iter().map(|entry| entry.delivery.position).collect();
        assert_eq!(positions, (0..count).map(Position::from).collect::<Vec<_>>(), "{kind:?}");
        let expected = |(entry, n): (&SinkEntry, u64)| entry.delivery.payload == sink_entry(kind, n).delivery.payload;
        assert!(read.iter().zip(0..).all(expected));
    }
    let missing = aws.sink("nobody").send(&entries[..1]).await.remove(0).into_result().unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    Ok(())
}

/// Makes a delivery stream into the folder `sunk` of `bucket`.
async fn delivery_stream(url: &str, name: &str, bucket: &str) {
    use aws_sdk_firehose::{Client, config, types};
    let credentials = config::Credentials::new("test", "test", None, None, "test");
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = config::Builder::new()
        .http_client(http)
        .behavior_version_latest()
        .endpoint_url(url)
        .credentials_provider(credentials);
    let client = Client::from_conf(config.region(config::Region::new("us-east-1")).build());
    let destination = types::ExtendedS3DestinationConfiguration::builder()
        .role_arn("arn:aws:iam::000000000000:role/firehose")
        .bucket_arn(format!("arn:aws:s3:::{bucket}"))
        .prefix("sunk/")
        .compression_format(types::CompressionFormat::Uncompressed);
    let call = client.create_delivery_stream().delivery_stream_name(name);
    let made = call.extended_s3_destination_configuration(destination.build().unwrap()).send();
    Box::pin(made).await.unwrap();
}

async fn partly_sunk() -> Result<()> {
    let mut calls = 0;
    let answer: Answer = Box::new(move |_, arguments| {
        calls += 1;
        let taken = |is_taken| match is_taken {
            true => json!({ "RecordId": "1" }),
            false => json!({ "ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down." }),
        };
        // Of the first call every third record is taken, of the second none, of the third all.
        let records = arguments["Records"].as_array().unwrap().iter().enumerate();
        let answers = records.map(|(index, _)| taken(calls == 3 || (calls == 1 && index % 3 == 0)));
        (200, json!({ "FailedPutCount": 0, "RequestResponses": answers.collect::<Vec<Value>>() }))
    });
    let (aws, stub) = place(answer).await?;
    // As large as a record each, but for the frame.
    let entries: Vec<SinkEntry> = (0..4)
        .map(|n| {
            let mut entry = sink_entry(SegmentKind::Received, n);
            entry.delivery.payload = vec![b'x'; 900 << 10].into();
            entry
        })
        .collect();
    let outcomes = aws.sink("copy").send(&entries).await;
    assert!(outcomes.iter().all(Outcome::is_done), "{outcomes:?}");
    let sent: Vec<Vec<Value>> =
        stub.calls().iter().map(|(_, arguments)| arguments["Records"].as_array().unwrap().clone()).collect();
    let [first, second, third] = sent.as_slice() else { panic!("three calls: {}", sent.len()) };
    assert_eq!((first.len(), second == &first[1..3], third == &first[1..3]), (4, true, true));
    Ok(())
}

/// Sends all that a stream has through `sink`, by a tap.
async fn copy(stores: &OnAws, delivery: &str) -> Result<()> {
    let parts = stores.parts().await?;
    let (raw, sink) = (Arc::clone(&parts.raw), stores.0.sink(delivery));
    let pipeline = Pipeline::start(parts, PipelineOptions::default().with_is_alone(true)).await?;
    for shard in raw.shards().await? {
        let Some(tail) = raw.tail(&shard.id).await? else { continue };
        let mut tap = pipeline.tap(Stage::Raw, &shard.id, "firehose").await?;
        let mut last = Position::ZERO;
        while last < tail {
            let Some(batch) = tap.next().await? else { break };
            last = batch.last().map_or(last, |delivery| delivery.position);
            let (kind, shard) = (SegmentKind::Received, shard.id.clone());
            let entry = |delivery| SinkEntry { stage: Stage::Raw, kind, shard: shard.clone(), delivery };
            for outcome in sink.send(&batch.into_iter().map(entry).collect::<Vec<_>>()).await {
                outcome.into_result()?;
            }
            tap.commit(last).await?;
        }
    }
    pipeline.stop().await
}

async fn copied() -> Result<()> {
    let url = endpoint("FINEO_TEST_S3_URL")?;
    let mut options = everywhere().await?.options().clone();
    options.endpoints = options.endpoints.with_firehose(&url);
    let here = OnAws(Aws::open(options).await?);
    let name = here.0.options().prefix.clone();
    delivery_stream(&url, &name, here.0.bucket().name()).await;
    Client::default().send(here.parts().await?, &PipelineOptions::default().with_is_alone(true)).await?;
    copy(&here, &name).await?;

    // Somewhere else, out of the copy alone: the envelopes bear the events' ids.
    let there = OnAws(Aws::open(everywhere().await?.options().clone()).await?);
    let delivered = read_delivered(&*here.0.bucket().store(), "sunk", (Stage::Raw, SegmentKind::Received)).await?;
    let entry = |(key, SinkEntry { delivery, .. })| Entry { tenant: delivery.tenant, key, payload: delivery.payload };
    let entries: Vec<Entry> = (0..).zip(delivered).map(entry).collect();
    let mut token = Cover::default();
    for outcome in there.0.stream("raw").append(entries).await {
        let appended = outcome.into_result()?;
        token.advance(&appended.shard, appended.position);
    }
    let pipeline = Pipeline::start(there.parts().await?, PipelineOptions::default().with_is_alone(true)).await?;
    pipeline.wait_until_queryable(&token, Duration::from_secs(60)).await?;
    pipeline.stop().await?;
    check(&there.parts().await?).await?;
    here.0.delete_everything().await?;
    there.0.delete_everything().await
}
