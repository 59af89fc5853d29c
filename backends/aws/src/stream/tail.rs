//! The last position of a shard, which Kinesis does not tell: it is read, from as late a place as is certain.

use fineo_core::{ErrorKind, Position, Result, ShardId};

use super::{
    KinesisStream,
    read::{Begin, Reader},
};

/// How far back the last record is looked for, in milliseconds, before the whole shard is read: a shard in use has
/// one within a minute.
const LOOK_BACK: [i64; 3] = [60_000, 30 * 60_000, 12 * 3_600_000];

/// How many records are few enough to read them all.
const FEW: u16 = 100;

pub(super) async fn tail(stream: &KinesisStream, shard: &ShardId) -> Result<Option<Position>> {
    if let Some(seen) = stream.last_seen(shard) {
        match last(stream, shard, Begin::Behind(seen)).await {
            Ok(found) => return Ok(Some(found.unwrap_or(seen).max(seen))),
            // What was seen last is trimmed by now.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // A shard with few records, or none, is known after one page.
    let mut oldest = Reader::new(stream.clone(), shard.clone(), Begin::Oldest).with_records_max(FEW);
    if let Some(page) = oldest.next().await?
        && page.is_last
    {
        return Ok(page.deliveries.last().map(|delivery| delivery.position));
    }
    let now = stream.options.clock.now().micros() / 1000;
    for back in LOOK_BACK {
        match last(stream, shard, Begin::At(now - back)).await {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            // This machine's clock may be ahead, and kinesalite never answers for an instant after the last record: an
            // earlier one is asked for then, and in the end the whole shard, which says what is wrong.
            Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unavailable) => {
                tracing::debug!(%error, %shard, back, "no record was found from an instant on");
            }
            Err(error) => return Err(error),
        }
    }
    last(stream, shard, Begin::Oldest).await
}

/// The last record from `begin` on.
async fn last(stream: &KinesisStream, shard: &ShardId, begin: Begin) -> Result<Option<Position>> {
    let mut reader = Reader::new(stream.clone(), shard.clone(), begin);
    let mut last = None;
    while let Some(page) = reader.next().await? {
        last = page.deliveries.last().map(|delivery| delivery.position).or(last);
        if page.is_last {
            break;
        }
    }
    Ok(last)
}
