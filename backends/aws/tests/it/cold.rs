//! Segments in Glacier, which the proxy plays: a replay asks for them, waits, and is whole; and the rules that move them there.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fineo_aws_faults::{Cold, FaultProxy, Plan};
use fineo_backend_aws::{Aws, ColdAfter, Endpoints, Resource};
use fineo_conformance::pipeline::Stores;
use fineo_core::{
    Archive, Clock, Error, ErrorKind, Result, SystemClock, TenantId,
    archive::{Availability, Created, Restore, RestoreTier, Stage},
};
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, ReplayRequest, RestoreProgress};
use libtest_mimic::Trial;
use tokio::sync::mpsc;

use crate::{
    cases::{Run, everywhere, trial},
    place::{endpoint, options, seed},
    segments::{asked, name},
    sweep::OnAws,
};

const SOON: Duration = Duration::from_secs(30);

/// The trials of cold segments.
pub(crate) fn trials() -> Vec<Trial> {
    let cases: [(&str, Run); 4] = [
        ("aws, D8: a replay over segments in Glacier asks for them once, waits, and is whole", || Box::pin(replayed())),
        ("aws: what Intelligent-Tiering archived is asked for without days, and stays back", || Box::pin(tiered())),
        ("aws: what was restored is cold again after its days", || Box::pin(expired())),
        ("aws: old segments move by rules that leave the bucket's others alone", || Box::pin(ruled())),
    ];
    cases.into_iter().map(trial).collect()
}

async fn proxied(plan: Plan) -> Result<(Aws, FaultProxy)> {
    let url = endpoint("FINEO_TEST_S3_URL")?;
    let proxy =
        FaultProxy::start(&url, plan).await.map_err(|source| Error::internal("no proxy").with_source(source))?;
    let options = everywhere().await?.options().clone();
    let endpoints = options.endpoints.clone().with_s3(proxy.url());
    Ok((Aws::connect(options.with_endpoints(endpoints).with_shards(Some(1))).await?, proxy))
}

async fn start(aws: &Aws) -> Result<Pipeline> {
    Pipeline::start(OnAws(aws.clone()).parts().await?, PipelineOptions::default().with_is_alone(true)).await
}

async fn replayed() -> Result<()> {
    const SEGMENTS: u64 = 4;
    let (aws, proxy) = proxied(Plan::hard(seed())).await?;
    let aws = Aws::open(aws.options().clone()).await?;
    let tenant = TenantId::new("acme")?;
    for number in 0..SEGMENTS {
        let pipeline = start(&aws).await?;
        let events =
            [1, 2, 3].map(|part| format!("{{\"metrictype\":\"m\",\"timestamp\":{},\"v\":1}}", 10 * number + part));
        let receipt = pipeline.edge().ingest(&tenant, events.concat().into()).await?;
        pipeline.wait_until_queryable(receipt.token(), SOON).await?;
        pipeline.stop().await?;
    }
    proxy.freeze("/raw/received/", Cold::Glacier, 5);
    proxy.freeze("/staged/received/", Cold::Glacier, 1);
    // What stage raw passes on again makes one more segment of stage staged.
    for stage in [Stage::Staged, Stage::Raw] {
        let request = ReplayRequest::new(stage, tenant.clone());
        let pipeline = start(&aws).await?;
        let error = pipeline.replay(request.clone(), &NoFiles).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cold, "{error}");
        assert!(error.context().contains(&("segments", SEGMENTS.to_string())), "{error}");
        if stage == Stage::Raw {
            broken_off(&pipeline, &request).await?;
        }
        pipeline.stop().await?;

        let pipeline = start(&aws).await?;
        let on_their_way = if stage == Stage::Raw { SEGMENTS } else { 0 };
        assert_eq!(pipeline.cold_segments(&request).await?.restoring, on_their_way);
        let told: Mutex<Vec<u64>> = Mutex::default();
        let tell = |progress: &RestoreProgress| told.lock().unwrap().push(progress.back);
        let done = pipeline.restore_cold(&request, for_a_week(), &tell).await?;
        let told = told.into_inner().unwrap();
        assert_eq!((done.segments, done.back, told.is_sorted()), (SEGMENTS, SEGMENTS, true), "{told:?}");
        let report = pipeline.replay(request, &NoFiles).await?;
        assert_eq!((report.passed, report.rows, report.rejected.len()), (3 * SEGMENTS, 0, 0), "{report:?}");
        pipeline.stop().await?;
    }
    assert_eq!(proxy.tally().fault("a restore was begun"), 2 * SEGMENTS, "{}", proxy.tally());
    aws.delete_everything().await
}

fn for_a_week() -> Restore {
    Restore::for_days(7).unwrap().with_tier(RestoreTier::Bulk)
}

/// Breaks a restore off once everything was asked for.
async fn broken_off(pipeline: &Pipeline, request: &ReplayRequest) -> Result<()> {
    let (sender, mut told) = mpsc::unbounded_channel();
    let tell = move |progress: &RestoreProgress| sender.send(progress.back).unwrap();
    tokio::select! {
        done = pipeline.restore_cold(request, for_a_week(), &tell) => panic!("nothing is back at once: {done:?}"),
        back = told.recv() => assert_eq!(back, Some(0)),
    }
    Ok(())
}

/// An archive behind a quiet proxy, with one segment that is cold.
async fn frozen(cold: Cold) -> Result<(Arc<dyn Archive>, FaultProxy)> {
    let (aws, proxy) = proxied(Plan::quiet()).await?;
    aws.bootstrap(&[Resource::Bucket]).await?;
    let archive = aws.archive();
    assert_eq!(archive.write(&name(), "x".into()).await.into_result()?, Created::New);
    proxy.freeze(&name().path(), cold, 1);
    Ok((archive, proxy))
}

async fn tiered() -> Result<()> {
    let (archive, proxy) = frozen(Cold::IntelligentTiering).await?;
    assert_eq!(archive.read(&name(), None).await.map_err(|error| error.kind()), Err(ErrorKind::Cold));
    let restore = Some(Restore::for_days(7)?);
    assert!(matches!(archive.availability(&name(), restore).await?, Availability::Restoring { .. }));
    assert_eq!(archive.availability(&name(), restore).await?, Availability::Ready);
    assert_eq!(archive.read(&name(), None).await?, "x");
    assert_eq!(proxy.tally().fault("a restore was not understood"), 0);
    Ok(())
}

async fn expired() -> Result<()> {
    let (archive, proxy) = frozen(Cold::Glacier).await?;
    let restore = Some(Restore::for_days(1)?);
    for _ in 0..2 {
        let error = archive.read(&name(), None).await.unwrap_err();
        assert!(error.context().contains(&("segment", name().path())), "{error}");
        let Availability::Cold { written_at } = archive.availability(&name(), None).await? else {
            panic!("it is cold");
        };
        let age = SystemClock.now().micros() - written_at.micros();
        assert!(age.abs() < 60_000_000, "written {age} microseconds ago");
        archive.availability(&name(), restore).await?;
        assert_eq!(archive.availability(&name(), restore).await?, Availability::Ready);
        assert_eq!(archive.read(&name(), None).await?, "x");
        proxy.expire_restored();
    }
    assert_eq!(proxy.tally().fault("a restore was begun"), 2);
    Ok(())
}

async fn ruled() -> Result<()> {
    let url = endpoint("FINEO_TEST_S3_URL")?;
    let options = options(Endpoints::default().with_s3(&url));
    let rules = async |cold: Option<ColdAfter>| {
        let aws = Aws::connect(options.clone().with_archive_cold(cold)).await?;
        aws.bootstrap(&[Resource::Bucket]).await?;
        Result::Ok(asked(&url, "GET", &format!("/{}?lifecycle", aws.bucket().name())).await)
    };
    let after = |days, class: &str| Some(ColdAfter { days, class: class.to_owned() });
    assert_eq!(rules(None).await?.matches("<Rule>").count(), 2);
    for (days, class) in [(90, "GLACIER"), (180, "DEEP_ARCHIVE")] {
        let told = rules(after(days, class)).await?;
        assert_eq!(told.matches("<Rule>").count(), 4, "{told}");
        let transition = (format!("<Days>{days}</Days>"), format!("<StorageClass>{class}</StorageClass>"));
        assert_eq!((told.matches(&transition.0).count(), told.matches(&transition.1).count()), (2, 2), "{told}");
    }
    assert!(rules(None).await?.contains("DEEP_ARCHIVE"), "who says nothing leaves them as they are");
    let at_once = options.clone().with_archive_class(Some("GLACIER".to_owned()));
    assert_eq!(Aws::connect(at_once).await.unwrap_err().kind(), ErrorKind::Invalid);
    for (days, class) in [(29, "GLACIER"), (90, "COLDEST")] {
        assert_eq!(rules(after(days, class)).await.unwrap_err().kind(), ErrorKind::Invalid, "{days} {class}");
    }
    Ok(())
}
