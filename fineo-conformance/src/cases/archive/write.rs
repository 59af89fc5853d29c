//! Writing segments: once, whole, whoever else writes.

use bytes::Bytes;
use fineo_core::{ErrorKind, Outcome, Result, archive::Created};
use futures::StreamExt;

use super::{listed, query, segment};
use crate::{
    Case, Place, Restart, Verdict,
    case::cases,
    support::{CANCEL_POLLS_MAX, RACERS, answer, cancelled_at, filler, is_late, race, restart},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Archive:
    1 "a segment is created and never overwritten" once,
    1 "of many writers of one name with different bytes exactly one creates it" race_of_different,
    2 "writing the same bytes again is the same" same,
    2 "of many writers of the same bytes one creates and the others find the same" race_of_same,
    3 "a reader and a listing meet a whole segment or none" whole,
    4 "written segments are there after a restart" restarted,
    4 "written segments are there after a crash" crashed,
    8 "a dropped write leaves a whole segment or none, and can be repeated" dropped,
};

async fn once(place: Box<dyn Place>) -> Result<Verdict> {
    let (archive, other) = (place.archive().await?, place.archive().await?);
    let name = segment(1);
    assert_eq!(archive.write(&name, "first".into()).await.into_result()?, Created::New);
    // Of an archive that lists late it stands once it is there.
    assert_eq!(archive.read(&name, None).await?, "first");
    for (handle, bytes) in [(&archive, "second"), (&other, "third"), (&other, ""), (&archive, "first and more")] {
        let found = handle.write(&name, bytes.into()).await.into_result()?;
        assert_eq!(found, answer(handle, Created::Conflict));
    }
    assert_eq!(archive.read(&name, None).await?, "first");
    assert_eq!(other.read(&name, None).await?, "first");
    Ok(Verdict::Passed)
}

async fn race_of_different(place: Box<dyn Place>) -> Result<Verdict> {
    for round in 0..8 {
        let name = segment(round);
        let mut racers = Vec::new();
        for racer in 0..RACERS {
            let (archive, name) = (place.archive().await?, name.clone());
            racers.push(async move { archive.write(&name, format!("of {racer}").into()).await.into_result() });
        }
        let found = race(racers).await?.into_iter().collect::<Result<Vec<Created>>>()?;
        let archive = place.archive().await?;
        let winners: Vec<usize> = (0..RACERS).filter(|racer| found[*racer] == Created::New).collect();
        let losers = found.iter().filter(|found| **found == Created::Conflict).count();
        let expected = if is_late(&archive) { (RACERS, 0) } else { (1, RACERS - 1) };
        assert_eq!((winners.len(), losers), expected, "{found:?}");
        // Of an archive that lists late any of them may stand, and stays.
        let there = archive.read(&name, None).await?;
        assert!(winners.iter().any(|winner| there == format!("of {winner}")), "{there:?}");
        assert_eq!(archive.read(&name, None).await?, there);
    }
    Ok(Verdict::Passed)
}

async fn same(place: Box<dyn Place>) -> Result<Verdict> {
    let (archive, other) = (place.archive().await?, place.archive().await?);
    for (number, bytes) in ["", "x", &filler(1 << 20)].into_iter().enumerate() {
        let name = segment(number as i64);
        let bytes = Bytes::from(bytes.to_owned());
        assert_eq!(archive.write(&name, bytes.clone()).await.into_result()?, Created::New);
        assert_eq!(archive.write(&name, bytes.clone()).await.into_result()?, answer(&archive, Created::Same));
        assert_eq!(other.write(&name, bytes).await.into_result()?, answer(&other, Created::Same));
    }
    Ok(Verdict::Passed)
}

async fn race_of_same(place: Box<dyn Place>) -> Result<Verdict> {
    let mut racers = Vec::new();
    for _ in 0..RACERS {
        let archive = place.archive().await?;
        racers.push(async move { archive.write(&segment(1), "same".into()).await.into_result() });
    }
    let found = race(racers).await?.into_iter().collect::<Result<Vec<Created>>>()?;
    let count = |wanted: Created| found.iter().filter(|found| **found == wanted).count();
    let expected = if is_late(&place.archive().await?) { (RACERS, 0) } else { (1, RACERS - 1) };
    assert_eq!((count(Created::New), count(Created::Same)), expected, "{found:?}");
    Ok(Verdict::Passed)
}

async fn whole(place: Box<dyn Place>) -> Result<Verdict> {
    let (writer, reader) = (place.archive().await?, place.archive().await?);
    let bytes = Bytes::from(filler(1 << 20));
    let len = bytes.len() as u64;
    let write = tokio::spawn(async move {
        for number in 0..20 {
            writer.write(&segment(number), bytes.clone()).await.into_result()?;
        }
        Result::Ok(())
    });
    while !write.is_finished() {
        let mut segments = reader.segments(query());
        while let Some(info) = segments.next().await {
            let info = info?;
            assert_eq!(info.bytes, len, "a part of a segment was listed");
            assert_eq!(reader.read(&info.name, None).await?.len() as u64, len);
        }
        for number in 0..20 {
            match reader.read(&segment(number), None).await {
                Ok(bytes) => assert_eq!(bytes.len() as u64, len, "a part of a segment was read"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
            }
        }
        tokio::task::yield_now().await;
    }
    write.await.map_err(|error| fineo_core::Error::internal("the writer failed").with_source(error))??;
    Ok(Verdict::Passed)
}

async fn survives(mut place: Box<dyn Place>, how: Restart) -> Result<Verdict> {
    let archive = place.archive().await?;
    let durability = archive.capabilities().durability;
    for number in 0..10 {
        archive.write(&segment(number), format!("segment {number}").into()).await.into_result()?;
    }
    let before = listed(&archive, query()).await?;
    drop(archive);
    if let Some(verdict) = restart(&mut place, durability, how).await? {
        return Ok(verdict);
    }
    let archive = place.archive().await?;
    assert_eq!(listed(&archive, query()).await?, before);
    for number in 0..10 {
        assert_eq!(archive.read(&segment(number), None).await?, Bytes::from(format!("segment {number}")));
    }
    let found = archive.write(&segment(3), "other".into()).await.into_result()?;
    assert_eq!(found, answer(&archive, Created::Conflict));
    assert_eq!(archive.read(&segment(3), None).await?, "segment 3");
    Ok(Verdict::Passed)
}

async fn restarted(place: Box<dyn Place>) -> Result<Verdict> {
    survives(place, Restart::Clean).await
}

async fn crashed(place: Box<dyn Place>) -> Result<Verdict> {
    survives(place, Restart::Crash).await
}

async fn dropped(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    let bytes = Bytes::from(filler(200_000));
    for poll in 0..CANCEL_POLLS_MAX {
        let name = segment(poll.cast_signed());
        cancelled_at(poll, archive.write(&name, bytes.clone())).await;
        match archive.read(&name, None).await {
            Ok(there) => assert!(there == bytes, "a part of a segment was read"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
        let again = archive.write(&name, bytes.clone()).await;
        assert!(matches!(again, Outcome::Done(Created::New | Created::Same)), "{again:?}");
    }
    assert_eq!(listed(&archive, query()).await?.len() as u64, CANCEL_POLLS_MAX);
    Ok(Verdict::Passed)
}
