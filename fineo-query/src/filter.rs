//! What a scan may leave unread: the time range and the tests that a filter implies.
//!
//! Everything here errs on one side: a range or a test keeps at least the rows that satisfy the filter.

use std::sync::Arc;

use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator},
};
use fineo_core::{TimeRange, nearline::Predicate};

use crate::{
    column::{Column, Content, TIMESTAMP},
    plan::functions,
};

/// What one filter says of the scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Implied {
    /// Rows that satisfy the filter have their time here.
    pub(crate) time: TimeRange,
    /// Whether the range says all that the filter says.
    pub(crate) is_time_exact: bool,
    /// A test that rows which satisfy the filter pass.
    pub(crate) predicate: Option<Predicate>,
}

/// What `filter` implies for a table of `columns`.
pub(crate) fn implied(filter: &Expr, columns: &[Column]) -> Implied {
    let (time, is_time_exact) = time_of(filter, columns);
    let predicate = predicate_of(filter, columns);
    Implied { time, is_time_exact, predicate }
}

fn column_of<'a>(expr: &Expr, columns: &'a [Column]) -> Option<&'a Column> {
    match expr {
        Expr::Column(column) => columns.iter().find(|known| *known.name == *column.name),
        _ => None,
    }
}

fn is_time(expr: &Expr, columns: &[Column]) -> bool {
    column_of(expr, columns).is_some_and(|column| matches!(column.content, Content::Timestamp))
}

/// Whether `expr` is what a clock in some zone shows at the time of a row.
fn is_clock(expr: &Expr, columns: &[Column]) -> bool {
    let Expr::ScalarFunction(call) = expr else { return false };
    let [_, time] = call.args.as_slice() else { return false };
    match call.name() {
        functions::ZONED => is_time(time, columns),
        _ => false,
    }
}

/// The instants at which any clock may show what is within `shown`: none is a day from UTC.
fn wider(shown: TimeRange) -> TimeRange {
    TimeRange { from: shown.from.saturating_sub(DAY_MICROS), to: shown.to.saturating_add(DAY_MICROS) }
}

const EMPTY: TimeRange = TimeRange { from: i64::MAX, to: i64::MIN };

fn hull(left: TimeRange, right: TimeRange) -> TimeRange {
    if left.is_empty() {
        return right;
    }
    if right.is_empty() {
        return left;
    }
    TimeRange { from: left.from.min(right.from), to: left.to.max(right.to) }
}

/// The times of rows that satisfy `filter`, and whether those are all rows of these times.
fn time_of(filter: &Expr, columns: &[Column]) -> (TimeRange, bool) {
    match filter {
        Expr::Alias(alias) => time_of(&alias.expr, columns),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            let (left, is_left_exact) = time_of(left, columns);
            let (right, is_right_exact) = time_of(right, columns);
            (left.intersect(&right), is_left_exact && is_right_exact)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let (left, _) = time_of(left, columns);
            let (right, _) = time_of(right, columns);
            (hull(left, right), false)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => compared(left, *op, right, columns),
        Expr::Between(between) if !between.negated && is_time(&between.expr, columns) => {
            let from = micros(&between.low).map(|low| range(Operator::GtEq, low));
            let to = micros(&between.high).map(|high| range(Operator::LtEq, high));
            match (from.flatten(), to.flatten()) {
                (Some(from), Some(to)) => (from.intersect(&to), true),
                (Some(one), None) | (None, Some(one)) => (one, false),
                (None, None) => (TimeRange::ALL, false),
            }
        }
        Expr::InList(list) if !list.negated && is_time(&list.expr, columns) => {
            let instants: Option<Vec<TimeRange>> =
                list.list.iter().map(|item| range(Operator::Eq, micros(item)?)).collect();
            let time = instants.map_or(TimeRange::ALL, |instants| instants.into_iter().fold(EMPTY, hull));
            (time, false)
        }
        Expr::Literal(ScalarValue::Boolean(Some(false) | None), _) => (EMPTY, true),
        _ => (TimeRange::ALL, false),
    }
}

fn compared(left: &Expr, op: Operator, right: &Expr, columns: &[Column]) -> (TimeRange, bool) {
    let (tested, op, literal) = match (left, right) {
        (_, Expr::Literal(..)) => (left, Some(op), right),
        (Expr::Literal(..), _) => (right, op.swap(), left),
        _ => return (TimeRange::ALL, false),
    };
    let Some(op) = op else { return (TimeRange::ALL, false) };
    match tested {
        _ if is_time(tested, columns) => match micros(literal).and_then(|instant| range(op, instant)) {
            Some(time) => (time, true),
            None => (TimeRange::ALL, false),
        },
        _ if is_clock(tested, columns) => {
            (micros(literal).and_then(|shown| range(op, shown)).map_or(TimeRange::ALL, wider), false)
        }
        Expr::Cast(cast) if is_clock(&cast.expr, columns) => (days(op, literal).map_or(TimeRange::ALL, wider), false),
        // A day is compared: any instant of the day may be meant.
        Expr::Cast(cast) if is_time(&cast.expr, columns) => (days(op, literal).unwrap_or(TimeRange::ALL), false),
        Expr::TryCast(cast) if is_time(&cast.expr, columns) => (days(op, literal).unwrap_or(TimeRange::ALL), false),
        _ => (TimeRange::ALL, false),
    }
}

/// An instant, as the microsecond at or before it and whether it is exactly that.
#[derive(Clone, Copy)]
struct Instant {
    micros: i64,
    is_whole: bool,
}

/// The instant of a literal; one without a zone is in UTC, as the engine reads it.
fn micros(literal: &Expr) -> Option<Instant> {
    let Expr::Literal(value, _) = literal else { return None };
    let whole = |micros| Some(Instant { micros, is_whole: true });
    match value {
        ScalarValue::TimestampSecond(Some(value), _) => whole(value.checked_mul(1_000_000)?),
        ScalarValue::TimestampMillisecond(Some(value), _) => whole(value.checked_mul(1_000)?),
        ScalarValue::TimestampMicrosecond(Some(value), _) => whole(*value),
        ScalarValue::TimestampNanosecond(Some(value), _) => {
            Some(Instant { micros: value.div_euclid(1_000), is_whole: value.rem_euclid(1_000) == 0 })
        }
        _ => None,
    }
}

fn range(op: Operator, instant: Instant) -> Option<TimeRange> {
    let Instant { micros, is_whole } = instant;
    let next = micros.checked_add(1)?;
    Some(match op {
        Operator::Lt if is_whole => TimeRange { from: i64::MIN, to: micros },
        Operator::Lt | Operator::LtEq => TimeRange { from: i64::MIN, to: next },
        Operator::GtEq if is_whole => TimeRange { from: micros, to: i64::MAX },
        Operator::Gt | Operator::GtEq => TimeRange { from: next, to: i64::MAX },
        Operator::Eq if is_whole => TimeRange { from: micros, to: next },
        Operator::Eq => EMPTY,
        _ => return None,
    })
}

const DAY_MICROS: i64 = 86_400_000_000;

fn days(op: Operator, literal: &Expr) -> Option<TimeRange> {
    let Expr::Literal(ScalarValue::Date32(Some(day)), _) = literal else { return None };
    let first = i64::from(*day).checked_mul(DAY_MICROS)?;
    let next = first.checked_add(DAY_MICROS)?;
    Some(match op {
        Operator::Lt => TimeRange { from: i64::MIN, to: first },
        Operator::LtEq => TimeRange { from: i64::MIN, to: next },
        Operator::Gt => TimeRange { from: next, to: i64::MAX },
        Operator::GtEq => TimeRange { from: first, to: i64::MAX },
        Operator::Eq => TimeRange { from: first, to: next },
        _ => return None,
    })
}

fn predicate_of(filter: &Expr, columns: &[Column]) -> Option<Predicate> {
    match filter {
        Expr::Alias(alias) => predicate_of(&alias.expr, columns),
        Expr::IsNotNull(inner) => present(inner, columns),
        Expr::InList(list) if !list.negated => match texts(list.list.iter()) {
            Some(texts) => any_text(&list.expr, texts, columns).or_else(|| present(&list.expr, columns)),
            None => present(&list.expr, columns),
        },
        Expr::Between(between) => present(&between.expr, columns),
        Expr::Like(like) => present(&like.expr, columns),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            either(predicate_of(left, columns)?, predicate_of(right, columns)?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            predicate_of(left, columns).or_else(|| predicate_of(right, columns))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (tested, literal) = sides(left, right)?;
            match texts(std::iter::once(literal)) {
                Some(texts) => any_text(tested, texts, columns).or_else(|| present(tested, columns)),
                None => present(tested, columns),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            let (tested, _) = sides(left, right)?;
            present(tested, columns)
        }
        _ => None,
    }
}

fn is_comparison(op: Operator) -> bool {
    matches!(op, Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

fn sides<'a>(left: &'a Expr, right: &'a Expr) -> Option<(&'a Expr, &'a Expr)> {
    match (left, right) {
        (_, Expr::Literal(..)) => Some((left, right)),
        (Expr::Literal(..), _) => Some((right, left)),
        _ => None,
    }
}

fn texts<'a>(literals: impl Iterator<Item = &'a Expr>) -> Option<Vec<Arc<str>>> {
    literals
        .map(|literal| match literal {
            Expr::Literal(
                ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)),
                _,
            ) => Some(text.as_str().into()),
            _ => None,
        })
        .collect()
}

fn any_text(tested: &Expr, texts: Vec<Arc<str>>, columns: &[Column]) -> Option<Predicate> {
    let column = column_of(tested, columns)?;
    if !column.is_text() {
        return None;
    }
    Some(Predicate::AnyText { names: names(column)?, texts })
}

/// `tested` compared with anything but null is null where its column is.
fn present(tested: &Expr, columns: &[Column]) -> Option<Predicate> {
    let tested = match tested {
        Expr::Cast(cast) => &cast.expr,
        Expr::TryCast(cast) => &cast.expr,
        other => other,
    };
    Some(Predicate::AnyPresent { names: names(column_of(tested, columns)?)? })
}

fn names(column: &Column) -> Option<Vec<Arc<str>>> {
    let logical = column.logical()?;
    Some(logical.sources.iter().map(|source| Arc::clone(&source.name)).collect())
}

/// A test that passes where `left` or `right` does, where one can say it.
fn either(left: Predicate, right: Predicate) -> Option<Predicate> {
    match (left, right) {
        (Predicate::AnyText { names, texts: mut left }, Predicate::AnyText { names: right_names, texts: right })
            if names == right_names =>
        {
            left.extend(right);
            Some(Predicate::AnyText { names, texts: left })
        }
        (
            Predicate::AnyText { mut names, .. } | Predicate::AnyPresent { mut names },
            Predicate::AnyText { names: others, .. } | Predicate::AnyPresent { names: others },
        ) => {
            for other in others {
                if !names.contains(&other) {
                    names.push(other);
                }
            }
            Some(Predicate::AnyPresent { names })
        }
    }
}

/// Whether `filter` is nothing but one test of one text column, so that a store that applies it exactly
/// answers it fully.
pub(crate) fn is_one_text_test(filter: &Expr, columns: &[Column]) -> bool {
    let is_plain = |tested: &Expr| {
        let logical = column_of(tested, columns).filter(|column| column.is_text()).and_then(Column::logical);
        logical.is_some_and(|logical| {
            logical.sources.len() == 1 && logical.sources.iter().all(|source| source.unreadable_through.is_none())
        })
    };
    match filter {
        Expr::IsNotNull(tested) => is_plain(tested),
        Expr::InList(list) => !list.negated && is_plain(&list.expr) && texts(list.list.iter()).is_some(),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => sides(left, right)
            .is_some_and(|(tested, literal)| is_plain(tested) && texts(std::iter::once(literal)).is_some()),
        _ => false,
    }
}

/// The column that says when an event happened, for messages.
pub(crate) fn describe(time: &TimeRange) -> String {
    if *time == TimeRange::ALL {
        return format!("{TIMESTAMP}=all");
    }
    let show = |micros: i64, open: &str| match fineo_core::Timestamp::from_micros(micros) {
        Ok(instant) => instant.to_string(),
        Err(_) => open.to_owned(),
    };
    if time.is_empty() {
        return format!("{TIMESTAMP}=none");
    }
    format!("{TIMESTAMP}=[{}, {})", show(time.from, "-∞"), show(time.to, "∞"))
}
