//! Segments in a cold storage class, where there is one.

use fineo_core::{
    ErrorKind, Result,
    archive::{Availability, Restore, SegmentName},
};

use super::{listed, query, segment};
use crate::{Case, Place, Verdict, case::cases};

/// How often a restore may be asked for before the segment is back.
const LOOKS_MAX: usize = 100;

pub(in crate::cases) const CASES: &[Case] = cases! { Archive:
    10 "a segment that is cold is listed and cannot be read until it is restored, and then is what it was" restored,
    10 "a segment that is cold can be removed" removed,
};

async fn restored(place: Box<dyn Place>) -> Result<Verdict> {
    let (archive, other) = (place.archive().await?, place.archive().await?);
    for name in [&segment(1), &segment(2)] {
        archive.write(name, name.path().into()).await.into_result()?;
    }
    let is_cold = place.freeze(&segment(1)).await?;
    let names: Vec<SegmentName> = listed(&archive, query()).await?.into_iter().map(|info| info.name).collect();
    assert_eq!(names, [segment(1), segment(2)]);
    let found = archive.availability(&segment(1), None).await?;
    assert_eq!(matches!(found, Availability::Cold { .. }), is_cold, "{found:?}");
    assert_eq!(archive.availability(&segment(2), None).await?, Availability::Ready);

    let restore = Some(Restore::for_days(7)?);
    for look in 0..LOOKS_MAX {
        let handle = if look % 2 == 0 { &archive } else { &other };
        for range in [None, Some((0, 5))].into_iter().filter(|_| look == 0 && is_cold) {
            let kind = handle.read(&segment(1), range).await.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::Cold), "{range:?}");
        }
        match handle.availability(&segment(1), restore).await? {
            Availability::Ready => {
                assert_eq!(
                    look > 0,
                    is_cold,
                    "nothing is back at once, and nothing that is there has to be waited for"
                );
                assert_eq!(other.read(&segment(1), None).await?, segment(1).path());
                assert_eq!(archive.availability(&segment(1), restore).await?, Availability::Ready);
                assert_eq!(archive.availability(&segment(2), restore).await?, Availability::Ready);
                return Ok(Verdict::Passed);
            }
            Availability::Restoring { .. } => {
                let kind = handle.read(&segment(1), None).await.map_err(|error| error.kind());
                assert_eq!(kind, Err(ErrorKind::Cold));
            }
            Availability::Cold { .. } => panic!("it was asked for"),
        }
    }
    panic!("the segment is not back after {LOOKS_MAX} looks");
}

async fn removed(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    archive.write(&segment(1), "x".into()).await.into_result()?;
    place.freeze(&segment(1)).await?;
    assert!(archive.remove(&segment(1)).await.into_result()?);
    assert!(listed(&archive, query()).await?.is_empty());
    let kind = archive.read(&segment(1), None).await.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::NotFound));
    Ok(Verdict::Passed)
}
