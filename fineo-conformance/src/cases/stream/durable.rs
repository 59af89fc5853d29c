//! Durability: what is there after a restart or a crash.

use bytes::Bytes;
use fineo_core::{Result, stream::ReadFrom};

use crate::{
    Case, Place, Restart, Verdict,
    case::cases,
    support::{RACERS, append, entry, positions, race, read_all, read_to_tail, restart},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Stream:
    4 "many syncs at once are all done" syncs,
    4 "synced entries are there after a restart" restarted,
    4 "synced entries are there after a crash" crashed,
    4 "what was trimmed stays trimmed after a restart, and positions go on" trimmed,
    5 "a position that vanished in a crash is not given to another entry" vanished,
};

async fn syncs(place: Box<dyn Place>) -> Result<Verdict> {
    let mut racers = Vec::new();
    for racer in 0..RACERS {
        let stream = place.stream().await?;
        racers.push(async move {
            append(&stream, vec![entry(racer as u64, "x")]).await?;
            stream.sync().await.into_result()
        });
    }
    for synced in race(racers).await? {
        synced?;
    }
    Ok(Verdict::Passed)
}

async fn survives(mut place: Box<dyn Place>, how: Restart) -> Result<Verdict> {
    let stream = place.stream().await?;
    let durability = stream.capabilities().durability;
    let mut appended = Vec::new();
    for round in 0..5 {
        appended.extend(append(&stream, (0..20).map(|key| entry(key, format!("{round} {key}"))).collect()).await?);
    }
    stream.sync().await.into_result()?;
    let before = read_all(&stream).await?;
    drop(stream);
    if let Some(verdict) = restart(&mut place, durability, how).await? {
        return Ok(verdict);
    }
    let stream = place.stream().await?;
    let after = read_all(&stream).await?;
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    let late = append(&stream, vec![entry(0, "late")]).await?;
    assert!(appended.iter().all(|old| old.shard != late[0].shard || old.position < late[0].position));
    Ok(Verdict::Passed)
}

async fn restarted(place: Box<dyn Place>) -> Result<Verdict> {
    survives(place, Restart::Clean).await
}

async fn crashed(place: Box<dyn Place>) -> Result<Verdict> {
    survives(place, Restart::Crash).await
}

async fn trimmed(mut place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let capabilities = stream.capabilities();
    if !capabilities.can_trim {
        return Ok(Verdict::ignored("the stream cannot trim: can_trim is false"));
    }
    let appended = append(&stream, (0..20).map(|_| entry(1, "x")).collect()).await?;
    let (shard, last) = (appended[19].shard.clone(), appended[19].position);
    stream.sync().await.into_result()?;
    stream.trim(&shard, last).await.into_result()?;
    let left = read_to_tail(&stream, &shard, ReadFrom::After(last)).await?;
    drop(stream);
    if let Some(verdict) = restart(&mut place, capabilities.durability, Restart::Clean).await? {
        return Ok(verdict);
    }
    let stream = place.stream().await?;
    assert_eq!(stream.tail(&shard).await?, Some(last));
    let late = append(&stream, vec![entry(1, "late")]).await?;
    assert!(late[0].position > last, "a position was given twice");
    let read = read_to_tail(&stream, &shard, ReadFrom::After(last)).await?;
    assert_eq!(read.len(), left.len() + 1);
    Ok(Verdict::Passed)
}

async fn vanished(mut place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    append(&stream, vec![entry(1, "synced")]).await?;
    stream.sync().await.into_result()?;
    let unsynced = append(&stream, vec![entry(1, "unsynced a"), entry(1, "unsynced b")]).await?;
    let shard = unsynced[0].shard.clone();
    // Somebody has seen them.
    assert_eq!(read_to_tail(&stream, &shard, ReadFrom::Start).await?.len(), 3);
    drop(stream);
    if !place.restart(Restart::Crash).await? {
        return Ok(Verdict::ignored("the backend cannot crash for a test"));
    }
    let stream = place.stream().await?;
    let survivors = positions(&read_to_tail(&stream, &shard, ReadFrom::Start).await?);
    let late = append(&stream, (0..3).map(|number| entry(1, format!("late {number}"))).collect()).await?;
    for late in &late {
        assert!(unsynced.iter().all(|old| old.position != late.position), "a position was given to another entry");
        assert!(survivors.iter().all(|old| *old < late.position));
    }
    let read = read_to_tail(&stream, &shard, ReadFrom::Start).await?;
    let payloads: Vec<&Bytes> = read.iter().map(|delivery| &delivery.payload).collect();
    assert_eq!(payloads.len(), survivors.len() + 3);
    assert!(payloads.ends_with(&[&Bytes::from("late 0"), &Bytes::from("late 1"), &Bytes::from("late 2")]));
    Ok(Verdict::Passed)
}
