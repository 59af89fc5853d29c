//! The last position of a shard, which Kinesis does not tell: the time in which it is is halved until little is left to read.

use fineo_core::{ErrorKind, Position, Result, ShardId, stream::first_left};

use super::{
    KinesisStream,
    read::{Begin, PAGE_RECORDS_MAX, Reader, SPACING},
};

/// What arrived within so many milliseconds is read and not searched: a shard in use has something there.
const READ_MILLIS: i64 = 60_000;
/// How many records are read at an instant that is tried.
const TRIED_RECORDS: u16 = 100;
/// How many instants may go without an answer, which takes its time.
const UNANSWERED_MAX: usize = 2;

pub(super) async fn tail(stream: &KinesisStream, shard: &ShardId) -> Result<Option<Position>> {
    if let Some(seen) = stream.last_seen(shard) {
        let behind = Reader::new(stream.clone(), shard.clone(), Begin::Behind(seen)).past_foreign();
        match last(stream, shard, behind).await {
            Ok(found) => return Ok(Some(found.unwrap_or(seen).max(seen))),
            // What was seen last is trimmed by now.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // A shard with few records, or none, is known after one page.
    last(stream, shard, tried(stream, shard, Begin::Oldest)).await
}

fn tried(stream: &KinesisStream, shard: &ShardId, begin: Begin) -> Reader {
    Reader::new(stream.clone(), shard.clone(), begin).past_foreign().with_records_max(TRIED_RECORDS)
}

/// The last record that `reader` would come to.
async fn last(stream: &KinesisStream, shard: &ShardId, reader: Reader) -> Result<Option<Position>> {
    let Some(mut met) = Met::first_of(reader).await? else { return Ok(None) };
    let options = &stream.options;
    let now = options.clock.now().micros() / 1000;
    let (mut quiet_from, mut unanswered) = (now, 0);
    while !met.is_last && quiet_from - met.arrived > READ_MILLIS && unanswered < UNANSWERED_MAX {
        let instant = now - age_between(now - quiet_from, now - met.arrived);
        options.clock.sleep(SPACING.min(options.poll_every)).await;
        match Met::first_of(tried(stream, shard, Begin::At(instant))).await {
            // By every clock it arrived at this instant or later.
            Ok(Some(later)) => met = Met { arrived: later.arrived.max(instant), ..later },
            Ok(None) => quiet_from = instant,
            // Whatever an instant leads to, what is answered is read: this machine's clock may be ahead, and kinesalite
            // never answers for an instant after the last record.
            Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unavailable) => {
                tracing::debug!(%error, %shard, instant, "no record was found from an instant on");
                quiet_from = instant;
                unanswered += usize::from(error.kind() == ErrorKind::Unavailable);
            }
            Err(error) => return Err(error),
        }
    }
    met.read_to_end().await.map(Some)
}

/// The first record that is left where the one at `after` is gone, and perhaps others behind it; reads hardly more than that one.
pub(super) async fn gap_behind(stream: &KinesisStream, shard: &ShardId, after: Position) -> Result<Option<Position>> {
    let begin = Begin::Behind(after);
    let mut reader = Reader::new(stream.clone(), shard.clone(), begin).past_foreign().with_records_max(1);
    while !reader.is_joined() {
        match reader.next().await {
            Ok(Some(page)) if !page.is_last => {}
            Ok(_) => break,
            Err(error) => return first_left(&error).map(Some).ok_or(error),
        }
    }
    Ok(None)
}

/// The age, in milliseconds, to try between two that are known: of the youngest first, then the mean of their orders of
/// magnitude, because most shards have not been quiet for long.
fn age_between(younger: i64, older: i64) -> i64 {
    if younger < READ_MILLIS {
        return READ_MILLIS;
    }
    let product = u128::from(younger.unsigned_abs()) * u128::from(older.unsigned_abs());
    i64::try_from(product.isqrt()).unwrap_or(i64::MAX).clamp(younger + 1, older - 1)
}

/// A reader, and the last record that it met.
struct Met {
    reader: Reader,
    last: Position,
    /// When it arrived, in milliseconds.
    arrived: i64,
    /// Whether nothing comes behind it.
    is_last: bool,
}

impl Met {
    /// The first records that `reader` comes to; none when it comes to the end before.
    async fn first_of(mut reader: Reader) -> Result<Option<Self>> {
        while let Some(page) = reader.next().await? {
            if let Some(last) = page.deliveries.last().map(|delivery| delivery.position) {
                return Ok(Some(Self { reader, last, arrived: page.arrived, is_last: page.is_last }));
            }
            if page.is_last {
                break;
            }
        }
        Ok(None)
    }

    async fn read_to_end(self) -> Result<Position> {
        let Self { reader, mut last, mut is_last, .. } = self;
        let mut reader = reader.with_records_max(PAGE_RECORDS_MAX);
        while !is_last && let Some(page) = reader.next().await? {
            last = page.deliveries.last().map_or(last, |delivery| delivery.position);
            is_last = page.is_last;
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    //! The ages that are tried.

    use super::{READ_MILLIS, age_between};

    /// How many instants are tried until a last record is found that is `age` old, in a shard that is a day old.
    fn tries(age: i64) -> usize {
        let (mut younger, mut older, mut tries) = (0, 24 * 3_600_000, 0);
        while older - younger > READ_MILLIS {
            let tried = age_between(younger, older);
            assert!(younger < tried && tried < older, "{younger} < {tried} < {older}");
            tries += 1;
            if tried < age { younger = tried } else { older = tried }
        }
        tries
    }

    #[test]
    fn a_minute_is_found_within_a_day_after_few_tries() {
        let found: Vec<usize> = [0, 59_999, 60_001, 600_000, 3 * 3_600_000, 20 * 3_600_000].map(tries).into();
        assert!(found[..2] == [1, 1] && found.iter().all(|tries| *tries <= 15), "{found:?}");
    }
}
