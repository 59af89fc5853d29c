//! Reading and listing segments.

use bytes::Bytes;
use fineo_core::{
    ErrorKind, Position, Result, Timestamp,
    archive::{SegmentInfo, SegmentKind, SegmentName, SegmentQuery, Stage},
};

use super::{listed, query, segment};
use crate::{
    Case, Place, Verdict,
    case::cases,
    support::{at, filler, shard},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Archive:
    5 "a segment is read byte by byte" bytes,
    5 "a range of a segment is read as that part of it" ranges,
    5 "a range that is not within the segment is invalid" bad_ranges,
    6 "an archive without segments lists none" none,
    6 "segments are listed once and in order of time, with their sizes" order,
    6 "a listing names segments of its stage and kind only" kinds,
    6 "a listing names many segments" many,
    6 "a listing begins where it is told to" from_a_time,
    6 "names at the ends of what a name may be are listed as written" ends,
    7 "a segment that is not there is not found" absent,
};

async fn bytes(place: Box<dyn Place>) -> Result<Verdict> {
    let (archive, other) = (place.archive().await?, place.archive().await?);
    let every_byte: Vec<u8> = (0..=255).collect();
    let segments: Vec<Bytes> =
        vec!["".into(), every_byte.into(), filler(1 << 20).into(), vec![0; 5000].into(), "\r\n".into()];
    for (number, bytes) in segments.iter().enumerate() {
        archive.write(&segment(number as i64), bytes.clone()).await.into_result()?;
    }
    for (number, bytes) in segments.iter().enumerate() {
        assert!(archive.read(&segment(number as i64), None).await? == bytes, "segment {number} differs");
        assert!(other.read(&segment(number as i64), None).await? == bytes, "segment {number} differs");
    }
    Ok(Verdict::Passed)
}

async fn ranges(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    let whole = Bytes::from(filler(100_000));
    archive.write(&segment(1), whole.clone()).await.into_result()?;
    for (from, to) in [(0, 100_000), (0, 1), (99_999, 100_000), (5, 5), (0, 0), (100_000, 100_000), (4095, 65_537)] {
        let part = archive.read(&segment(1), Some((from as u64, to as u64))).await?;
        assert!(part == whole.slice(from..to), "bytes {from} to {to} differ");
    }
    Ok(Verdict::Passed)
}

async fn bad_ranges(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    archive.write(&segment(1), "0123456789".into()).await.into_result()?;
    for (from, to) in [(0, 11), (10, 11), (11, 12), (11, 11), (5, 4), (0, u64::MAX), (u64::MAX, 0)] {
        let kind = archive.read(&segment(1), Some((from, to))).await.map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::Invalid), "bytes {from} to {to}");
    }
    Ok(Verdict::Passed)
}

async fn none(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    assert!(listed(&archive, query()).await?.is_empty());
    Ok(Verdict::Passed)
}

async fn order(place: Box<dyn Place>) -> Result<Verdict> {
    let (archive, other) = (place.archive().await?, place.archive().await?);
    let day = 86_400_000_000;
    let times = [5, -1, 400 * day, 0, 40 * day, day, -400 * day, 9, 10, 100];
    for (index, time) in times.into_iter().enumerate() {
        archive.write(&segment(time), filler(index).into()).await.into_result()?;
        // Writing it again lists it once.
        archive.write(&segment(time), filler(index).into()).await.into_result()?;
    }
    let mut expected: Vec<SegmentInfo> = times
        .into_iter()
        .enumerate()
        .map(|(index, time)| SegmentInfo { name: segment(time), bytes: index as u64 })
        .collect();
    expected.sort_by(|left, right| left.name.cmp(&right.name));
    assert_eq!(listed(&archive, query()).await?, expected);
    assert_eq!(listed(&other, query()).await?, expected);
    Ok(Verdict::Passed)
}

async fn kinds(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    let mut names = Vec::new();
    for stage in Stage::ALL {
        for kind in SegmentKind::ALL {
            names.push(SegmentName { stage, kind, ..segment(1) });
        }
    }
    for name in &names {
        archive.write(name, name.path().into()).await.into_result()?;
    }
    for name in names {
        let query = SegmentQuery::new(name.stage, name.kind);
        let found = listed(&archive, query).await?;
        let found: Vec<&SegmentName> = found.iter().map(|info| &info.name).collect();
        assert_eq!(found, [&name]);
        assert_eq!(archive.read(&name, None).await?, Bytes::from(name.path()));
    }
    Ok(Verdict::Passed)
}

async fn many(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    for number in 0..600 {
        archive.write(&segment(number * 60_000_000), "x".into()).await.into_result()?;
    }
    let found: Vec<SegmentName> = listed(&archive, query()).await?.into_iter().map(|info| info.name).collect();
    assert_eq!(found, (0..600).map(|number| segment(number * 60_000_000)).collect::<Vec<_>>());
    Ok(Verdict::Passed)
}

async fn from_a_time(place: Box<dyn Place>) -> Result<Verdict> {
    const DAY: i64 = 86_400_000_000;
    let archive = place.archive().await?;
    let times = [-400 * DAY, -1, 0, 1, DAY - 1, DAY, DAY + 1, 31 * DAY, 365 * DAY, 20_000 * DAY];
    let mut names = Vec::new();
    for micros in times {
        for of_shard in ["s0", "a_1"] {
            names.push(SegmentName { shard: shard(of_shard), ..segment(micros) });
        }
        // Others' segments order before and behind.
        let others = [(Stage::Raw, SegmentKind::Malformed), (Stage::Staged, SegmentKind::Received)];
        names.extend(others.map(|(stage, kind)| SegmentName { stage, kind, ..segment(micros) }));
    }
    for name in &names {
        archive.write(name, "x".into()).await.into_result()?;
    }
    let edges = times.into_iter().flat_map(|micros| [micros - 1, micros, micros + 1]).map(at);
    for from in edges.chain([Timestamp::MIN, Timestamp::MAX]) {
        let found = listed(&archive, query().with_from(Some(from))).await?;
        let found: Vec<SegmentName> = found.into_iter().map(|info| info.name).collect();
        let is_asked = |name: &&SegmentName| name.stage == Stage::Raw && name.kind == SegmentKind::Received;
        let mut expected: Vec<SegmentName> =
            names.iter().filter(is_asked).filter(|name| name.time >= from).cloned().collect();
        expected.sort();
        assert_eq!(found, expected, "from {from}");
    }
    Ok(Verdict::Passed)
}

async fn ends(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    let long = filler(128);
    let names = [
        SegmentName { time: Timestamp::MIN, ..segment(0) },
        SegmentName { time: at(1), shard: shard("a_b.c-d"), ..segment(0) },
        SegmentName { time: at(2), shard: shard(&long), ..segment(0) },
        SegmentName { time: at(3), first: Position::ZERO, last: Position::from_bytes([255; 24]), ..segment(0) },
        SegmentName { time: Timestamp::MAX, ..segment(0) },
    ];
    for name in &names {
        archive.write(name, name.path().into()).await.into_result()?;
    }
    let found: Vec<SegmentName> = listed(&archive, query()).await?.into_iter().map(|info| info.name).collect();
    assert_eq!(found, names);
    Ok(Verdict::Passed)
}

async fn absent(place: Box<dyn Place>) -> Result<Verdict> {
    let archive = place.archive().await?;
    archive.write(&segment(1), "x".into()).await.into_result()?;
    for range in [None, Some((0, 1)), Some((0, 0))] {
        let kind = archive.read(&segment(2), range).await.map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::NotFound));
    }
    Ok(Verdict::Passed)
}
