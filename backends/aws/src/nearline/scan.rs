//! Scanning: day by day, the partitions of a day at once, merged in order of time.

mod page;
pub(super) mod query;

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use async_stream::try_stream;
use fineo_core::{Result, ShardId, TimeRange, nearline::ScanRequest};
use futures::{
    StreamExt, TryStreamExt,
    future::try_join_all,
    stream::{self, BoxStream},
};

use super::{DynamoNearline, batch::batch, cells::FoundRow, directory::Day, key};
use crate::dynamo::Item;

/// How many partitions are asked for at a time, those of the day that is read and of the next.
const PARTITIONS_AT_ONCE: usize = 32;
/// Of the texts of one batch; a single row may exceed it.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// The batches that answer `request`.
pub(super) fn batches(store: DynamoNearline, request: ScanRequest) -> BoxStream<'static, Result<RecordBatch>> {
    let batches = try_stream! {
        let days = store.days(&request.tenant, &request.metric, request.time).await?;
        let spread = days.iter().map(|day| day.spread).max().unwrap_or(1);
        let at_once = (PARTITIONS_AT_ONCE / spread as usize).max(2);
        let begun = stream::iter(days).map(|day| begin(&store, &request, day)).buffered(at_once);
        futures::pin_mut!(begun);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(mut cursors) = begun.try_next().await? {
            while let Some(item) = first(&store, &mut cursors).await? {
                let moved = if request.names.is_empty() && request.predicates.is_empty() {
                    None
                } else {
                    store.moved(&item).await?
                };
                let row = FoundRow::read(item, moved)?;
                if !is_wanted(&request, &row) {
                    continue;
                }
                bytes += request.names.iter().filter_map(|name| row.cell(name)).map(str::len).sum::<usize>();
                rows.push(row);
                if rows.len() >= request.batch_rows_max.max(1) || bytes >= BATCH_BYTES_MAX {
                    yield batch(&request, &rows)?;
                    rows.clear();
                    bytes = 0;
                }
            }
        }
        if !rows.is_empty() {
            yield batch(&request, &rows)?;
        }
    };
    Box::pin(batches)
}

fn is_wanted(request: &ScanRequest, row: &FoundRow) -> bool {
    let covered = |shard: ShardId| request.beyond.contains(&shard, row.head.position);
    request.time.contains(row.head.timestamp)
        && (request.beyond.is_empty() || !ShardId::new(&row.shard).is_ok_and(covered))
        && request.predicates.iter().all(|predicate| row.satisfies(predicate))
}

/// Reads one partition of a day on.
struct Cursor {
    partition: String,
    queries: query::Queries,
    items: VecDeque<Item>,
    next: Option<Item>,
}

/// The first page of every partition of a day, all at once.
async fn begin(store: &DynamoNearline, request: &ScanRequest, day: Day) -> Result<Vec<Cursor>> {
    let cursors = (0..day.spread).map(|part| async move {
        let partition = key::rows(&request.tenant, &request.metric, day.number, part);
        let queries = query::of_rows(request, &partition);
        let mut cursor = Cursor { partition, queries, items: VecDeque::new(), next: None };
        cursor.ask(store, None).await?;
        cursor.fill(store).await?;
        Result::Ok(cursor)
    });
    try_join_all(cursors).await
}

impl Cursor {
    async fn ask(&mut self, store: &DynamoNearline, from: Option<Item>) -> Result<()> {
        let page = page::page(&store.table, &self.queries, &self.partition, from).await?;
        (self.items, self.next) = (page.items.into(), page.next);
        Ok(())
    }

    /// Asks for pages until there is an item or no further page. A page may be empty and have a successor.
    async fn fill(&mut self, store: &DynamoNearline) -> Result<()> {
        while self.items.is_empty()
            && let Some(from) = self.next.take()
        {
            self.ask(store, Some(from)).await?;
        }
        Ok(())
    }

    fn name(&self) -> Option<&str> {
        self.items.front()?.get(key::SORT)?.as_s().ok().map(String::as_str)
    }
}

/// The earliest item of all cursors.
async fn first(store: &DynamoNearline, cursors: &mut [Cursor]) -> Result<Option<Item>> {
    let there = cursors.iter_mut().filter(|cursor| !cursor.items.is_empty());
    let Some(cursor) = there.min_by(|left, right| left.name().cmp(&right.name())) else { return Ok(None) };
    let item = cursor.items.pop_front();
    cursor.fill(store).await?;
    Ok(item)
}

/// The bounds of a range as names of rows: the first included, the last not.
pub(super) fn bounds(time: TimeRange) -> (String, String) {
    (key::row_bound(time.from), key::row_bound(time.to))
}
