//! Appending: outcomes, order, fidelity.

use std::collections::BTreeSet;

use bytes::Bytes;
use fineo_core::{ErrorKind, Outcome, Result, stream::Entry};

use crate::{
    Case, Place, Verdict,
    case::cases,
    support::{CANCEL_POLLS_MAX, RACERS, append, cancelled_at, entry, filler, race, read_all, tenant},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Stream:
    1 "an append answers one outcome per entry, in the order of the entries" answers_in_order,
    1 "an append of nothing answers nothing" nothing,
    1 "an entry beyond the limit is refused and its neighbours are taken" too_large,
    1 "entries beyond the most of one append are refused, the others taken" too_many,
    2 "positions grow in the order of appends" positions_grow,
    2 "entries of one key stay in one shard and in their order" one_key,
    2 "racing appends get positions of their own" racing,
    3 "payloads are delivered byte by byte" payloads,
    3 "a delivery names the tenant of its entry" tenants,
    10 "an append that was dropped was applied once or not at all" dropped,
};

async fn answers_in_order(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let entries = (0..100).map(|key| entry(key, format!("payload {key}"))).collect();
    let appended = append(&stream, entries).await?;
    let there = read_all(&stream).await?;
    for (key, appended) in appended.iter().enumerate() {
        let found =
            there.iter().find(|(shard, delivery)| *shard == appended.shard && delivery.position == appended.position);
        let payload = found.map(|(_, delivery)| delivery.payload.clone());
        assert_eq!(payload, Some(Bytes::from(format!("payload {key}"))));
    }
    assert_eq!(there.len(), 100);
    Ok(Verdict::Passed)
}

async fn nothing(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    assert!(stream.append(Vec::new()).await.is_empty());
    Ok(Verdict::Passed)
}

async fn too_large(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let bytes_max = stream.capabilities().entry_bytes_max;
    if bytes_max > 64 << 20 {
        return Ok(Verdict::ignored("an entry beyond the limit takes more than 64 MiB"));
    }
    let payloads = [Bytes::from("before"), Bytes::from(vec![7; bytes_max + 1]), Bytes::from("after")];
    let outcomes = stream.append(payloads.iter().map(|payload| entry(1, payload.clone())).collect()).await;
    let [Outcome::Done(_), Outcome::NotDone(error), Outcome::Done(_)] = outcomes.as_slice() else {
        panic!("expected done, not done, done: {outcomes:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let there: Vec<Bytes> = read_all(&stream).await?.into_iter().map(|(_, delivery)| delivery.payload).collect();
    assert_eq!(there, ["before", "after"]);
    Ok(Verdict::Passed)
}

async fn too_many(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let entries_max = stream.capabilities().entries_max;
    if entries_max > 200_000 {
        return Ok(Verdict::ignored("an append takes more than 200000 entries"));
    }
    let outcomes = stream.append((0..=entries_max).map(|_| entry(1, "x")).collect()).await;
    assert_eq!(outcomes.len(), entries_max + 1);
    let refused: Vec<&Outcome<_>> = outcomes.iter().filter(|outcome| !outcome.is_done()).collect();
    assert!(matches!(refused.as_slice(), [Outcome::NotDone(error)] if error.kind() == ErrorKind::Invalid));
    assert_eq!(read_all(&stream).await?.len(), entries_max);
    Ok(Verdict::Passed)
}

async fn positions_grow(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let mut appended = Vec::new();
    for round in 0..20 {
        appended.extend(append(&stream, vec![entry(5, format!("{round} a")), entry(5, format!("{round} b"))]).await?);
    }
    assert!(appended.is_sorted_by(|left, right| left.shard == right.shard && left.position < right.position));
    Ok(Verdict::Passed)
}

async fn one_key(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let entries = (0..200u64).map(|number| entry(number % 7, format!("{} {number:03}", number % 7))).collect();
    append(&stream, entries).await?;
    let there = read_all(&stream).await?;
    for key in 0..7 {
        let begin = format!("{key} ");
        let of_key: Vec<_> =
            there.iter().filter(|(_, delivery)| delivery.payload.starts_with(begin.as_bytes())).collect();
        let shards: BTreeSet<_> = of_key.iter().map(|(shard, _)| shard).collect();
        assert_eq!(shards.len(), 1, "the entries of key {key} are in {shards:?}");
        assert!(of_key.is_sorted_by(|(_, left), (_, right)| left.payload < right.payload));
    }
    Ok(Verdict::Passed)
}

async fn racing(place: Box<dyn Place>) -> Result<Verdict> {
    let mut racers = Vec::new();
    for racer in 0..RACERS {
        let stream = place.stream().await?;
        racers.push(async move {
            let entries = (0..8).map(|number| entry(racer as u64, format!("{racer} {number}"))).collect();
            append(&stream, entries).await
        });
    }
    let mut taken = BTreeSet::new();
    for appended in race(racers).await? {
        for appended in appended? {
            assert!(taken.insert((appended.shard, appended.position)), "a position was given twice");
        }
    }
    let there = read_all(&place.stream().await?).await?;
    let read: Vec<_> = there.iter().map(|(shard, delivery)| (shard, delivery.position)).collect();
    assert_eq!(read.iter().map(|(shard, position)| ((*shard).clone(), *position)).collect::<BTreeSet<_>>(), taken);
    assert!(read.is_sorted_by(|left, right| left.0 != right.0 || left.1 < right.1));
    Ok(Verdict::Passed)
}

async fn payloads(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = filler(stream.capabilities().entry_bytes_max.min(1 << 20));
    let payloads: Vec<Bytes> =
        vec!["".into(), every_byte.into(), "温度 🚀".into(), vec![0; 300].into(), large.into(), "\r\n".into()];
    append(&stream, payloads.iter().map(|payload| entry(1, payload.clone())).collect()).await?;
    let there: Vec<Bytes> = read_all(&stream).await?.into_iter().map(|(_, delivery)| delivery.payload).collect();
    assert!(there == payloads, "the payloads differ");
    Ok(Verdict::Passed)
}

async fn tenants(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    let long = filler(128);
    let names = ["acme", "Acme", "a", "a.b", "a-b_c", &long, "0"];
    let entries = names.iter().map(|name| Entry { tenant: tenant(name), key: 1, payload: "same".into() });
    append(&stream, entries.collect()).await?;
    let there: Vec<String> =
        read_all(&stream).await?.into_iter().map(|(_, delivery)| delivery.tenant.to_string()).collect();
    assert_eq!(there, names);
    Ok(Verdict::Passed)
}

async fn dropped(place: Box<dyn Place>) -> Result<Verdict> {
    let stream = place.stream().await?;
    for poll in 0..CANCEL_POLLS_MAX {
        let entries = vec![entry(1, format!("{poll} a")), entry(2, format!("{poll} b"))];
        cancelled_at(poll, stream.append(entries)).await;
    }
    // Whatever was on its way is there once a later append of the same keys is.
    append(&stream, vec![entry(1, "last a"), entry(2, "last b")]).await?;
    let there: Vec<Bytes> = read_all(&stream).await?.into_iter().map(|(_, delivery)| delivery.payload).collect();
    let distinct: BTreeSet<&Bytes> = there.iter().collect();
    assert_eq!(distinct.len(), there.len(), "an entry was applied twice: {there:?}");
    let legal = |payload: &Bytes| payload.len() == 3 || payload.starts_with(b"last ");
    assert!(there.iter().all(legal), "an entry was changed: {there:?}");
    Ok(Verdict::Passed)
}
