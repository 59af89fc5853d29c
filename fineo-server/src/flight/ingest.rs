//! Bulk ingest: each row of an Arrow batch is an event.

mod sizes;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Schema},
    json::{WriterBuilder, writer::LineDelimited},
};
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use fineo::{ImportOptions, Receipt, Routing, core::Code, schema::name::check_metric};
use futures::{StreamExt, stream::BoxStream};
use tonic::Status;

use self::sizes::{named_bytes, rows_within};
use super::{pump::ended, status::status};
use crate::{Principal, Shared, floats::JsonWords};

/// The most events that are stored at once.
const EVENTS_MAX: usize = 1_000;
/// The most that they take as JSON.
const BYTES_MAX: usize = 32 << 20;
/// The most rows of a batch: those of a column of nulls take no byte of it.
const ROWS_MAX: usize = 1 << 24;
/// The key that names an event's metric where the tenant has none of its own.
const METRIC_KEY: &str = "metrictype";

/// Stores the rows of `batches` as events of the metric that `command` names, until the credential of `principal` ends.
/// Answers with how many were accepted.
pub(super) async fn ingest(
    shared: &Shared,
    principal: &Principal,
    command: &CommandStatementIngest,
    mut batches: BoxStream<'static, Result<RecordBatch, Status>>,
) -> Result<i64, Status> {
    let tenant = principal.tenant();
    check(shared, principal, command).await?;
    let schema = shared.fineo.schema(tenant).snapshot().await.map_err(|error| status(&error))?;
    let key = schema.settings().metric_keys.first().map_or(METRIC_KEY, |key| &**key).to_owned();
    let options = ImportOptions::new(Routing::Tenant(tenant.clone()));
    let intake = shared.fineo.pipeline().edge().intake(tenant, options, u64::MAX);
    let mut intake = intake.map_err(|error| status(&error))?;
    let metric_bytes = named_bytes(&key, &command.table);
    let mut summary = Summary::default();
    loop {
        let batch = tokio::select! {
            batch = batches.next() => batch,
            // P4: what was begun with a credential ends with it.
            () = principal.ended(&*shared.clock) => return Err(ended()),
        };
        let Some(batch) = batch.transpose()? else { return summary.told() };
        if batch.num_rows() > ROWS_MAX {
            return Err(Status::invalid_argument(format!("a batch has at most {ROWS_MAX} rows: split it")));
        }
        let mut start = 0;
        while start < batch.num_rows() {
            let part = batch.slice(start, fitting(&batch, start, metric_bytes)?);
            start += part.num_rows();
            intake.add(&lines(&part, &key, &command.table)?);
            // Each row is on a line of its own, which ends.
            while let Ok(Some(receipt)) = intake.store(false).await.map_err(|error| status(&error))? {
                summary.add(&receipt)?;
            }
        }
    }
}

/// How many rows from `start` on are stored at once, each with `metric_bytes` that name its metric.
fn fitting(batch: &RecordBatch, start: usize, metric_bytes: usize) -> Result<usize, Status> {
    match rows_within(batch, start, metric_bytes, EVENTS_MAX, BYTES_MAX) {
        0 => Err(Status::invalid_argument(format!(
            "row {start} of a batch would be an event of more than {BYTES_MAX} bytes"
        ))),
        rows => Ok(rows),
    }
}

/// What became of the rows.
#[derive(Default)]
struct Summary {
    accepted: usize,
    rejected: BTreeMap<&'static str, usize>,
}

impl Summary {
    /// Adds what became of some rows; fails when the stream did not take them.
    fn add(&mut self, receipt: &Receipt) -> Result<(), Status> {
        if let Some((_, error)) = receipt.failed().first() {
            return Err(status(error));
        }
        self.accepted += receipt.accepted();
        for (_, rejection) in receipt.rejected() {
            if rejection.code == Code::StorageFull {
                return Err(Status::resource_exhausted(format!("{}: {}", rejection.code, rejection.message)));
            }
            *self.rejected.entry(rejection.code.as_str()).or_default() += 1;
        }
        Ok(())
    }

    /// How many were accepted, when any was or there was none.
    fn told(self) -> Result<i64, Status> {
        let codes: Vec<String> = self.rejected.iter().map(|(code, count)| format!("{code}: {count}")).collect();
        if self.accepted == 0 && !codes.is_empty() {
            return Err(Status::invalid_argument(format!(
                "no event was accepted; rejected by code: {}",
                codes.join(", ")
            )));
        }
        i64::try_from(self.accepted).map_err(|_| Status::internal("too many events to count"))
    }
}

/// That `command` asks for nothing but to add events.
async fn check(shared: &Shared, principal: &Principal, command: &CommandStatementIngest) -> Result<(), Status> {
    let is_elsewhere = command.catalog.as_deref().is_some_and(|catalog| !["", "fineo"].contains(&catalog))
        || command.schema.as_deref().is_some_and(|schema| !["", "public"].contains(&schema));
    if is_elsewhere || command.temporary || command.transaction_id.is_some() {
        return Err(Status::unimplemented("events go to a metric: catalog fineo, schema public, no transaction"));
    }
    if command.table.is_empty() {
        return Err(Status::invalid_argument(
            "the table to ingest into has no name: name it as the metric whose events the rows are",
        ));
    }
    // Each row is to bear it.
    check_metric(&command.table).map_err(|error| status(&error))?;
    let Some(options) = &command.table_definition_options else { return Ok(()) };
    if options.if_exists == i32::from(TableExistsOption::Replace) {
        return Err(Status::unimplemented("a metric is not replaced: events are added"));
    }
    let fails_if_exists = options.if_exists == i32::from(TableExistsOption::Fail);
    let fails_if_missing = options.if_not_exist == i32::from(TableNotExistOption::Fail);
    if fails_if_exists || fails_if_missing {
        let schema = shared.fineo.schema(principal.tenant()).snapshot().await.map_err(|error| status(&error))?;
        // What the caller may not read is not there for it.
        let schema = principal.role().map_or(Ok(Arc::clone(&schema)), |role| schema.seen_in(role));
        let schema = schema.map_err(|error| status(&error))?;
        let exists = schema.metric_named(&command.table).is_some();
        if exists && fails_if_exists {
            return Err(Status::already_exists("there is such a metric"));
        }
        if !exists && fails_if_missing {
            return Err(Status::not_found("there is no such metric"));
        }
    }
    Ok(())
}

/// The rows of `batch` as JSON, one per line, with the metric in `key`.
fn lines(batch: &RecordBatch, key: &str, metric: &str) -> Result<Vec<u8>, Status> {
    let unwritable = |error: arrow::error::ArrowError| Status::invalid_argument(format!("a row is no event: {error}"));
    let schema = batch.schema();
    if schema.fields().iter().any(|field| field.name() == key) {
        return Err(Status::invalid_argument(format!("the table names the metric: leave out the column {key}")));
    }
    let mut fields = vec![Field::new(key, DataType::Utf8, false)];
    let names = std::iter::repeat_n(metric, batch.num_rows());
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(names))];
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let column = plain(column).map_err(unwritable)?;
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(unwritable)?;
    let builder = WriterBuilder::new().with_encoder_factory(Arc::new(JsonWords));
    let mut writer = builder.build::<_, LineDelimited>(Vec::new());
    writer.write(&rows).and_then(|()| writer.finish()).map_err(unwritable)?;
    Ok(writer.into_inner())
}

/// A column in a form that JSON has and events mean: decimals as texts, dictionaries as their values.
fn plain(column: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    match column.data_type() {
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            cast(column, &DataType::Utf8)
        }
        DataType::Dictionary(_, value) => plain(&cast(column, value)?),
        _ => Ok(Arc::clone(column)),
    }
}
