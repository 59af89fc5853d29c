//! Which hours of a metric have rows, and which metrics a tenant has.
//!
//! An entry is written before the first row of its hour, and only taken out long after anybody wrote to it: a writer
//! that still believes in an entry must never find it gone.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use fineo_core::{Error, MetricId, Result, TenantId, TimeRange, Timestamp};

use super::{DynamoNearline, key};
use crate::{
    dynamo::{Item, Query, number, number_of, text, text_of},
    failure,
};

/// How many partitions an hour has.
const SPREAD: &str = "_fineo_spread";
/// When somebody last wrote to an hour, in microseconds.
const TOUCHED: &str = "_fineo_touched";

/// How long a process believes that an entry is there.
const BELIEVED_MICROS: i64 = 3_600_000_000;
/// How long an entry stays that nobody touched: far longer than anybody believes in it, whatever his clock says.
const KEPT_MICROS: i64 = 24 * BELIEVED_MICROS;
/// How many entries a process remembers.
const REMEMBERED_MAX: usize = 100_000;
/// How many rows of an hour a process writes into one partition before it spreads them: fewer are read by one query.
const UNSPREAD_ROWS_MAX: usize = 256;

/// What this process knows of the directory.
#[derive(Debug, Default)]
pub(super) struct Directory {
    state: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    hours: BTreeMap<HourName, Noted>,
    metrics: HashSet<(TenantId, MetricId)>,
}

type HourName = (TenantId, MetricId, u64);

/// What this process wrote of an hour.
#[derive(Debug, Clone, Copy, Default)]
struct Noted {
    /// When it noted the hour, and the spread that it noted; none before it did.
    as_spread: Option<(Timestamp, u32)>,
    rows: usize,
}

impl Directory {
    fn state(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `rows` that are to be written to an hour, and says what is known of it then.
    fn count(&self, hour: &HourName, rows: usize) -> Noted {
        let mut state = self.state();
        if state.hours.len() >= REMEMBERED_MAX {
            state.hours.clear();
        }
        let noted = state.hours.entry(hour.clone()).or_default();
        noted.rows = noted.rows.saturating_add(rows);
        *noted
    }

    fn note(&self, hour: &HourName, now: Timestamp, spread: u32) {
        self.state().hours.entry(hour.clone()).or_default().as_spread = Some((now, spread));
    }
}

impl Noted {
    /// Over how many partitions this process spreads the hour's rows from now on.
    fn spread(&self, spread_max: u32) -> u32 {
        if self.rows > UNSPREAD_ROWS_MAX { spread_max } else { 1 }
    }

    /// Whether the entry is there for sure, and wide enough.
    fn is_believed(&self, spread: u32, now: Timestamp) -> bool {
        self.as_spread.is_some_and(|(noted, as_spread)| {
            as_spread >= spread && now.micros().abs_diff(noted.micros()) < BELIEVED_MICROS.unsigned_abs()
        })
    }
}

/// An hour of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hour {
    pub(super) number: u64,
    pub(super) spread: u32,
    pub(super) touched: i64,
}

impl Hour {
    /// Whether nobody can believe in the entry any more who does not touch it first.
    pub(super) fn is_forgettable(&self, now: Timestamp) -> bool {
        now.micros().saturating_sub(self.touched) >= KEPT_MICROS
    }
}

impl DynamoNearline {
    /// Makes sure that an hour is in the directory before `rows` rows go there; answers over how many of its partitions
    /// they may be spread.
    pub(super) async fn note_hour(&self, tenant: &TenantId, metric: &MetricId, hour: u64, rows: usize) -> Result<u32> {
        let now = self.table.clock.now();
        let known = (tenant.clone(), metric.clone(), hour);
        let noted = self.directory.count(&known, rows);
        let spread = noted.spread(self.spread);
        if noted.is_believed(spread, now) {
            return Ok(spread);
        }
        self.note_metric(tenant, metric).await?;
        let touch = |condition: Option<&str>, update: &str| {
            self.table
                .client
                .update_item()
                .table_name(&self.table.name)
                .set_key(Some(key::item(key::directory(tenant, metric), key::hour_name(hour))))
                .update_expression(update)
                .set_condition_expression(condition.map(str::to_owned))
                .expression_attribute_names("#touched", TOUCHED)
                .expression_attribute_values(":now", number(now.micros()))
        };
        // The spread of an hour only grows: rows under a wider one must stay in sight.
        let wider = touch(
            Some("attribute_not_exists(#spread) OR #spread <= :spread"),
            "SET #touched = :now, #spread = :spread",
        )
        .expression_attribute_names("#spread", SPREAD)
        .expression_attribute_values(":spread", number(spread));
        if let Err(error) = wider.send().await {
            if failure::code(&error) != Some("ConditionalCheckFailedException") {
                return Err(failure::dynamodb(error));
            }
            touch(None, "SET #touched = :now").send().await.map_err(failure::dynamodb)?;
        }
        self.directory.note(&known, now, spread);
        Ok(spread)
    }

    async fn note_metric(&self, tenant: &TenantId, metric: &MetricId) -> Result<()> {
        let known = (tenant.clone(), metric.clone());
        if self.directory.state().metrics.contains(&known) {
            return Ok(());
        }
        self.table.put_all(vec![key::item(key::metrics(tenant), metric.as_str())]).await?;
        self.directory.state().metrics.insert(known);
        Ok(())
    }

    /// The hours of `time` that may have rows, in order.
    pub(super) async fn hours(&self, tenant: &TenantId, metric: &MetricId, time: TimeRange) -> Result<Vec<Hour>> {
        if time.is_empty() || time.from > Timestamp::MAX.micros() || time.to <= Timestamp::MIN.micros() {
            return Ok(Vec::new());
        }
        let hour_of = |micros: i64| key::hour_name(key::hour(Timestamp::saturating_from_micros(micros)));
        let mut query =
            Query { condition: "#pk = :pk AND #sk BETWEEN :first AND :last".to_owned(), ..Query::default() };
        query.names.insert("#pk".to_owned(), key::PARTITION.to_owned());
        query.names.insert("#sk".to_owned(), key::SORT.to_owned());
        query.values.insert(":pk".to_owned(), text(key::directory(tenant, metric)));
        query.values.insert(":first".to_owned(), text(hour_of(time.from)));
        query.values.insert(":last".to_owned(), text(hour_of(time.to.saturating_sub(1))));
        let found = self.table.all(&query, usize::MAX).await?;
        found.iter().map(read_hour).collect()
    }

    /// Takes an hour without rows out of the directory that is [forgettable](Hour::is_forgettable), unless somebody
    /// touched it since.
    pub(super) async fn forget_hour(&self, tenant: &TenantId, metric: &MetricId, hour: Hour) -> Result<()> {
        let call = self
            .table
            .client
            .delete_item()
            .table_name(&self.table.name)
            .set_key(Some(key::item(key::directory(tenant, metric), key::hour_name(hour.number))))
            .condition_expression("#touched = :touched")
            .expression_attribute_names("#touched", TOUCHED)
            .expression_attribute_values(":touched", number(hour.touched));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_condition(&error) => Ok(()),
            Err(error) => Err(failure::dynamodb(error)),
        }
    }

    /// The metrics that ever had rows.
    pub(super) async fn listed_metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>> {
        let mut query = Query { condition: "#pk = :pk".to_owned(), ..Query::default() };
        query.names.insert("#pk".to_owned(), key::PARTITION.to_owned());
        query.values.insert(":pk".to_owned(), text(key::metrics(tenant)));
        let found = self.table.all(&query, usize::MAX).await?;
        found.iter().map(|item| MetricId::new(text_of(item, key::SORT)?)).collect()
    }

    /// Whether a metric has a row now.
    pub(super) async fn has_rows(&self, tenant: &TenantId, metric: &MetricId) -> Result<bool> {
        for hour in self.hours(tenant, metric, TimeRange::ALL).await? {
            if self.hour_has_rows(tenant, metric, hour).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an hour has a row now.
    pub(super) async fn hour_has_rows(&self, tenant: &TenantId, metric: &MetricId, hour: Hour) -> Result<bool> {
        for part in 0..hour.spread {
            let mut query = Query { condition: "#pk = :pk".to_owned(), limit: Some(1), ..Query::default() };
            query.names.insert("#pk".to_owned(), key::PARTITION.to_owned());
            query.values.insert(":pk".to_owned(), text(key::rows(tenant, metric, hour.number, part)));
            if !self.table.all(&query, 1).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_condition<E: ProvideErrorMetadata>(
    error: &aws_sdk_dynamodb::error::SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>,
) -> bool {
    failure::code(error) == Some("ConditionalCheckFailedException")
}

fn read_hour(item: &Item) -> Result<Hour> {
    let name = text_of(item, key::SORT)?;
    let number = name.parse().map_err(|_| Error::corrupt("not an hour of the directory").with("key", name))?;
    Ok(Hour { number, spread: number_of(item, SPREAD)?, touched: number_of(item, TOUCHED)? })
}
