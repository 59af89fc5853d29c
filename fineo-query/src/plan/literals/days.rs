//! Days plus or minus a number of days, which are days, as is a written interval of whole days or months; or any other interval, which
//! are times, as in Postgres.
//!
//! DataFusion 55.2 makes nanoseconds of the former, which end after some centuries, or begin anew; and of the latter days, by which
//! all that is shorter than a day is lost.

use datafusion::{
    arrow::datatypes::{DataType, IntervalMonthDayNanoType, TimeUnit},
    common::{DFSchema, ScalarValue},
    logical_expr::{
        Expr, ExprSchemable, Operator, binary_expr, cast,
        planner::{PlannerResult, RawBinaryExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};

/// What days become: the times at which they begin.
const INSTANT: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// A day and what is added to it, or taken from it, where `expr` is that.
pub(super) fn days_from(expr: RawBinaryExpr, schema: &DFSchema) -> PlannerResult<RawBinaryExpr> {
    let (left, right) = (is_day(&expr.left, schema), is_day(&expr.right, schema));
    let (day, other, operator) = match (left, right, &expr.op) {
        (true, false, BinaryOperator::Plus) => (&expr.left, &expr.right, Operator::Plus),
        (true, false, BinaryOperator::Minus) => (&expr.left, &expr.right, Operator::Minus),
        (false, true, BinaryOperator::Plus) => (&expr.right, &expr.left, Operator::Plus),
        (false, true, BinaryOperator::Minus) if is_time(&expr.left, schema) => {
            (&expr.right, &expr.left, Operator::Minus)
        }
        _ => return PlannerResult::Original(expr),
    };
    match other.get_type(schema) {
        // Beside the begin of a day as beside the day itself, the engine would count nanoseconds.
        Ok(of @ DataType::Timestamp(TimeUnit::Microsecond, _)) if operator == Operator::Minus => {
            let begin = |side: &Expr| if is_day(side, schema) { cast(side.clone(), of.clone()) } else { side.clone() };
            PlannerResult::Planned(binary_expr(begin(&expr.left), operator, begin(&expr.right)))
        }
        Ok(number) if number.is_integer() => PlannerResult::Planned(day_of(day, operator, other)),
        Ok(DataType::Interval(_) | DataType::Duration(_)) => {
            PlannerResult::Planned(later(day.clone(), operator, other.clone()))
        }
        _ => PlannerResult::Original(expr),
    }
}

/// The day that is so many days later or earlier.
fn day_of(day: &Expr, operator: Operator, days: &Expr) -> Expr {
    let wide = |number: &Expr| cast(cast(number.clone(), DataType::Int32), DataType::Int64);
    let sum = binary_expr(wide(day), operator, wide(days));
    cast(cast(sum, DataType::Int32), DataType::Date32)
}

/// The time that is so much later or earlier than the begin of a day; the day where that is so by the words, for days tell files apart
/// and go where days go.
fn later(day: Expr, operator: Operator, length: Expr) -> Expr {
    let from = if is_of_days(&length) { day } else { cast(day, INSTANT) };
    binary_expr(from, operator, length)
}

/// Whether an interval is written out and has nothing shorter than a day.
fn is_of_days(length: &Expr) -> bool {
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(length)), _) = length else { return false };
    let (_, _, nanos) = IntervalMonthDayNanoType::to_parts(*length);
    nanos == 0
}

fn is_day(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|of| of == DataType::Date32)
}

fn is_time(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|of| matches!(of, DataType::Timestamp(..)))
}
