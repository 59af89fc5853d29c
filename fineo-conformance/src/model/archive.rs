//! An archive against a map.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use fineo_core::{
    Archive, ErrorKind, Position, Result,
    archive::{Created, SegmentInfo, SegmentKind, SegmentName, SegmentQuery, Stage},
};
use futures::TryStreamExt;

use super::{STEPS, Trace, seeds};
use crate::{
    Case, Place, Restart, Verdict,
    case::cases,
    support::{answer, at, filler, shard},
};

pub(crate) const CASES: &[Case] = cases! { Archive:
    0 "random operations agree with a model" agrees,
};

type Model = BTreeMap<SegmentName, Bytes>;

#[derive(Debug)]
enum Operation {
    Write(SegmentName, usize),
    Read(SegmentName),
    List(SegmentQuery),
    Remove(SegmentName),
    Restart(Restart),
}

async fn agrees(mut place: Box<dyn Place>) -> Result<Verdict> {
    let mut model = Model::new();
    for seed in seeds() {
        let mut trace = Trace::new(seed);
        for _ in 0..STEPS {
            let operation = choose(&mut trace);
            trace.say(&operation);
            if let Operation::Restart(how) = operation {
                // A write and a removal that are done are durable: neither restart changes anything.
                place.restart(how).await?;
            }
            step(&mut trace, &mut model, &place.archive().await?, operation).await?;
        }
        trace.done();
    }
    Ok(Verdict::Passed)
}

fn choose(trace: &mut Trace) -> Operation {
    let name = SegmentName {
        stage: Stage::ALL[trace.index(2)],
        kind: SegmentKind::ALL[trace.index(3)],
        time: at(trace.below(4).cast_signed() * 86_400_000_000),
        shard: shard(["s0", "s1", "x_y"][trace.index(3)]),
        first: Position::from(trace.below(3)),
        last: Position::from(trace.below(3) + 3),
    };
    match trace.below(20) {
        0..9 => Operation::Write(name, trace.index(3) * 40_000),
        9..14 => Operation::Read(name),
        14..16 => {
            let from = (name.first > Position::ZERO).then_some(name.time);
            Operation::List(SegmentQuery::new(name.stage, name.kind).with_from(from))
        }
        16..18 => Operation::Remove(name),
        18 => Operation::Restart(Restart::Clean),
        _ => Operation::Restart(Restart::Crash),
    }
}

async fn step(trace: &mut Trace, model: &mut Model, archive: &Arc<dyn Archive>, operation: Operation) -> Result<()> {
    match operation {
        Operation::Write(name, len) => {
            let bytes = Bytes::from(filler(len));
            let expected = match model.get(&name) {
                None => Created::New,
                Some(there) if *there == bytes => Created::Same,
                Some(_) => Created::Conflict,
            };
            let found = archive.write(&name, bytes.clone()).await.into_result()?;
            assert_eq!(found, answer(archive, expected));
            model.entry(name).or_insert(bytes);
        }
        Operation::Read(name) => match model.get(&name) {
            None => {
                let kind = archive.read(&name, None).await.map_err(|error| error.kind());
                assert_eq!(kind, Err(ErrorKind::NotFound));
            }
            Some(bytes) => {
                let from = trace.index(bytes.len() + 1);
                let to = from + trace.index(bytes.len() - from + 1);
                assert!(archive.read(&name, None).await? == bytes, "the bytes differ");
                let part = archive.read(&name, Some((from as u64, to as u64))).await?;
                assert!(part == bytes.slice(from..to), "bytes {from} to {to} differ");
            }
        },
        Operation::List(query) => {
            let mut found: Vec<SegmentInfo> = archive.segments(query).try_collect().await?;
            assert!(found.is_sorted_by_key(|info| info.name.time), "not in order of time");
            found.sort_by(|left, right| left.name.cmp(&right.name));
            let of_query = model.iter().filter(|(name, _)| query.asks_for(name));
            let expected: Vec<SegmentInfo> =
                of_query.map(|(name, bytes)| SegmentInfo { name: name.clone(), bytes: bytes.len() as u64 }).collect();
            assert_eq!(found, expected);
        }
        Operation::Remove(name) => {
            assert_eq!(archive.remove(&name).await.into_result()?, model.remove(&name).is_some());
        }
        Operation::Restart(_) => {}
    }
    Ok(())
}
