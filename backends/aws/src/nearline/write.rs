//! Writing rows: guard and row in one transaction, so that the first position wins and nobody sees a half.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    CancellationReason, Put, ReturnValuesOnConditionCheckFailure as ReturnValues, TransactWriteItem,
};
use fineo_core::{
    ContentHash, Error, EventId, MetricId, Outcome, Result, TenantId,
    nearline::{Row, Rows, Written},
};
use futures::{StreamExt, stream};

use super::{
    DynamoNearline, ROWS_MAX, cells, key,
    parts::{Split, split},
};
use crate::dynamo::{Item, Refused, TRANSACTION_ITEMS_MAX, built, bytes_of, item_bytes};

/// Each row takes two items of a transaction.
const TRANSACTION_ROWS_MAX: usize = TRANSACTION_ITEMS_MAX / 2;
/// The most bytes of a transaction, below the 4 MB that AWS takes.
const TRANSACTION_BYTES_MAX: usize = 3 << 20;
/// How many transactions of one write are under way at a time.
const TRANSACTIONS_AT_ONCE: usize = 8;

/// What a row met: what became of it, and the content that now stands under its event id.
#[derive(Debug, Clone)]
pub(super) struct Met {
    outcome: Outcome<Written>,
    content: Option<ContentHash>,
}

/// One row on its way.
struct Pending {
    /// Which row of the write it is.
    index: usize,
    content: ContentHash,
    guard: Item,
    row: Item,
}

/// Writes rows of one tenant and metric.
pub(super) struct Writer<'a> {
    store: &'a DynamoNearline,
    tenant: &'a TenantId,
    metric: &'a MetricId,
    rows: &'a Rows,
}

impl<'a> Writer<'a> {
    pub(super) fn new(store: &'a DynamoNearline, tenant: &'a TenantId, metric: &'a MetricId, rows: &'a Rows) -> Self {
        Self { store, tenant, metric, rows }
    }

    pub(super) async fn write(self) -> Vec<Outcome<Written>> {
        let mut met: Vec<Option<Met>> = vec![None; self.rows.len()];
        let mut first: HashMap<EventId, usize> = HashMap::new();
        let mut again: Vec<(usize, usize)> = Vec::new();
        let mut fresh: Vec<usize> = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            if index >= ROWS_MAX {
                let error = Error::invalid("too many rows at once").with("rows_max", ROWS_MAX);
                met[index] = Some(Met { outcome: Outcome::NotDone(error), content: None });
            } else if let Some(before) = first.get(&row.head().id) {
                again.push((index, *before));
            } else {
                first.insert(row.head().id, index);
                fresh.push(index);
            }
        }
        self.write_fresh(fresh, &mut met).await;
        for (index, before) in again {
            let content = self.rows.get(index).map(|row| row.head().content);
            met[index] = met[before].as_ref().map(|before| after(before, content));
        }
        let missing = || Outcome::Unknown(Error::internal("a row was not answered for"));
        met.into_iter().map(|met| met.map_or_else(missing, |met| met.outcome)).collect()
    }

    /// Writes rows whose event ids differ.
    async fn write_fresh(&self, fresh: Vec<usize>, met: &mut [Option<Met>]) {
        let noted = self.note_days(&fresh).await;
        let (mut chunks, mut chunk, mut bytes): (Vec<Vec<Pending>>, Vec<Pending>, usize) = (Vec::new(), Vec::new(), 0);
        for index in fresh {
            let Some(row) = self.rows.get(index) else { continue };
            let spread = match noted.get(&key::day(row.head().timestamp)) {
                Some(Ok(spread)) => *spread,
                Some(Err(error)) => {
                    met[index] = Some(Met { outcome: Outcome::of_error(error.clone()), content: None });
                    continue;
                }
                None => continue,
            };
            let pending = match self.pending(index, &row, spread).await {
                Ok(pending) => pending,
                Err(error) => {
                    met[index] = Some(Met { outcome: Outcome::NotDone(error), content: None });
                    continue;
                }
            };
            let size = item_bytes(&pending.row) + item_bytes(&pending.guard);
            if chunk.len() >= TRANSACTION_ROWS_MAX || (!chunk.is_empty() && bytes + size > TRANSACTION_BYTES_MAX) {
                chunks.push(std::mem::take(&mut chunk));
                bytes = 0;
            }
            bytes += size;
            chunk.push(pending);
        }
        if !chunk.is_empty() {
            chunks.push(chunk);
        }
        let writes = chunks.into_iter().map(|chunk| self.write_chunk(chunk));
        let done: Vec<_> = stream::iter(writes).buffer_unordered(TRANSACTIONS_AT_ONCE).collect().await;
        for (index, row_met) in done.into_iter().flatten() {
            met[index] = Some(row_met);
        }
    }

    /// Puts the days of the rows into the directory; answers how far each is spread, or why it could not be noted.
    async fn note_days(&self, fresh: &[usize]) -> HashMap<u64, Result<u32>> {
        let mut days: HashMap<u64, usize> = HashMap::new();
        for row in fresh.iter().filter_map(|index| self.rows.get(*index)) {
            *days.entry(key::day(row.head().timestamp)).or_default() += 1;
        }
        let notes = days
            .into_iter()
            .map(|(day, rows)| async move { (day, self.store.note_day(self.tenant, self.metric, day, rows).await) });
        stream::iter(notes).buffer_unordered(TRANSACTIONS_AT_ONCE).collect().await
    }

    /// The items of a row; what does not fit into one is written at once.
    async fn pending(&self, index: usize, row: &Row<'_>, spread: u32) -> Result<Pending> {
        let head = row.head();
        let part = key::part(head.id, spread);
        let partition = key::rows(self.tenant, self.metric, key::day(head.timestamp), part);
        let item = cells::row_item(self.rows, row, partition);
        let parts = || key::parts(self.tenant, self.metric, head.id, &self.store.table.nonce());
        let Split { item, parts } = split(item, row, parts);
        if !parts.is_empty() {
            // No row names the parts yet: whatever comes of this, nothing was written that anybody sees.
            self.store.table.put_all(parts).await.map_err(|error| {
                Error::unavailable("the parts of a large row could not be written").with_source(error)
            })?;
        }
        let guard = cells::guard_item(key::guard(self.tenant, self.metric, head.id), self.rows, head);
        Ok(Pending { index, content: head.content, guard, row: item })
    }

    /// Writes rows until each was answered for: those that are taken come out, the rest is tried again.
    async fn write_chunk(&self, mut chunk: Vec<Pending>) -> Vec<(usize, Met)> {
        let mut done = Vec::with_capacity(chunk.len());
        let mut backoff = self.store.table.backoff();
        while !chunk.is_empty() {
            let error = match self.transact(&chunk).await {
                Ok(()) => {
                    done.extend(chunk.drain(..).map(|row| (row.index, new(&row))));
                    break;
                }
                Err(Refused::Reasons(reasons)) => {
                    let before = chunk.len();
                    let (left, taken) = sort_out(chunk, &reasons);
                    chunk = left;
                    for (pending, met) in taken {
                        self.store.discard(&pending.row).await;
                        done.push((pending.index, met));
                    }
                    if chunk.len() < before || backoff.wait().await {
                        continue;
                    }
                    Error::unavailable("other writers hold the same rows")
                }
                Err(Refused::Failed(error)) => error,
            };
            let outcome: Outcome<Written> = Outcome::of_error(error);
            for row in chunk.drain(..) {
                if let Outcome::NotDone(_) = outcome {
                    self.store.discard(&row.row).await;
                }
                done.push((row.index, Met { outcome: outcome.clone(), content: None }));
            }
        }
        done
    }

    async fn transact(&self, chunk: &[Pending]) -> Result<(), Refused> {
        let table = &self.store.table;
        let mut items = Vec::with_capacity(2 * chunk.len());
        for pending in chunk {
            let guard = Put::builder()
                .table_name(&table.name)
                .set_item(Some(pending.guard.clone()))
                .condition_expression("attribute_not_exists(#pk)")
                .expression_attribute_names("#pk", key::PARTITION)
                .return_values_on_condition_check_failure(ReturnValues::AllOld)
                .build();
            let row = Put::builder().table_name(&table.name).set_item(Some(pending.row.clone())).build();
            for put in [guard, row] {
                let put = put.map_err(|error| Refused::Failed(built(error)))?;
                items.push(TransactWriteItem::builder().put(put).build());
            }
        }
        table.transact(items, &table.nonce()).await
    }
}

fn new(row: &Pending) -> Met {
    Met { outcome: Outcome::Done(Written::New), content: Some(row.content) }
}

/// What a row meets whose event id stood in the same write before.
fn after(before: &Met, content: Option<ContentHash>) -> Met {
    let Some(standing) = before.content else { return before.clone() };
    Met { outcome: Outcome::Done(compare(Some(standing) == content)), content: Some(standing) }
}

fn compare(is_same: bool) -> Written {
    if is_same { Written::Duplicate } else { Written::Conflict }
}

/// Parts the rows of a refused transaction: those to be tried again, and those that are answered for.
fn sort_out(chunk: Vec<Pending>, reasons: &[CancellationReason]) -> (Vec<Pending>, Vec<(Pending, Met)>) {
    let (mut left, mut taken) = (Vec::new(), Vec::new());
    for (number, pending) in chunk.into_iter().enumerate() {
        match reasons.get(2 * number).and_then(|reason| verdict(reason, reasons.get(2 * number + 1), pending.content)) {
            Some(met) => taken.push((pending, met)),
            None => left.push(pending),
        }
    }
    (left, taken)
}

/// What the reasons for a guard and its row say of the row; none when it may be tried again.
pub(super) fn verdict(
    guard: &CancellationReason,
    row: Option<&CancellationReason>,
    content: ContentHash,
) -> Option<Met> {
    let refused = |reason: &CancellationReason| {
        let said = reason.message().unwrap_or_default();
        let error = Error::invalid("DynamoDB refused the row").with("said", said);
        Met { outcome: Outcome::NotDone(error), content: None }
    };
    if let Some(row) = row
        && matches!(row.code(), Some("ValidationError" | "ItemCollectionSizeLimitExceeded"))
    {
        return Some(refused(row));
    }
    match guard.code().unwrap_or("None") {
        "ConditionalCheckFailed" => {
            let standing = guard.item().and_then(|item| bytes_of(item, cells::CONTENT).ok()).map(ContentHash)?;
            Some(Met { outcome: Outcome::Done(compare(standing == content)), content: Some(standing) })
        }
        "ValidationError" => Some(refused(guard)),
        _ => None,
    }
}

#[cfg(test)]
impl Met {
    pub(super) fn outcome(&self) -> &Outcome<Written> {
        &self.outcome
    }
}
