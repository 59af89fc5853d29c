//! Which days of a metric have rows, and which metrics a tenant has.
//!
//! An entry is written before the first row of its day, and only taken out long after anybody wrote to it: a writer
//! that still believes in an entry must never find it gone.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_sdk_dynamodb::{error::ProvideErrorMetadata, types::ReturnValue};
use fineo_core::{Error, MetricId, Result, TenantId, TimeRange, Timestamp};

use super::{DynamoNearline, key};
use crate::{
    dynamo::{Item, Query, number, number_of, text, text_of},
    failure,
};

/// How many partitions a day has.
const SPREAD: &str = "_fineo_spread";
/// When somebody last wrote to a day, in microseconds.
const TOUCHED: &str = "_fineo_touched";

/// How long a process believes that an entry is there.
const BELIEVED_MICROS: i64 = 3_600_000_000;
/// How long an entry stays that nobody touched: far longer than anybody believes in it, whatever his clock says.
const KEPT_MICROS: i64 = 24 * BELIEVED_MICROS;
/// How many entries a process remembers.
const REMEMBERED_MAX: usize = 100_000;

/// What this process knows of the directory.
#[derive(Debug, Default)]
pub(super) struct Directory {
    state: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    days: BTreeMap<DayName, Noted>,
    metrics: HashSet<(TenantId, MetricId)>,
}

type DayName = (TenantId, MetricId, u64);

/// What this process wrote of a day.
#[derive(Debug, Clone, Copy, Default)]
struct Noted {
    /// When it noted the day, and the spread that it noted; none before it did.
    as_spread: Option<(Timestamp, u32)>,
    rows: usize,
}

impl Directory {
    fn state(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `rows` that are to be written to a day, and says what is known of it then.
    fn count(&self, day: &DayName, rows: usize) -> Noted {
        let mut state = self.state();
        if state.days.len() >= REMEMBERED_MAX {
            state.days.clear();
        }
        let noted = state.days.entry(day.clone()).or_default();
        noted.rows = noted.rows.saturating_add(rows);
        *noted
    }

    fn note(&self, day: &DayName, now: Timestamp, spread: u32) {
        self.state().days.entry(day.clone()).or_default().as_spread = Some((now, spread));
    }
}

impl Noted {
    /// Over how many partitions this process spreads the day's rows from now on: as far as it did, or as it was told when it
    /// has `unspread_max` of them.
    fn spread(&self, spread: u32, unspread_max: usize) -> u32 {
        let before = self.as_spread.map_or(1, |(_, spread)| spread);
        if self.rows > unspread_max { spread.max(before) } else { before }
    }

    /// Whether the entry is there for sure, and wide enough.
    fn is_believed(&self, spread: u32, now: Timestamp) -> bool {
        self.as_spread.is_some_and(|(noted, as_spread)| {
            as_spread >= spread && now.micros().abs_diff(noted.micros()) < BELIEVED_MICROS.unsigned_abs()
        })
    }
}

/// A day of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) number: u64,
    pub(super) spread: u32,
    pub(super) touched: i64,
}

impl Day {
    /// Whether nobody can believe in the entry any more who does not touch it first.
    pub(super) fn is_forgettable(&self, now: Timestamp) -> bool {
        now.micros().saturating_sub(self.touched) >= KEPT_MICROS
    }
}

impl DynamoNearline {
    /// Makes sure that a day is in the directory before `rows` rows go there; answers over how many of its partitions
    /// they may be spread.
    pub(super) async fn note_day(&self, tenant: &TenantId, metric: &MetricId, day: u64, rows: usize) -> Result<u32> {
        let now = self.table.clock.now();
        let known = (tenant.clone(), metric.clone(), day);
        let noted = self.directory.count(&known, rows);
        let spread = noted.spread(self.spread, self.unspread_max);
        if noted.is_believed(spread, now) {
            return Ok(spread);
        }
        self.note_metric(tenant, metric).await?;
        let touch = |condition: Option<&str>, update: &str| {
            self.table
                .client
                .update_item()
                .table_name(&self.table.name)
                .set_key(Some(key::item(key::directory(tenant, metric), key::day_name(day))))
                .update_expression(update)
                .set_condition_expression(condition.map(str::to_owned))
                .expression_attribute_names("#touched", TOUCHED)
                .expression_attribute_values(":now", number(now.micros()))
        };
        // The spread of a day only grows: rows under a wider one must stay in sight.
        let wider = touch(
            Some("attribute_not_exists(#spread) OR #spread <= :spread"),
            "SET #touched = :now, #spread = :spread",
        )
        .expression_attribute_names("#spread", SPREAD)
        .expression_attribute_values(":spread", number(spread));
        let spread = match wider.send().await {
            Ok(_) => spread,
            Err(error) if is_condition(&error) => {
                // Others spread it further: so do we from now on.
                let touched = touch(Some("attribute_exists(#spread)"), "SET #touched = :now")
                    .expression_attribute_names("#spread", SPREAD)
                    .return_values(ReturnValue::AllNew);
                let touched = touched.send().await.map_err(|error| match is_condition(&error) {
                    true => Error::unavailable("a day was taken out of the directory meanwhile: try again"),
                    false => failure::dynamodb(error),
                })?;
                number_of(&touched.attributes.unwrap_or_default(), SPREAD)?
            }
            Err(error) => return Err(failure::dynamodb(error)),
        };
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

    /// The days of `time` that may have rows, in order.
    pub(super) async fn days(&self, tenant: &TenantId, metric: &MetricId, time: TimeRange) -> Result<Vec<Day>> {
        if time.is_empty() || time.from > Timestamp::MAX.micros() || time.to <= Timestamp::MIN.micros() {
            return Ok(Vec::new());
        }
        let day_of = |micros: i64| key::day_name(key::day(Timestamp::saturating_from_micros(micros)));
        let mut query =
            Query { condition: "#pk = :pk AND #sk BETWEEN :first AND :last".to_owned(), ..Query::default() };
        query.names.insert("#pk".to_owned(), key::PARTITION.to_owned());
        query.names.insert("#sk".to_owned(), key::SORT.to_owned());
        query.values.insert(":pk".to_owned(), text(key::directory(tenant, metric)));
        query.values.insert(":first".to_owned(), text(day_of(time.from)));
        query.values.insert(":last".to_owned(), text(day_of(time.to.saturating_sub(1))));
        let found = self.table.all(&query, usize::MAX).await?;
        found.iter().map(read_day).collect()
    }

    /// Takes a day without rows out of the directory that is [forgettable](Day::is_forgettable), unless somebody
    /// touched it since.
    pub(super) async fn forget_day(&self, tenant: &TenantId, metric: &MetricId, day: Day) -> Result<()> {
        let call = self
            .table
            .client
            .delete_item()
            .table_name(&self.table.name)
            .set_key(Some(key::item(key::directory(tenant, metric), key::day_name(day.number))))
            .condition_expression("#touched = :touched")
            .expression_attribute_names("#touched", TOUCHED)
            .expression_attribute_values(":touched", number(day.touched));
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
        for day in self.days(tenant, metric, TimeRange::ALL).await? {
            if self.day_has_rows(tenant, metric, day).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a day has a row now.
    pub(super) async fn day_has_rows(&self, tenant: &TenantId, metric: &MetricId, day: Day) -> Result<bool> {
        for part in 0..day.spread {
            let mut query = Query { condition: "#pk = :pk".to_owned(), limit: Some(1), ..Query::default() };
            query.names.insert("#pk".to_owned(), key::PARTITION.to_owned());
            query.values.insert(":pk".to_owned(), text(key::rows(tenant, metric, day.number, part)));
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

fn read_day(item: &Item) -> Result<Day> {
    let name = text_of(item, key::SORT)?;
    let number = name.parse().map_err(|_| Error::corrupt("not a day of the directory").with("key", name))?;
    Ok(Day { number, spread: number_of(item, SPREAD)?, touched: number_of(item, TOUCHED)? })
}
