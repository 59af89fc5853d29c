//! What only this backend has: shards that split and merge under load, a whole place and its doctor.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use fineo_backend_aws::{Aws, Endpoints, Resource, TableUnits};
use fineo_core::{
    Clock, ErrorKind, Position, Result, ShardId, Stream, SystemClock, TenantId, Timestamp,
    stream::{Entry, ReadFrom},
};
use futures::{StreamExt, future::BoxFuture};
use libtest_mimic::{Completion, Failed, Trial};
use object_store::{ObjectStoreExt, path::Path};

use crate::place::{endpoint, options};

pub(crate) type Run = fn() -> BoxFuture<'static, Result<()>>;

/// The trials of this backend alone.
pub(crate) fn trials() -> Vec<Trial> {
    let cases: [(&str, Run); 10] = [
        ("aws, O3: a stream split and merged under load loses nothing and doubles nothing", || Box::pin(polled())),
        ("aws, O3: nor does it when its records are pushed", || Box::pin(pushed())),
        ("aws: what is pushed goes on when the connection of a subscription is lost without a word", || {
            Box::pin(crate::silent::subscription())
        }),
        ("aws: the end of a shard is found after a quiet time, and by a clock that is ahead", || {
            Box::pin(quiet("FINEO_TEST_KINESIS_URL"))
        }),
        ("aws: nor does a service that never answers for such a time keep it from being found", || {
            Box::pin(quiet("FINEO_TEST_KINESALITE_URL"))
        }),
        ("aws: the end of a shard is found with little reading, however long it has been quiet", || {
            Box::pin(crate::tails::cheap())
        }),
        ("aws, D8: a read behind a record that is gone names the first that is left", || Box::pin(gone())),
        ("aws: a folder of a bucket has its own objects and no others", || Box::pin(folder())),
        ("aws: a table of rows takes what comes, or so many units as were asked for", || Box::pin(provisioned())),
        ("aws: a place is made once, found good by its doctor, and deleted", || Box::pin(whole_place())),
    ];
    cases.into_iter().map(trial).collect()
}

pub(crate) fn trial((name, run): (&str, Run)) -> Trial {
    Trial::ignorable_test(name, move || finish(run))
}

fn finish(run: Run) -> std::result::Result<Completion, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match runtime.block_on(run()) {
        Ok(()) => Ok(Completion::Completed),
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Completion::ignored_with(error.to_string())),
        Err(error) => Err(format!("{error:?}").into()),
    }
}

/// A place on all of the emulators, of which nothing is made yet.
pub(crate) async fn everywhere() -> Result<Aws> {
    let endpoints = Endpoints::default()
        .with_s3(endpoint("FINEO_TEST_S3_URL")?)
        .with_kinesis(endpoint("FINEO_TEST_KINESALITE_URL")?)
        .with_dynamodb(endpoint("FINEO_TEST_DYNAMODB_URL")?);
    Aws::connect(options(endpoints)).await
}

async fn folder() -> Result<()> {
    let options = options(Endpoints::default().with_s3(endpoint("FINEO_TEST_S3_URL")?));
    let aws = Aws::connect(options.clone()).await?;
    aws.bootstrap(&[Resource::Bucket]).await?;
    let bucket = aws.bucket().store();
    for path in ["drops/acme/x.json", "beside.json"] {
        bucket.put(&Path::from(path), path.into()).await.unwrap();
    }
    let folder = fineo_backend_aws::folder(&format!("s3://{}/drops/", aws.bucket().name()), options.clone()).await?;
    let found = folder.get(&Path::from("acme/x.json")).await.unwrap().bytes().await.unwrap();
    assert_eq!(found, "drops/acme/x.json");
    let beside = folder.get(&Path::from("beside.json")).await;
    assert!(matches!(beside, Err(object_store::Error::NotFound { .. })), "{beside:?}");
    for url in ["s3://", "file:///x", "bucket/x"] {
        let refused = fineo_backend_aws::folder(url, options.clone()).await.map(drop);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid, "{url}");
    }
    Ok(())
}

pub(crate) async fn append(stream: &Arc<dyn Stream>, round: u64) -> Result<()> {
    let tenant = TenantId::new("acme")?;
    let entry = |key: u64| Entry { tenant: tenant.clone(), key, payload: format!("{round} {key}").into() };
    for outcome in stream.append((0..40).map(entry).collect()).await {
        outcome.into_result()?;
    }
    Ok(())
}

async fn polled() -> Result<()> {
    resharded(everywhere().await?).await
}

async fn pushed() -> Result<()> {
    let endpoints = Endpoints::default().with_kinesis(endpoint("FINEO_TEST_KINESIS_URL")?);
    resharded(Aws::connect(options(endpoints).with_fan_out(Some("fineo".to_owned()))).await?).await
}

async fn resharded(aws: Aws) -> Result<()> {
    aws.bootstrap(&[Resource::Stream("raw".to_owned())]).await?;
    let stream: Arc<dyn Stream> = aws.stream("raw");
    let first = stream.shards().await?[0].id.clone();
    append(&stream, 0).await?;
    let (load, splits) = (Arc::clone(&stream), aws.clone());
    let load = tokio::spawn(async move {
        for round in 1..10 {
            append(&load, round).await?;
        }
        Result::Ok(())
    });
    splits.split_shard("raw", &first).await?;
    let open: Vec<ShardId> = stream
        .shards()
        .await?
        .iter()
        .filter(|shard| shard.parents == [first.clone()])
        .map(|shard| shard.id.clone())
        .collect();
    let [left, right] = open.as_slice() else { panic!("a split shard has two children: {open:?}") };
    splits.merge_shards("raw", [left, right]).await?;
    load.await.unwrap()?;
    append(&stream, 10).await?;

    let shards = stream.shards().await?;
    let merged = shards.iter().find(|shard| shard.parents.len() == 2).unwrap();
    assert_eq!(merged.parents.iter().collect::<BTreeSet<_>>(), [left, right].into_iter().collect());
    let mut seen: Vec<Bytes> = Vec::new();
    for shard in &shards {
        let tail = stream.tail(&shard.id).await?;
        let mut last = Position::ZERO;
        let mut batches = stream.read(&shard.id, ReadFrom::Start);
        while tail.is_some_and(|tail| last < tail)
            && let Some(batch) = batches.next().await
        {
            for delivery in batch? {
                last = delivery.position;
                seen.push(delivery.payload);
            }
        }
    }
    let distinct: BTreeSet<&Bytes> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (440, 440));
    Ok(())
}

/// A clock that is ahead of the service's.
#[derive(Debug)]
pub(crate) struct Ahead(pub(crate) Duration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_micros(i64::try_from(self.0.as_micros()).unwrap())
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(wait)
    }
}

async fn quiet(variable: &str) -> Result<()> {
    let options = options(Endpoints::default().with_kinesis(endpoint(variable)?)).with_shards(Some(1));
    let aws = Aws::connect(options.clone()).await?;
    aws.bootstrap(&[Resource::Stream("raw".to_owned())]).await?;
    let stream: Arc<dyn Stream> = aws.stream("raw");
    // More than are read one after another.
    for round in 0..5 {
        append(&stream, round).await?;
    }
    let shard = stream.shards().await?.remove(0).id;
    let last = stream.tail(&shard).await?;
    assert!(last.is_some());
    // A reader that knows nothing asks from a minute ago on: from now on, that is, and from an instant that is to come.
    for ahead in [Duration::from_millis(59_999), Duration::from_secs(90)] {
        let late = Aws::connect(options.clone().with_clock(Arc::new(Ahead(ahead)))).await?;
        assert_eq!(late.stream("raw").tail(&shard).await?, last, "{ahead:?}");
    }
    Ok(())
}

async fn gone() -> Result<()> {
    let aws = everywhere().await?;
    aws.bootstrap(&[Resource::Stream("raw".to_owned())]).await?;
    let stream: Arc<dyn Stream> = aws.stream("raw");
    append(&stream, 0).await?;
    for shard in stream.shards().await? {
        let first = stream.read(&shard.id, ReadFrom::Start).next().await.unwrap()?[0].position;
        // A position of the same shard that no record has, before all that are there.
        let mut bytes = first.to_bytes();
        bytes[23] = bytes[23].wrapping_sub(16);
        let before = Position::from_bytes(bytes);
        if before > first {
            continue;
        }
        let read = stream.read(&shard.id, ReadFrom::After(before)).next().await.unwrap();
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let named = error.context().iter().find(|(name, _)| *name == "first").map(|(_, first)| first.clone());
        assert_eq!(named, Some(first.to_string()), "{error}");
    }
    Ok(())
}

async fn whole_place() -> Result<()> {
    let options = everywhere().await?.options().clone();
    let refused = Aws::open(options.clone().with_creates_missing(false)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused:?}");
    let aws = Aws::open(options.clone()).await?;
    // Once more, as another process does.
    Aws::open(options.clone()).await?;
    Aws::open(options.with_creates_missing(false)).await?;
    let diagnosis = aws.doctor().await;
    assert!(diagnosis.is_good(), "{diagnosis}");
    assert_eq!(diagnosis.findings.len(), 8);
    aws.delete_everything().await?;
    assert!(!aws.doctor().await.is_good());
    Ok(())
}

async fn provisioned() -> Result<()> {
    let options = everywhere().await?.options().clone();
    let told = async |aws: Aws| {
        let diagnosis = aws.doctor().await.to_string();
        diagnosis.lines().find(|line| line.contains("-rows:")).unwrap().rsplit("; ").next().unwrap().to_owned()
    };
    let units = Some(TableUnits { reads: 7, writes: 40 });
    let aws = Aws::connect(options.clone().with_rows_units(units)).await?;
    aws.bootstrap(&[Resource::Rows]).await?;
    assert_eq!(told(aws.clone()).await, "takes 7 units of reading and 40 of writing a second");
    // What is there keeps its capacity.
    let later = Aws::connect(options.clone()).await?;
    later.bootstrap(&[Resource::Rows]).await?;
    assert_eq!(told(later).await, "takes 7 units of reading and 40 of writing a second");
    aws.delete_everything().await?;
    let aws = Aws::connect(options.clone()).await?;
    aws.bootstrap(&[Resource::Rows]).await?;
    assert_eq!(told(aws).await, "takes what comes, charged by request");
    let refused = Aws::connect(options.with_rows_units(Some(TableUnits { reads: 0, writes: 1 }))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    Ok(())
}
