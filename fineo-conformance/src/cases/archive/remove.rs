//! Removing segments: whole, for good, and nothing else with them.

use fineo_core::{
    ErrorKind, Outcome, Result,
    archive::{Created, SegmentName},
};

use super::{listed, query, segment};
use crate::{
    Case, Place, Restart, Verdict,
    case::cases,
    support::{CANCEL_POLLS_MAX, cancelled_at, restart, shard},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Archive:
    9 "a removed segment is neither read nor listed, and no other goes with it" gone,
    9 "removing what is not there is done" absent,
    9 "removed segments are gone after a restart" restarted,
    9 "removed segments are gone after a crash" crashed,
    8 "a dropped removal leaves a whole segment or none, and can be repeated" dropped,
};

async fn gone(place: Box<dyn Place>) -> Result<Verdict> {
    let (archive, other) = (place.archive().await?, place.archive().await?);
    let beside = SegmentName { shard: shard("s1"), ..segment(1) };
    for name in [&segment(0), &segment(1), &beside, &segment(2)] {
        archive.write(name, name.path().into()).await.into_result()?;
    }
    assert!(other.remove(&segment(1)).await.into_result()?);
    for handle in [&archive, &other] {
        let kind = handle.read(&segment(1), None).await.map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::NotFound));
        let found: Vec<SegmentName> = listed(handle, query()).await?.into_iter().map(|info| info.name).collect();
        assert_eq!(found, [segment(0), beside.clone(), segment(2)]);
        assert_eq!(handle.read(&beside, None).await?, beside.path());
    }
    // The name is free again, for other bytes, too.
    assert_eq!(archive.write(&segment(1), "anew".into()).await.into_result()?, Created::New);
    assert_eq!(other.read(&segment(1), None).await?, "anew");
    Ok(Verdict::Passed)
}

async fn absent(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    assert!(!archive.remove(&segment(1)).await.into_result()?);
    archive.write(&segment(1), "x".into()).await.into_result()?;
    assert!(archive.remove(&segment(1)).await.into_result()?);
    assert!(!archive.remove(&segment(1)).await.into_result()?);
    Ok(Verdict::Passed)
}

async fn stays_gone(mut place: Box<dyn Place>, how: Restart) -> Result<Verdict> {
    let archive = place.archive().await?;
    let durability = archive.capabilities().durability;
    for number in 0..4 {
        archive.write(&segment(number), format!("segment {number}").into()).await.into_result()?;
    }
    archive.remove(&segment(0)).await.into_result()?;
    archive.remove(&segment(2)).await.into_result()?;
    let before = listed(&archive, query()).await?;
    drop(archive);
    if let Some(verdict) = restart(&mut place, durability, how).await? {
        return Ok(verdict);
    }
    let archive = place.archive().await?;
    assert_eq!(listed(&archive, query()).await?, before);
    assert_eq!(archive.read(&segment(2), None).await.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    assert_eq!(archive.read(&segment(3), None).await?, "segment 3");
    Ok(Verdict::Passed)
}

async fn restarted(place: Box<dyn Place>) -> Result<Verdict> {
    stays_gone(place, Restart::Clean).await
}

async fn crashed(place: Box<dyn Place>) -> Result<Verdict> {
    stays_gone(place, Restart::Crash).await
}

async fn dropped(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    for poll in 0..CANCEL_POLLS_MAX {
        let name = segment(poll.cast_signed());
        archive.write(&name, "0123456789".into()).await.into_result()?;
        cancelled_at(poll, archive.remove(&name)).await;
        match archive.read(&name, None).await {
            Ok(there) => assert_eq!(there, "0123456789"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
        let again = archive.remove(&name).await;
        assert!(matches!(again, Outcome::Done(_)), "{again:?}");
    }
    assert!(listed(&archive, query()).await?.is_empty());
    Ok(Verdict::Passed)
}
