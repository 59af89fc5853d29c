//! Reading: from where, until when, and what trimming leaves.

use std::sync::Arc;

use fineo_core::{
    ErrorKind, Position, Result, ShardId, Stream,
    stream::{Appended, ReadFrom},
};
use futures::StreamExt;

use crate::{
    Case, Place, Verdict,
    case::cases,
    support::{CANCEL_POLLS_MAX, append, cancelled_at, entry, positions, read_to_tail, shard},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Stream:
    6 "a read from the start delivers everything" from_start,
    6 "a read after a position delivers everything behind it and nothing else" after_each,
    6 "reading again delivers again" again,
    7 "a read of an open shard waits for more" waits,
    7 "an append through one handle reaches a reader of another" two_handles,
    7 "a read of a closed shard ends behind its last entry" closed,
    8 "a shard that never held an entry has no tail" no_tail,
    8 "the tail is the position of the last entry" last_tail,
    8 "a shard that does not exist is not found" no_shard,
    9 "trimming removes nothing behind the position" trim_keeps,
    9 "a read from before the trimmed part fails and names the first position left" trim_fails,
    9 "a read from the start begins behind the trimmed part" trim_start,
    9 "a shard trimmed of everything goes on" trim_all,
    11 "a dropped read takes nothing away" dropped_read,
    11 "dropped calls leave the stream working" dropped_calls,
    12 "a read from any position meets no damage where there is none" after_each,
};

const COUNT: usize = 50;

/// Fifty entries of one key, and the shard that they went to.
async fn filled(stream: &Arc<dyn Stream>) -> Result<(ShardId, Vec<Appended>)> {
    let appended = append(stream, (0..COUNT).map(|number| entry(3, format!("{number}"))).collect()).await?;
    Ok((appended[0].shard.clone(), appended))
}

async fn from_start(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let (shard, appended) = filled(&stream).await?;
    let read = positions(&read_to_tail(&stream, &shard, ReadFrom::Start).await?);
    assert_eq!(read, appended.iter().map(|appended| appended.position).collect::<Vec<_>>());
    Ok(Verdict::Passed)
}

async fn after_each(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let (shard, appended) = filled(&stream).await?;
    let all: Vec<Position> = appended.iter().map(|appended| appended.position).collect();
    let read = read_to_tail(&stream, &shard, ReadFrom::After(Position::ZERO)).await?;
    assert_eq!(positions(&read), all);
    for (index, position) in all.iter().enumerate() {
        let read = read_to_tail(&stream, &shard, ReadFrom::After(*position)).await?;
        assert_eq!(positions(&read), all[index + 1..]);
    }
    Ok(Verdict::Passed)
}

async fn again(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let (shard, _) = filled(&stream).await?;
    let first = positions(&read_to_tail(&stream, &shard, ReadFrom::Start).await?);
    assert_eq!(positions(&read_to_tail(&stream, &shard, ReadFrom::Start).await?), first);
    Ok(Verdict::Passed)
}

async fn waits(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let (shard, appended) = filled(&stream).await?;
    let last = appended[COUNT - 1].position;
    let mut reader = stream.read(&shard, ReadFrom::After(last));
    for number in 0..5 {
        assert!(futures::poll!(reader.next()).is_pending(), "the read did not wait");
        let appended = append(&stream, vec![entry(3, format!("late {number}"))]).await?;
        let Some(batch) = reader.next().await else { panic!("the read of an open shard ended") };
        assert_eq!(positions(&batch?), [appended[0].position]);
    }
    Ok(Verdict::Passed)
}

async fn two_handles(place: Box<dyn Place>) -> Result<Verdict> {
    let (writer, other) = (place.stream().await?, place.stream().await?);
    let (shard, appended) = filled(&writer).await?;
    let mut reader = other.read(&shard, ReadFrom::After(appended[COUNT - 1].position));
    assert!(futures::poll!(reader.next()).is_pending());
    let late = append(&writer, vec![entry(3, "late")]).await?;
    let Some(batch) = reader.next().await else { panic!("the read of an open shard ended") };
    assert_eq!(positions(&batch?), [late[0].position]);
    assert_eq!(other.tail(&shard).await?, Some(late[0].position));
    Ok(Verdict::Passed)
}

async fn closed(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let (shard, appended) = filled(&stream).await?;
    if !place.split_shard(&shard).await? {
        return Ok(Verdict::ignored("the backend cannot split a shard for a test"));
    }
    let mut read = Vec::new();
    let mut reader = stream.read(&shard, ReadFrom::Start);
    while let Some(batch) = reader.next().await {
        read.extend(positions(&batch?));
    }
    assert_eq!(read, appended.iter().map(|appended| appended.position).collect::<Vec<_>>());
    let shards = stream.shards().await?;
    let parent = shards.iter().position(|known| known.id == shard);
    assert!(parent.is_some_and(|index| shards[index].is_closed));
    let child = append(&stream, vec![entry(3, "child")]).await?[0].shard.clone();
    let child = shards.iter().position(|known| known.id == child);
    assert!(child > parent, "parents come before children");
    assert!(child.is_some_and(|index| shards[index].parents == [shard]));
    Ok(Verdict::Passed)
}

async fn no_tail(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let shards = stream.shards().await?;
    assert!(!shards.is_empty(), "a stream has at least one shard");
    for shard in shards {
        assert_eq!(stream.tail(&shard.id).await?, None);
        assert!(futures::poll!(stream.read(&shard.id, ReadFrom::Start).next()).is_pending());
    }
    Ok(Verdict::Passed)
}

async fn last_tail(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let mut first = None;
    for round in 0..10_u64 {
        let appended = append(&stream, vec![entry(3, format!("{round}")), entry(3, "x")]).await?;
        let last = Some(appended[1].position);
        assert_eq!(stream.tail(&appended[1].shard).await?, last);
        let known = *first.get_or_insert(appended[0].position);
        let (shard, sent) = (&appended[1].shard, 2 * (round + 1));
        if round == 9 {
            assert_eq!(stream.tail_from(shard, Some(known)).await?, last);
        }
        for (after, expected) in [(None, sent), (Some(known), sent - 1), (last, 0)] {
            let count = stream.count_after(shard, after).await?;
            assert!(count.is_none_or(|count| count == expected), "{count:?} behind {after:?}");
        }
    }
    Ok(Verdict::Passed)
}

async fn no_shard(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let missing = shard("no-such-shard");
    let tail = stream.tail(&missing).await;
    assert!(tail.is_err_and(|error| error.kind() == ErrorKind::NotFound));
    let first = stream.read(&missing, ReadFrom::Start).next().await;
    assert!(first.is_some_and(|batch| batch.is_err_and(|error| error.kind() == ErrorKind::NotFound)));
    Ok(Verdict::Passed)
}

fn cannot_trim() -> Verdict {
    Verdict::ignored("the stream cannot trim: can_trim is false")
}

async fn trim_keeps(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    if !stream.capabilities().can_trim {
        return Ok(cannot_trim());
    }
    let (shard, appended) = filled(&stream).await?;
    for index in [0, 1, 19, 5, 30] {
        stream.trim(&shard, appended[index].position).await.into_result()?;
        let from = index.max(if index == 5 { 19 } else { 0 });
        let read = positions(&read_to_tail(&stream, &shard, ReadFrom::After(appended[from].position)).await?);
        let left: Vec<Position> = appended[from + 1..].iter().map(|appended| appended.position).collect();
        assert_eq!(read, left, "after trimming through entry {index}");
    }
    Ok(Verdict::Passed)
}

async fn trim_fails(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    if !stream.capabilities().can_trim {
        return Ok(cannot_trim());
    }
    let (shard, appended) = filled(&stream).await?;
    stream.trim(&shard, appended[19].position).await.into_result()?;
    for index in 0..19 {
        let from = appended[index].position;
        match stream.read(&shard, ReadFrom::After(from)).next().await {
            // It kept some of what it might have trimmed; then it skips nothing.
            Some(Ok(batch)) => assert_eq!(batch[0].position, appended[index + 1].position),
            Some(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::NotFound);
                let first = error.context().iter().find(|(name, _)| *name == "first");
                let first: Option<Position> = first.map(|(_, text)| text.parse()).transpose()?;
                assert!(first.is_some_and(|first| from < first && first <= appended[20].position), "{error}");
            }
            None => panic!("the read of an open shard ended"),
        }
    }
    Ok(Verdict::Passed)
}

async fn trim_start(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    if !stream.capabilities().can_trim {
        return Ok(cannot_trim());
    }
    let (shard, appended) = filled(&stream).await?;
    stream.trim(&shard, appended[19].position).await.into_result()?;
    let read = positions(&read_to_tail(&stream, &shard, ReadFrom::Start).await?);
    let all: Vec<Position> = appended.iter().map(|appended| appended.position).collect();
    assert!(read.len() >= COUNT - 20 && all.ends_with(&read), "a read skipped entries: {read:?}");
    assert_eq!(stream.tail(&shard).await?, all.last().copied());
    Ok(Verdict::Passed)
}

async fn trim_all(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    if !stream.capabilities().can_trim {
        return Ok(cannot_trim());
    }
    let (shard, appended) = filled(&stream).await?;
    let last = appended[COUNT - 1].position;
    stream.trim(&shard, last).await.into_result()?;
    assert_eq!(stream.tail(&shard).await?, Some(last));
    let mut reader = stream.read(&shard, ReadFrom::After(last));
    assert!(futures::poll!(reader.next()).is_pending());
    let late = append(&stream, vec![entry(3, "late")]).await?;
    assert!(late[0].position > last, "a position was given twice");
    let Some(batch) = reader.next().await else { panic!("the read of an open shard ended") };
    assert_eq!(positions(&batch?), [late[0].position]);
    Ok(Verdict::Passed)
}

async fn dropped_read(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let (shard, appended) = filled(&stream).await?;
    for poll in 0..CANCEL_POLLS_MAX {
        cancelled_at(poll, stream.read(&shard, ReadFrom::Start).next()).await;
    }
    let mut reader = stream.read(&shard, ReadFrom::Start);
    reader.next().await.transpose()?;
    drop(reader);
    assert_eq!(read_to_tail(&stream, &shard, ReadFrom::Start).await?.len(), appended.len());
    Ok(Verdict::Passed)
}

async fn dropped_calls(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let (shard, appended) = filled(&stream).await?;
    for poll in 0..CANCEL_POLLS_MAX {
        cancelled_at(poll, stream.sync()).await;
        cancelled_at(poll, stream.shards()).await;
        cancelled_at(poll, stream.tail(&shard)).await;
        if stream.capabilities().can_trim {
            cancelled_at(poll, stream.trim(&shard, appended[0].position)).await;
        }
    }
    let late = append(&stream, vec![entry(3, "late")]).await?;
    stream.sync().await.into_result()?;
    assert_eq!(stream.tail(&shard).await?, Some(late[0].position));
    let behind = read_to_tail(&stream, &shard, ReadFrom::After(appended[0].position)).await?;
    assert_eq!(behind.len(), COUNT);
    Ok(Verdict::Passed)
}
