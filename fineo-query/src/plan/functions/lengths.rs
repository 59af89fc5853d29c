//! Intervals, and differences of times, times a number and divided by one.

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::{
        datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType},
        error::ArrowError,
    },
    common::{DFSchema, Result, ScalarValue},
    error::DataFusionError,
    logical_expr::{
        Expr, ExprSchemable, ScalarUDF,
        expr::ScalarFunction,
        planner::{PlannerResult, RawBinaryExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};

use super::rows::{Function, Makes, Takes, value};
use crate::{
    error::{foreign, refused},
    sql::lengths::{Length, read},
};

const DAYS_PER_MONTH: f64 = 30.0;
const NANOS_PER_DAY: f64 = 86_400e9;

/// A function of an interval, or a difference, and a number.
const fn of_both(name: &'static str, answer: fn(&[ScalarValue]) -> Result<ScalarValue>) -> Function {
    Function {
        name,
        takes: &[Takes::Difference, Takes::Number],
        repeats: false,
        knows_null: false,
        makes: Makes::First,
        answer,
    }
}

const TIMES: Function = of_both("interval_times", |values| apply(values, |part, number| part * number));
const OVER: Function = of_both("interval_over", |values| {
    if value!(values, 1, Float64) == 0.0 {
        return Err(ArrowError::DivideByZero.into());
    }
    apply(values, |part, number| part / number)
});

pub(super) const ALL: &[Function] = &[TIMES, OVER];

static TIMES_UDF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ALL[0].udf()));
static OVER_UDF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ALL[1].udf()));

/// What `expr` is, where it multiplies or divides an interval.
pub(in crate::plan) fn scaled(expr: RawBinaryExpr, schema: &DFSchema) -> PlannerResult<RawBinaryExpr> {
    let of = |side: &Expr| side.get_type(schema).ok();
    let is_length = |of: &Option<DataType>| matches!(of, Some(DataType::Interval(_) | DataType::Duration(_)));
    let is_number = |of: &Option<DataType>| of.as_ref().is_some_and(DataType::is_numeric);
    let (left, right) = (of(&expr.left), of(&expr.right));
    let call = |udf: &Arc<ScalarUDF>, length: Expr, number: Expr| {
        PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(udf), vec![length, number])))
    };
    match expr.op {
        BinaryOperator::Multiply if is_length(&left) && is_number(&right) => call(&TIMES_UDF, expr.left, expr.right),
        BinaryOperator::Multiply if is_number(&left) && is_length(&right) => call(&TIMES_UDF, expr.right, expr.left),
        BinaryOperator::Divide if is_length(&left) && is_number(&right) => call(&OVER_UDF, expr.left, expr.right),
        _ => PlannerResult::Original(expr),
    }
}

/// Reads text that is compared with an interval as one.
pub(in crate::plan) fn read_beside(expr: &mut RawBinaryExpr, schema: &DFSchema) -> Result<()> {
    let RawBinaryExpr { left, right, .. } = expr;
    let is_text = |side: &Expr| matches!(side, Expr::Literal(value, _) if value.try_as_str().flatten().is_some());
    let (side, other) = if is_text(right) { (right, &*left) } else { (left, &*right) };
    let Expr::Literal(value, _) = &*side else { return Ok(()) };
    let Some(text) = value.try_as_str().flatten() else { return Ok(()) };
    if matches!(other.get_type(schema), Ok(DataType::Interval(_) | DataType::Duration(_))) {
        let Some(Length { months, days, nanos }) = read(text) else { return Err(no_length(text)) };
        let length = IntervalMonthDayNano::new(months, days, nanos);
        *side = Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(length)), None);
    }
    Ok(())
}

fn no_length(text: &str) -> DataFusionError {
    let error =
        refused("cannot_cast", "a text is no interval").with("value", text.chars().take(200).collect::<String>());
    foreign(error.with("type", "interval").with("hint", "write it as '1 day 04:05:06'"))
}

fn apply(values: &[ScalarValue], by: fn(f64, f64) -> f64) -> Result<ScalarValue> {
    let number = value!(values, 1, Float64);
    let count = |count: i64| rounded(by(count as f64, number)).map(Some);
    Ok(match values.first() {
        Some(ScalarValue::DurationSecond(Some(of))) => ScalarValue::DurationSecond(count(*of)?),
        Some(ScalarValue::DurationMillisecond(Some(of))) => ScalarValue::DurationMillisecond(count(*of)?),
        Some(ScalarValue::DurationMicrosecond(Some(of))) => ScalarValue::DurationMicrosecond(count(*of)?),
        Some(ScalarValue::DurationNanosecond(Some(of))) => ScalarValue::DurationNanosecond(count(*of)?),
        _ => {
            let length = value!(values, 0, IntervalMonthDayNano);
            ScalarValue::IntervalMonthDayNano(Some(part_by_part(length, |part| by(part, number))?))
        }
    })
}

/// Each part of a length by itself; what is left of months becomes days, of days a time of day, as in Postgres.
fn part_by_part(length: IntervalMonthDayNano, by: impl Fn(f64) -> f64) -> Result<IntervalMonthDayNano> {
    let (months, days, nanos) = IntervalMonthDayNanoType::to_parts(length);
    let (all_months, all_days) = (by(months.into()), by(days.into()));
    let (months, mut days) = (narrow(all_months.trunc())?, narrow(all_days.trunc())?);
    // Up to a microsecond, by which what a number has lost in doubles is put right.
    let exact = |number: f64| (number * 1e6).round_ties_even() / 1e6;
    let days_left = exact((all_months - all_months.trunc()) * DAYS_PER_MONTH);
    let part_of_day = all_days - all_days.trunc() + days_left - days_left.trunc();
    let mut nanos_left = exact(part_of_day * 86_400.0) * 1e9;
    if nanos_left.abs() >= NANOS_PER_DAY {
        let whole = (nanos_left / NANOS_PER_DAY).trunc();
        days = days.checked_add(narrow(whole)?).ok_or_else(no_room)?;
        nanos_left -= whole * NANOS_PER_DAY;
    }
    days = days.checked_add(narrow(days_left.trunc())?).ok_or_else(no_room)?;
    let micros = rounded((by(nanos as f64) + nanos_left) / 1_000.0)?;
    Ok(IntervalMonthDayNano::new(months, days, micros.checked_mul(1_000).ok_or_else(no_room)?))
}

fn narrow(whole: f64) -> Result<i32> {
    let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&whole);
    if fits { Ok(whole as i32) } else { Err(no_room()) }
}

/// The whole number next to `number`.
fn rounded(number: f64) -> Result<i64> {
    let whole = number.round_ties_even();
    // The first power of two that has no room.
    let fits = whole.is_finite() && whole.abs() < 2.0_f64.powi(63);
    if fits { Ok(whole as i64) } else { Err(no_room()) }
}

fn no_room() -> DataFusionError {
    ArrowError::ArithmeticOverflow("an interval has no room for so much".to_owned()).into()
}
