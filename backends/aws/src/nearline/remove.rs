//! Removing rows by position: guard and row in one transaction, only while they still stand as they were read.

use async_stream::try_stream;
use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};
use fineo_core::{Cover, Error, MetricId, Outcome, Position, Result, ShardId, TenantId, TimeRange};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::{DynamoNearline, cells, directory::Day, key};
use crate::dynamo::{Item, Query, Refused, TRANSACTION_ITEMS_MAX, binary, built, bytes_of, text, text_of};

const TRANSACTION_ROWS_MAX: usize = TRANSACTION_ITEMS_MAX / 2;
/// How many partitions are read at a time, and how many transactions are under way.
const AT_ONCE: usize = 8;

/// A row that the cover contains.
#[derive(Debug)]
struct Covered {
    item: Item,
    shard: ShardId,
    position: Position,
}

/// Removes the rows of a metric that a cover contains.
pub(super) struct Remover<'a> {
    store: &'a DynamoNearline,
    tenant: &'a TenantId,
    metric: &'a MetricId,
    cover: &'a Cover,
}

impl<'a> Remover<'a> {
    pub(super) fn new(store: &'a DynamoNearline, tenant: &'a TenantId, metric: &'a MetricId, cover: &'a Cover) -> Self {
        Self { store, tenant, metric, cover }
    }

    pub(super) async fn remove(self) -> Outcome<u64> {
        if self.cover.is_empty() {
            return Outcome::Done(0);
        }
        let days = match self.store.days(self.tenant, self.metric, TimeRange::ALL).await {
            Ok(days) => days,
            Err(error) => return Outcome::of_error(error),
        };
        let removed = self.remove_rows_of(&days).await;
        let forgotten = match removed {
            Ok(removed) => self.forget(&days).await.map(|()| removed),
            Err(error) => Err(error),
        };
        match forgotten {
            Ok(removed) => Outcome::Done(removed),
            // Some may be gone: the rest goes when the call is made again.
            Err(error) => Outcome::Unknown(error.and_may_have_applied()),
        }
    }

    /// Removes the rows of `days`, whose partitions are read at the same time so that few rows of many days share a
    /// transaction.
    async fn remove_rows_of(&self, days: &[Day]) -> Result<u64> {
        let mut partitions = Vec::new();
        for day in days {
            partitions.extend((0..day.spread).map(|part| key::rows(self.tenant, self.metric, day.number, part)));
        }
        let covered = stream::iter(partitions).map(|partition| Box::pin(self.covered_of(partition)));
        let removals = covered
            .flatten_unordered(AT_ONCE)
            .try_chunks(TRANSACTION_ROWS_MAX)
            .map(|rows| async { self.remove_rows(rows.map_err(|failed| failed.1)?).await })
            .buffer_unordered(AT_ONCE);
        removals.try_fold(0, |sum, removed| async move { Ok(sum + removed) }).await
    }

    /// Takes those of `days` out of the directory that have no rows.
    async fn forget(&self, days: &[Day]) -> Result<()> {
        let now = self.store.table.clock.now();
        let old: Vec<Day> = days.iter().copied().filter(|day| day.is_forgettable(now)).collect();
        let forgotten = old.into_iter().map(|day| async move {
            if self.store.day_has_rows(self.tenant, self.metric, day).await? {
                return Ok(());
            }
            self.store.forget_day(self.tenant, self.metric, day).await
        });
        stream::iter(forgotten).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// The covered rows of a partition.
    fn covered_of(&self, partition: String) -> impl Stream<Item = Result<Covered>> {
        try_stream! {
            let attributes = [key::PARTITION, key::SORT, cells::SHARD, cells::POSITION, cells::PARTS, cells::PARTS_COUNT];
            let placeholders =
                attributes.iter().enumerate().map(|(index, name)| (format!("#n{index}"), (*name).to_owned()));
            let query = Query {
                condition: "#n0 = :pk".to_owned(),
                projection: Some("#n0, #n1, #n2, #n3, #n4, #n5".to_owned()),
                names: placeholders.collect(),
                values: [(":pk".to_owned(), text(partition))].into(),
                ..Query::default()
            };
            let mut next = None;
            loop {
                let page = self.store.table.page(&query, next).await?;
                for item in page.items {
                    if let Some(covered) = self.covered(item)? {
                        yield covered;
                    }
                }
                next = page.next;
                if next.is_none() {
                    break;
                }
            }
        }
    }

    fn covered(&self, item: Item) -> Result<Option<Covered>> {
        let shard = ShardId::new(text_of(&item, cells::SHARD)?)?;
        let position = Position::from_bytes(bytes_of(&item, cells::POSITION)?);
        Ok(self.cover.contains(&shard, position).then_some(Covered { item, shard, position }))
    }

    /// Removes rows and their guards. A row that has changed since it was read is another's and stays.
    async fn remove_rows(&self, mut rows: Vec<Covered>) -> Result<u64> {
        let table = &self.store.table;
        let mut backoff = table.backoff();
        while !rows.is_empty() {
            let reasons = match table.transact(self.deletes(&rows)?, &table.nonce()).await {
                Ok(()) => break,
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::Reasons(reasons)) => reasons,
            };
            let before = rows.len();
            let is_changed = |index: usize| {
                let of_row = [2 * index, 2 * index + 1].map(|item| reasons.get(item).and_then(|reason| reason.code()));
                of_row.contains(&Some("ConditionalCheckFailed"))
            };
            rows = rows.into_iter().enumerate().filter(|(index, _)| !is_changed(*index)).map(|(_, row)| row).collect();
            if rows.len() == before && !backoff.wait().await {
                return Err(Error::unavailable("other writers hold the same rows"));
            }
        }
        for row in &rows {
            self.store.discard(&row.item).await;
        }
        Ok(rows.len() as u64)
    }

    fn deletes(&self, rows: &[Covered]) -> Result<Vec<TransactWriteItem>> {
        let mut deletes = Vec::with_capacity(2 * rows.len());
        for row in rows {
            let (_, id) = key::parse_row_name(text_of(&row.item, key::SORT)?)?;
            let of_row = key::item(text_of(&row.item, key::PARTITION)?, text_of(&row.item, key::SORT)?);
            for key in [key::guard(self.tenant, self.metric, id), of_row] {
                let delete = Delete::builder()
                    .table_name(&self.store.table.name)
                    .set_key(Some(key))
                    .condition_expression("#shard = :shard AND #position = :position")
                    .expression_attribute_names("#shard", cells::SHARD)
                    .expression_attribute_names("#position", cells::POSITION)
                    .expression_attribute_values(":shard", text(row.shard.as_str()))
                    .expression_attribute_values(":position", binary(row.position.to_bytes()))
                    .build();
                deletes.push(TransactWriteItem::builder().delete(delete.map_err(built)?).build());
            }
        }
        Ok(deletes)
    }
}
