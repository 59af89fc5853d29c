//! Times and booleans written as text, compared with such columns.
//!
//! The engine would read the text of a time as nanoseconds, which end in the year 2262; events may be of any year
//! from 0001 to 9999. So the text becomes an instant here, in microseconds, before the engine sees it. And the engine
//! compares no boolean with text, while tools write `'true'` and `'t'`, as they may elsewhere.

use datafusion::{
    arrow::{
        array::timezone::Tz,
        compute::kernels::cast_utils::string_to_datetime,
        datatypes::{DataType, TimeUnit},
    },
    common::{
        DFSchema, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    error::{DataFusionError, Result},
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, Operator,
        expr_rewriter::NamePreserver,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
        utils::merge_schema,
    },
    sql::sqlparser::ast::BinaryOperator,
};
use fineo_core::Timestamp;
use fineo_schema::coerce;

use crate::error::{foreign, refused};

/// Reads text that an operator compares with a boolean: the engine gives such an expression no type, so that it cannot wait
/// for [`read_literals`].
#[derive(Debug)]
pub(crate) struct LiteralPlanner;

impl ExprPlanner for LiteralPlanner {
    fn plan_binary_op(&self, mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        if matches!(expr.op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
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
                if !compares_literal(&expr) {
                    return Ok(Transformed::no(expr));
                }
                let schema = schema.get_or_insert_with(|| merge_schema(&inputs.iter().collect::<Vec<_>>()));
                read_in(expr, schema)
            })?;
            Ok(read.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(read.data)
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

/// Whether `expr` may compare an instant or a boolean with something written otherwise.
fn compares_literal(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(binary) => is_comparison(binary.op) && (is_literal(&binary.left) || is_literal(&binary.right)),
        Expr::Between(between) => is_literal(&between.low) || is_literal(&between.high),
        Expr::InList(list) => list.list.iter().any(is_literal),
        _ => false,
    }
}

fn is_comparison(op: Operator) -> bool {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Instant,
    Boolean,
}

impl Kind {
    /// That of what is compared with `expr`; none where text stays text.
    fn of(expr: &Expr, schema: &DFSchema) -> Option<Self> {
        match expr.get_type(schema).ok()? {
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Some(Self::Instant),
            DataType::Boolean => Some(Self::Boolean),
            _ => None,
        }
    }
}

fn read_in(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let kind = |expr: &Expr| Kind::of(expr, schema);
    match &mut expr {
        Expr::BinaryExpr(binary) => match (kind(&binary.left), kind(&binary.right)) {
            (Some(of), _) => read(&mut binary.right, of)?,
            (None, Some(of)) => read(&mut binary.left, of)?,
            (None, None) => return Ok(Transformed::no(expr)),
        },
        Expr::Between(between) => {
            let Some(of) = kind(&between.expr) else { return Ok(Transformed::no(expr)) };
            read(&mut between.low, of)?;
            read(&mut between.high, of)?;
        }
        Expr::InList(list) => {
            let Some(of) = kind(&list.expr) else { return Ok(Transformed::no(expr)) };
            list.list.iter_mut().try_for_each(|item| read(item, of))?;
        }
        _ => return Ok(Transformed::no(expr)),
    }
    Ok(Transformed::yes(expr))
}

/// Makes a literal an instant or a boolean; anything else stays.
fn read(expr: &mut Expr, kind: Kind) -> Result<()> {
    let Expr::Literal(value, _) = expr else { return Ok(()) };
    let read = match (value.try_as_str().flatten(), kind) {
        (Some(text), Kind::Instant) => time(text)?,
        (Some(text), Kind::Boolean) => ScalarValue::Boolean(Some(boolean(text).ok_or_else(|| no_boolean(text))?)),
        (None, Kind::Instant) if is_number(value) => {
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

fn no_boolean(text: &str) -> DataFusionError {
    foreign(
        refused("cannot_cast", "a text is no boolean")
            .with("value", text.chars().take(200).collect::<String>())
            .with("type", "boolean")
            .with("hint", "write it as true or false"),
    )
}

fn time(text: &str) -> Result<ScalarValue> {
    let Some(micros) = instant(text) else {
        return Err(foreign(
            refused("cannot_cast", "a text is no time")
                .with("value", text.chars().take(200).collect::<String>())
                .with("type", "timestamp")
                .with("hint", "write it as 2026-01-31T12:00:00Z"),
        ));
    };
    Ok(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
}

/// The microseconds of a time written as RFC 3339 or ISO 8601, without a zone in UTC.
pub(super) fn instant(text: &str) -> Option<i64> {
    let utc: Tz = "UTC".parse().ok()?;
    let micros = match string_to_datetime(&utc, text.trim()) {
        Ok(instant) => instant.timestamp_micros(),
        Err(_) => coerce::timestamp(text)?,
    };
    Timestamp::from_micros(micros).ok().map(Timestamp::micros)
}
