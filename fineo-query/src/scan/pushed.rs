//! Which filters a scan of files may evaluate early: those that cannot fail on a row that others exclude.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, Schema},
    catalog::Session,
    common::DFSchema,
    error::Result,
    logical_expr::{Expr, Operator},
    physical_expr::{
        PhysicalExpr,
        expressions::{
            BinaryExpr, CastExpr, Column as ColumnExpr, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr,
            IsNullExpr, LikeExpr, Literal, NotExpr,
        },
    },
};

use crate::{column::Column, plan::Opaque};

/// What rows of files are tested by while they are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tests {
    /// Tests over the scan's columns, and behind them those `beside`.
    pub(super) tests: Vec<Arc<dyn PhysicalExpr>>,
    /// Columns that are only tested.
    pub(super) beside: Vec<Column>,
}

/// A filter, and whether nobody else tests it.
pub(crate) struct Filter<'a> {
    pub(crate) expr: &'a Expr,
    pub(crate) is_exact: bool,
}

impl Tests {
    /// What `filters` test of a table of `all` columns, of which a scan shows `shown`.
    ///
    /// # Errors
    ///
    /// When a filter that nobody else tests cannot be tested.
    pub(crate) fn of(filters: &[Filter<'_>], shown: &[Column], all: &[Column], state: &dyn Session) -> Result<Self> {
        let mut tests = Self::default();
        for filter in filters {
            let names = filter.expr.column_refs();
            let mut beside = tests.beside.clone();
            for name in names {
                let is_known = |column: &Column| *column.name == *name.name;
                if !shown.iter().any(is_known) && !beside.iter().any(is_known) {
                    beside.extend(all.iter().find(|column| is_known(column)).cloned());
                }
            }
            let fields = shown.iter().chain(&beside).map(Column::field).collect::<Vec<_>>();
            let schema = Schema::new(fields);
            let test = DFSchema::try_from(schema.clone())
                .and_then(|known| state.create_physical_expr(filter.expr.clone(), &known));
            match test {
                Ok(test) if filter.is_exact || is_worth(&test, &schema) => {
                    tests.tests.push(test);
                    tests.beside = beside;
                }
                Err(error) if filter.is_exact => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(tests)
    }
}

/// Whether `test` is worth evaluating as rows are read, and fails on none of them.
fn is_worth(test: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    // Nearly every row passes; who checks again does so at less cost.
    test.downcast_ref::<IsNotNullExpr>().is_none() && is_total(test, schema)
}

/// Whether `expr` over columns of `schema` fails on no row.
pub(crate) fn is_total(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    if expr.downcast_ref::<DynamicFilterPhysicalExpr>().is_some() {
        return true;
    }
    let is_leaf = expr.downcast_ref::<ColumnExpr>().is_some() || expr.downcast_ref::<Literal>().is_some();
    let is_test = expr.downcast_ref::<Opaque>().is_some()
        || expr.downcast_ref::<InListExpr>().is_some()
        || expr.downcast_ref::<IsNullExpr>().is_some()
        || expr.downcast_ref::<IsNotNullExpr>().is_some()
        || expr.downcast_ref::<LikeExpr>().is_some()
        || expr.downcast_ref::<NotExpr>().is_some();
    let is_comparison = expr.downcast_ref::<BinaryExpr>().is_some_and(|binary| is_safe(*binary.op()));
    let is_cast = expr.downcast_ref::<CastExpr>().is_some_and(|cast| is_widening(cast, schema));
    (is_leaf || is_test || is_comparison || is_cast) && expr.children().into_iter().all(|child| is_total(child, schema))
}

fn is_safe(op: Operator) -> bool {
    matches!(
        op,
        Operator::And
            | Operator::Or
            | Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Whether every value of the cast's operand has a value of its type.
fn is_widening(cast: &CastExpr, schema: &Schema) -> bool {
    let Ok(from) = cast.expr().data_type(schema) else { return false };
    match cast.cast_type() {
        DataType::Float64 => from.is_integer() || from.is_floating(),
        DataType::Int64 => matches!(from, DataType::Int32 | DataType::Int64),
        _ => false,
    }
}
