//! Numbers that a statement gives and memory is taken by, before there are any rows: how large a value of a type is, how many
//! centroids an approximation keeps. The pool of a query hears of neither, and what cannot be had ends the process.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan, ReturnFieldArgs, ScalarUDF, WindowFunctionDefinition},
};

use super::guarded::{Guard, guarded};
use crate::{
    error::{exceeded, foreign, refused},
    sql::bounds::{TYPES_NESTED_MAX, check_type},
};

const CENTROIDS_MAX: u64 = 10_000;

/// `functions`, of which those that cast to a type by its name take none that is too large.
pub(crate) fn of_small_types(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    guarded(functions, |name| matches!(name, "arrow_cast" | "arrow_try_cast").then_some(OfSmallTypes))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OfSmallTypes;

impl Guard for OfSmallTypes {
    fn check_asked(&self, _function: &str, args: &ReturnFieldArgs<'_>) -> Result<()> {
        let named = args.scalar_arguments.get(1).copied().flatten().and_then(|named| named.try_as_str().flatten());
        // Whoever reads the name goes as deep as it is nested.
        let nested = named.map_or(0, |named| named.matches('(').count());
        if nested > TYPES_NESTED_MAX {
            check_type(brackets(named.unwrap_or_default()), 0).map_err(foreign)?;
        }
        Ok(())
    }

    fn check_type(&self, _function: &str, made: &DataType) -> Result<()> {
        check_type(0, fixed_size(made)).map_err(foreign)
    }
}

/// How deep brackets are nested in `text`.
fn brackets(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for sign in text.chars() {
        match sign {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// How many values one of the type has, null or not.
fn fixed_size(data_type: &DataType) -> u64 {
    match data_type {
        DataType::FixedSizeBinary(size) => u64::from(size.unsigned_abs()),
        DataType::FixedSizeList(item, size) => {
            u64::from(size.unsigned_abs()).saturating_mul(fixed_size(item.data_type()))
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::Map(item, _) => fixed_size(item.data_type()),
        DataType::Struct(fields) => {
            fields.iter().fold(0, |sum: u64, field| sum.saturating_add(fixed_size(field.data_type())))
        }
        DataType::Dictionary(_, value) => fixed_size(value),
        DataType::RunEndEncoded(_, value) => fixed_size(value.data_type()),
        _ => 1,
    }
}

/// Refuses `plan` where an approximation would keep too many centroids.
pub(super) fn check_centroids(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Some(centroids) = centroids(expr) {
                    check_count(centroids)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// How many centroids `expr` asks for.
fn centroids(expr: &Expr) -> Option<&Expr> {
    let (name, args) = match expr {
        Expr::AggregateFunction(call) => (call.func.name(), &call.params.args),
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => (function.name(), &call.params.args),
            WindowFunctionDefinition::WindowUDF(_) => return None,
        },
        _ => return None,
    };
    match name {
        "approx_percentile_cont" => args.get(2),
        "approx_percentile_cont_with_weight" => args.get(3),
        _ => None,
    }
}

fn check_count(centroids: &Expr) -> Result<()> {
    let Expr::Literal(count, _) = centroids else {
        let error = refused("query_invalid", "the number of centroids is not written as a number");
        return Err(foreign(error.with("centroids_max", CENTROIDS_MAX)));
    };
    // What is no whole number is left to the function to refuse.
    let count = count.to_string().parse::<u64>().unwrap_or(0);
    if count > CENTROIDS_MAX {
        let error = exceeded("memory_limit", "too many centroids").with("centroids", count);
        return Err(foreign(error.with("centroids_max", CENTROIDS_MAX).with("hint", "the default is 100")));
    }
    Ok(())
}
