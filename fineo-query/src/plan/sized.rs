//! Numbers that a statement gives and memory is taken by, before there are any rows: how large a value of a type is, how many
//! centroids an approximation keeps. The pool of a query hears of neither, and what cannot be had ends the process.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::{
        Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        ColumnarValue, Documentation, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, WindowFunctionDefinition,
        interval_arithmetic::Interval,
        simplify::{ExprSimplifyResult, SimplifyContext},
        sort_properties::{ExprProperties, SortProperties},
    },
};

use crate::{
    error::{exceeded, foreign, refused},
    sql::bounds::{TYPES_NESTED_MAX, check_type},
};

const CENTROIDS_MAX: u64 = 10_000;

/// `functions`, of which those that cast to a type by its name take none that is too large.
pub(crate) fn of_small_types(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let of_small_types = functions.into_iter().map(|function| match function.name() {
        "arrow_cast" | "arrow_try_cast" => Arc::new(ScalarUDF::from(OfSmallTypes { inner: function })),
        _ => function,
    });
    of_small_types.collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfSmallTypes {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for OfSmallTypes {
    super::as_inner!();

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let named = args.scalar_arguments.get(1).copied().flatten().and_then(|named| named.try_as_str().flatten());
        // Whoever reads the name goes as deep as it is nested.
        let nested = named.map_or(0, |named| named.matches('(').count());
        if nested > TYPES_NESTED_MAX {
            check_type(brackets(named.unwrap_or_default()), 0).map_err(foreign)?;
        }
        let field = self.inner.inner().return_field_from_args(args)?;
        check_type(0, fixed_size(field.data_type())).map_err(foreign)?;
        Ok(field)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.inner().invoke_with_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(arg_types)
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
