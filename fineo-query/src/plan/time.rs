//! Times written as text, compared with times of events.
//!
//! The engine would read such text as nanoseconds, which end in the year 2262; events may be of any year
//! from 0001 to 9999. So the text becomes an instant here, in microseconds, before the engine sees it.

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
    error::Result,
    logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, expr_rewriter::NamePreserver, utils::merge_schema},
};
use fineo_core::Timestamp;
use fineo_schema::coerce;

use crate::error::{foreign, refused};

/// `plan` with text as instants wherever it is compared with instants.
pub(super) fn read_times(plan: LogicalPlan) -> Result<LogicalPlan> {
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

/// Whether `expr` may compare an instant with something written otherwise.
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

fn is_instant(expr: &Expr, schema: &DFSchema) -> bool {
    let data_type = expr.get_type(schema);
    data_type.is_ok_and(|data_type| matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, Some(_))))
}

fn read_in(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(mut binary) => {
            if is_instant(&binary.left, schema) {
                read(&mut binary.right)?;
            } else if is_instant(&binary.right, schema) {
                read(&mut binary.left)?;
            } else {
                return Ok(Transformed::no(Expr::BinaryExpr(binary)));
            }
            Ok(Transformed::yes(Expr::BinaryExpr(binary)))
        }
        Expr::Between(mut between) if is_instant(&between.expr, schema) => {
            read(&mut between.low)?;
            read(&mut between.high)?;
            Ok(Transformed::yes(Expr::Between(between)))
        }
        Expr::InList(mut list) if is_instant(&list.expr, schema) => {
            list.list.iter_mut().try_for_each(read)?;
            Ok(Transformed::yes(Expr::InList(list)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Makes a literal an instant; anything else stays.
fn read(expr: &mut Expr) -> Result<()> {
    let Expr::Literal(value, _) = expr else { return Ok(()) };
    let text = match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => text,
        ScalarValue::Int64(Some(_)) | ScalarValue::UInt64(Some(_)) | ScalarValue::Float64(Some(_)) => {
            return Err(foreign(
                refused("cannot_compare", "a time is not compared with a number")
                    .with("value", &*value)
                    .with("hint", "write the time as text, or use to_timestamp_millis(…)"),
            ));
        }
        _ => return Ok(()),
    };
    let Some(micros) = instant(text) else {
        return Err(foreign(
            refused("cannot_cast", "a text is no time")
                .with("value", text.chars().take(200).collect::<String>())
                .with("type", "timestamp")
                .with("hint", "write it as 2026-01-31T12:00:00Z"),
        ));
    };
    *expr = Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())), None);
    Ok(())
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
