//! What is compared: times and booleans written as text, days with instants, decimals and text with numbers.
//!
//! The engine would read the text of a time, and the day that is compared with one, as nanoseconds, which end in the year
//! 2262; events may be of any year from 0001 to 9999. So both become instants here, in microseconds, before the engine sees
//! them. It compares no boolean with text, while tools write `'true'` and `'t'`, as they may elsewhere. And where a number
//! with a point stands beside a decimal, it makes room for 15 digits behind the point, which the digits before it may need:
//! the number becomes the decimal that was written. Text beside a whole number is read as a number, which need not be whole.
//! `CASE x WHEN …` and `NULLIF` compare, too.

mod days;
mod places;
mod types;

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::timezone::Tz,
        compute::kernels::cast_utils::string_to_datetime,
        datatypes::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit},
    },
    common::{
        DFSchema, ScalarValue, plan_datafusion_err,
        tree_node::{Transformed, TreeNode},
    },
    error::{DataFusionError, Result},
    logical_expr::{
        Cast, Expr, ExprSchemable, LogicalPlan, Operator, TryCast, cast,
        expr_rewriter::NamePreserver,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
        utils::merge_schema,
        when,
    },
    sql::sqlparser::ast::BinaryOperator,
};
use fineo_core::Timestamp;
use fineo_schema::coerce;

use self::{days::days_from, types::compared};
use super::{
    equals::order_by_lengths,
    functions::{read_beside, scaled},
};
use crate::error::{TIMES_ARE_WRITTEN, foreign, is_number_alone, refused};

/// So many digits of what is written are those of the number that it is read as.
const DIGITS_KEPT: usize = f64::DIGITS as usize;

/// Reads text that an operator compares with a boolean: the engine gives such an expression no type, so that it cannot wait
/// for [`read_literals`].
#[derive(Debug)]
pub(crate) struct LiteralPlanner;

impl ExprPlanner for LiteralPlanner {
    fn plan_binary_op(&self, mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Multiply, NotEq, Plus};
        match expr.op {
            Plus | Minus => return Ok(days_from(expr, schema)),
            Multiply | Divide => return Ok(scaled(expr, schema)),
            _ => {}
        }
        if matches!(expr.op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
            read_beside(&mut expr, schema)?;
            let is_boolean = |expr: &Expr| Kind::of(expr, schema) == Some(Kind::Boolean);
            if is_literal(&expr.right) && is_boolean(&expr.left) {
                read(&mut expr.right, Kind::Boolean)?;
            } else if is_literal(&expr.left) && is_boolean(&expr.right) {
                read(&mut expr.left, Kind::Boolean)?;
            }
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// `plan` with text as instants and booleans wherever it is compared with such.
pub(super) fn read_literals(plan: LogicalPlan) -> Result<LogicalPlan> {
    let read = plan.transform_up_with_subqueries(|plan| {
        let names = NamePreserver::new(&plan);
        let mut schema: Option<DFSchema> = None;
        let inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let read = expr.transform_up(|expr| {
                if matches!(expr, Expr::Cast(_) | Expr::TryCast(_)) {
                    let schema = schema.get_or_insert_with(|| merge_schema(&inputs.iter().collect::<Vec<_>>()));
                    return Ok(from_seconds(expr, schema));
                }
                if let Expr::WindowFunction(mut call) = expr {
                    let schema = schema.get_or_insert_with(|| merge_schema(&inputs.iter().collect::<Vec<_>>()));
                    let is_changed = order_by_lengths(&mut call.params.order_by, schema);
                    return Ok(Transformed::new_transformed(Expr::WindowFunction(call), is_changed));
                }
                if !compares(&expr) && !is_null_if(&expr) && !looks_for(&expr) {
                    return Ok(places::known(expr));
                }
                let schema = schema.get_or_insert_with(|| merge_schema(&inputs.iter().collect::<Vec<_>>()));
                match &expr {
                    of if is_null_if(of) => null_if(expr, schema),
                    of if looks_for(of) => types::sought_as_decimal(expr, schema),
                    _ => read_compared(expr, schema),
                }
            })?;
            Ok(read.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(read.data)
}

/// `expr`, a comparison, with all that it compares in words that the engine compares well.
fn read_compared(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mut read = read_in(expr, schema)?;
    let expr = &mut read.data;
    read.transformed |= types::unify(expr, schema);
    Ok(read)
}

/// Whether `expr` is null where two values are equal, in one word.
fn is_null_if(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.name() == "nullif" && call.args.len() == 2 && !expr.is_volatile())
}

/// Whether `expr` compares with the rows of a subquery.
fn looks_for(expr: &Expr) -> bool {
    matches!(expr, Expr::InSubquery(_) | Expr::SetComparison(_))
}

/// `NULLIF(a, b)` compares as `=` does, and answers with `a` as it is.
fn null_if(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = expr else { return Ok(Transformed::no(expr)) };
    let [value, other] =
        <[Expr; 2]>::try_from(call.args).map_err(|_| plan_datafusion_err!("nullif takes two values"))?;
    let is_equal = read_compared(value.clone().eq(other), schema)?.data;
    let null = Expr::Literal(ScalarValue::Null, None);
    when(is_equal, null).otherwise(value).map(Transformed::yes)
}

fn is_literal(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Literal(
            ScalarValue::Utf8(Some(_))
                | ScalarValue::Utf8View(Some(_))
                | ScalarValue::LargeUtf8(Some(_))
                | ScalarValue::Int64(Some(_))
                | ScalarValue::UInt64(Some(_))
                | ScalarValue::Float64(Some(_)),
            _
        )
    )
}

/// A whole number that is cast to a time counts seconds, as the engine has it of its own times.
fn from_seconds(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let to = expr.get_type(schema).ok();
    let Some(DataType::Timestamp(TimeUnit::Microsecond, zone)) = to else { return Transformed::no(expr) };
    let (Expr::Cast(Cast { expr: from, .. }) | Expr::TryCast(TryCast { expr: from, .. })) = &mut expr else {
        return Transformed::no(expr);
    };
    if !from.get_type(schema).is_ok_and(|of| of.is_integer()) {
        return Transformed::no(expr);
    }
    **from = cast(std::mem::take(&mut **from), DataType::Timestamp(TimeUnit::Second, zone));
    Transformed::yes(expr)
}

fn compares(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(binary) => is_comparison(binary.op),
        Expr::Between(_) | Expr::InList(_) => true,
        Expr::Case(case) => case.expr.is_some(),
        _ => false,
    }
}

pub(super) fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// What text is read as.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// In a zone, in which text without one is read.
    Instant(Option<Arc<str>>),
    Boolean,
    /// So many digits, of which so many are behind the point.
    Decimal(u8, i8),
    Text,
}

impl Kind {
    /// That of what is compared with `expr`; none where text stays text.
    fn of(expr: &Expr, schema: &DFSchema) -> Option<Self> {
        match expr.get_type(schema).ok()? {
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Some(Self::Instant(zone)),
            DataType::Boolean => Some(Self::Boolean),
            DataType::Decimal128(digits, scale) => Some(Self::Decimal(digits, scale)),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if !is_literal(expr) => Some(Self::Text),
            _ => None,
        }
    }
}

fn read_in(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_large = compared(&mut expr).into_iter().any(|side| is_large(side));
    let kind = |expr: &Expr| Kind::of(expr, schema).filter(|kind| !(is_large && *kind == Kind::Text));
    match &mut expr {
        Expr::BinaryExpr(binary) => match (kind(&binary.left), kind(&binary.right)) {
            (Some(of), _) => read(&mut binary.right, of)?,
            (None, Some(of)) => read(&mut binary.left, of)?,
            (None, None) => return Ok(Transformed::no(expr)),
        },
        Expr::Between(between) => {
            let Some(of) = kind(&between.expr) else { return Ok(Transformed::no(expr)) };
            read(&mut between.low, of.clone())?;
            read(&mut between.high, of)?;
        }
        Expr::InList(list) => {
            let Some(of) = kind(&list.expr) else { return Ok(Transformed::no(expr)) };
            list.list.iter_mut().try_for_each(|item| read(item, of.clone()))?;
        }
        Expr::Case(case) => {
            let of = case.expr.as_deref().and_then(kind);
            let Some(of) = of else { return Ok(Transformed::no(expr)) };
            case.when_then_expr.iter_mut().try_for_each(|(when, _)| read(when, of.clone()))?;
        }
        _ => return Ok(Transformed::no(expr)),
    }
    Ok(Transformed::yes(expr))
}

/// Whether a literal is a whole number that doubles do not tell from its neighbours.
fn is_large(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(whole)), _) => whole.unsigned_abs() >= 1 << f64::MANTISSA_DIGITS,
        Expr::Literal(ScalarValue::UInt64(Some(_)), _) => true,
        _ => false,
    }
}

/// Makes a literal an instant or a boolean; anything else stays.
fn read(expr: &mut Expr, kind: Kind) -> Result<()> {
    let Expr::Literal(value, _) = expr else { return Ok(()) };
    let read = match (value.try_as_str().flatten(), kind) {
        (Some(text), Kind::Instant(zone)) => time(text, zone)?,
        (Some(text), Kind::Boolean) => ScalarValue::Boolean(Some(boolean(text).ok_or_else(|| no_boolean(text))?)),
        // Text is read as a number then, not as a whole one: every text is on the same side of so small a number.
        (_, Kind::Text) => match value {
            ScalarValue::Int64(Some(whole)) => ScalarValue::Float64(whole.to_string().parse().ok()),
            _ => return Ok(()),
        },
        (_, Kind::Decimal(digits, scale)) => match decimal(value, digits, scale) {
            Some(decimal) => decimal,
            None => return Ok(()),
        },
        (None, Kind::Instant(_)) if is_number(value) => {
            return Err(foreign(
                refused("cannot_compare", "a time is not compared with a number")
                    .with("value", &*value)
                    .with("hint", "write the time as text, or use to_timestamp_millis(…)"),
            ));
        }
        (None, _) => return Ok(()),
    };
    *expr = Expr::Literal(read, None);
    Ok(())
}

fn is_number(value: &ScalarValue) -> bool {
    matches!(value, ScalarValue::Int64(Some(_)) | ScalarValue::UInt64(Some(_)) | ScalarValue::Float64(Some(_)))
}

/// What Postgres reads as a boolean: `true`, `yes`, `on`, `1`, their opposites, and how those words begin, where that tells.
fn boolean(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    let begins = |word: &str, letters_min: usize| text.len() >= letters_min && word.starts_with(&text);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || text == "1" {
        return Some(true);
    }
    (begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0").then_some(false)
}

/// A number with a point as the decimal that it was written as, beside one of so many digits; none where that has no room.
fn decimal(value: &ScalarValue, digits: u8, scale: i8) -> Option<ScalarValue> {
    let ScalarValue::Float64(Some(number)) = value else { return None };
    // The shortest text that reads as the number is what was written.
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let own_digits = whole.trim_start_matches('-').len() + fraction.len();
    if own_digits > DIGITS_KEPT {
        return None;
    }
    let own_scale = i8::try_from(fraction.len()).ok()?;
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let whole_digits =
        (i16::from(digits) - i16::from(scale)).max(i16::try_from(own_digits).ok()? - i16::from(own_scale));
    let is_roomy = whole_digits + i16::from(scale.max(own_scale)) <= i16::from(DECIMAL128_MAX_PRECISION);
    is_roomy.then_some(ScalarValue::Decimal128(Some(unscaled), u8::try_from(own_digits).ok()?, own_scale))
}

fn no_boolean(text: &str) -> DataFusionError {
    foreign(
        refused("cannot_cast", "a text is no boolean")
            .with("value", text.chars().take(200).collect::<String>())
            .with("type", "boolean")
            .with("hint", "write it as true or false"),
    )
}

fn time(text: &str, zone: Option<Arc<str>>) -> Result<ScalarValue> {
    let Some(micros) = instant(text, zone.as_deref().unwrap_or("UTC")) else {
        let hint = if is_number_alone(text) { TIMES_ARE_WRITTEN } else { "write it as 2026-01-31T12:00:00Z" };
        return Err(foreign(
            refused("cannot_cast", "a text is no time")
                .with("value", text.chars().take(200).collect::<String>())
                .with("type", "timestamp")
                .with("hint", hint),
        ));
    };
    Ok(ScalarValue::TimestampMicrosecond(Some(micros), zone))
}

/// The microseconds of a time written as RFC 3339 or ISO 8601, without a zone in `zone`. A number alone is none: it may mean a year,
/// a day, or a count of seconds or milliseconds.
pub(super) fn instant(text: &str, zone: &str) -> Option<i64> {
    let zone: Tz = zone.parse().ok()?;
    let micros = match string_to_datetime(&zone, text.trim()) {
        Ok(instant) => instant.timestamp_micros(),
        Err(_) if is_number_alone(text) => return None,
        Err(_) => coerce::timestamp(text)?,
    };
    Timestamp::from_micros(micros).ok().map(Timestamp::micros)
}
