//! The archive through Firehose: what is handed over in part is sent again, and pipelines whose archive it writes lose nothing.

use std::sync::Arc;

use fineo_backend_aws::{Aws, AwsOptions, Resource};
use fineo_conformance::pipeline::{Client, Stores, check};
use fineo_core::{
    Archive, ErrorKind, Outcome, Position, Result, ShardId, Timestamp,
    archive::{Created, SegmentKind, SegmentName, SegmentQuery, Stage},
};
use fineo_ingest::PipelineOptions;
use futures::TryStreamExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::{
    cases::{Run, everywhere, trial},
    faults::place,
    place::endpoint,
    stub::Answer,
    sweep::OnAws,
};

/// The trials of the archive through Firehose, beside those of every archive.
pub(crate) fn trials() -> Vec<Trial> {
    let cases: [(&str, Run); 3] = [
        ("aws, N1: of a segment that Firehose takes in part the rest is sent again, and nothing else", || {
            Box::pin(partly_taken())
        }),
        ("aws: a segment that Firehose refuses is not done, and nobody is told otherwise", || Box::pin(refused())),
        ("aws: a pipeline whose archive Firehose writes archives what every other does", || Box::pin(archived())),
    ];
    cases.into_iter().map(trial).collect()
}

/// Makes a delivery stream into the folder of the bucket where the archive's segments are delivered.
pub(crate) async fn delivery_stream(url: &str, name: &str, options: &AwsOptions) {
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
        .bucket_arn(format!("arn:aws:s3:::{}", options.bucket))
        .prefix(format!("{}/delivered/", options.prefix))
        .compression_format(types::CompressionFormat::Uncompressed);
    let call = client.create_delivery_stream().delivery_stream_name(name);
    let made = call.extended_s3_destination_configuration(destination.build().unwrap()).send();
    Box::pin(made).await.unwrap();
}

/// A place whose archive a delivery stream writes, which is there.
pub(crate) async fn by_delivery(options: AwsOptions) -> Result<Aws> {
    let url = endpoint("FINEO_TEST_S3_URL")?;
    let mut options = options;
    options.endpoints = options.endpoints.with_firehose(&url);
    Aws::connect(options.clone()).await?.bootstrap(&[Resource::Bucket]).await?;
    let name = options.prefix.clone();
    delivery_stream(&url, &name, &options).await;
    Aws::open(options.with_archive_delivery(Some(name))).await
}

fn name() -> SegmentName {
    SegmentName {
        stage: Stage::Raw,
        kind: SegmentKind::Received,
        time: Timestamp::from_micros(1).unwrap(),
        shard: ShardId::new("s0").unwrap(),
        first: Position::from(1),
        last: Position::from(9),
    }
}

/// A place whose Firehose, and all else, answers as `answer` says.
async fn stubbed(answer: Answer) -> Result<(Aws, crate::stub::Stub)> {
    let (aws, stub) = place(answer).await?;
    let options = aws.options().clone().with_archive_delivery(Some("archive".to_owned()));
    Ok((Aws::connect(options).await?, stub))
}

async fn partly_taken() -> Result<()> {
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
    let (aws, stub) = stubbed(answer).await?;
    let archive = aws.delivered_archive().unwrap();
    // Four parts, as large as a record each, but for the last.
    let written = archive.write(&name(), vec![b'x'; 3_500 << 10].into()).await;
    assert_eq!(written.into_result()?, Created::New);
    let sent: Vec<Vec<Value>> =
        stub.calls().iter().map(|(_, arguments)| arguments["Records"].as_array().unwrap().clone()).collect();
    let [first, second, third] = sent.as_slice() else { panic!("three calls: {}", sent.len()) };
    assert_eq!((first.len(), second == &first[1..3], third == &first[1..3]), (4, true, true));
    Ok(())
}

async fn refused() -> Result<()> {
    let answer = |status: u16, body: Value| -> Answer { Box::new(move |_, _| (status, body.clone())) };
    let denied = json!({ "__type": "AccessDeniedException", "message": "said the stub" });
    let missing = json!({ "__type": "ResourceNotFoundException", "message": "said the stub" });
    let throttled =
        json!({ "FailedPutCount": 1, "RequestResponses": [{ "ErrorCode": "ServiceUnavailableException" }] });
    for (status, body, kind) in [
        (400, denied, ErrorKind::Unavailable),
        (400, missing, ErrorKind::NotFound),
        (200, throttled, ErrorKind::Throttled),
    ] {
        let (aws, _stub) = stubbed(answer(status, body)).await?;
        let outcome = aws.delivered_archive().unwrap().write(&name(), "x".into()).await;
        let Outcome::NotDone(error) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.kind(), kind, "{error:?}");
        let told: Vec<&str> = error.context().iter().map(|(name, _)| *name).collect();
        assert!(told.contains(&"segment"), "{error}");
    }
    Ok(())
}

async fn archived() -> Result<()> {
    let options = everywhere().await?.options().clone();
    let stores = OnAws(by_delivery(options).await?);
    let absent = stores.0.options().clone().with_archive_delivery(Some("nobody".to_owned()));
    let error = Aws::open(absent).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, "there is no such delivery stream"));
    let diagnosis = stores.0.doctor().await;
    assert!(diagnosis.is_good() && diagnosis.to_string().contains("delivery stream"), "{diagnosis}");
    Client::default().send(stores.parts().await?, &PipelineOptions::default().with_is_alone(true)).await?;
    check(&stores.parts().await?).await?;
    // Once delivered, the segments are where an archive without Firehose looks for them.
    let direct = stores.0.archive();
    let listed = async |archive: Arc<dyn Archive>, stage, kind| -> Result<Vec<_>> {
        archive.segments(SegmentQuery::new(stage, kind)).try_collect().await
    };
    for (stage, kind) in Stage::ALL.into_iter().flat_map(|stage| SegmentKind::ALL.map(|kind| (stage, kind))) {
        let through = listed(stores.0.stores().archive, stage, kind).await?;
        assert_eq!(listed(direct.clone(), stage, kind).await?, through, "{stage} {kind:?}");
        assert_eq!(
            through.is_empty(),
            kind == SegmentKind::Commit || (stage, kind) == (Stage::Staged, SegmentKind::Malformed)
        );
        for info in through {
            direct.read(&info.name, None).await?;
        }
    }
    stores.0.delete_everything().await
}
