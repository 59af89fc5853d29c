//! The items of arrays of the rows before them in `FROM`. What the statement says as a subquery with one row, see
//! [`crate::sql::unnested`], is a step that makes a row of each item.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, JoinType, NullHandling, UnnestOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, Join, LogicalPlan, LogicalPlanBuilder, Projection, ScalarFunctionArgs, ScalarUDF,
        ScalarUDFImpl, Signature, SubqueryAlias, Volatility,
    },
    scalar::ScalarValue,
};

use crate::{
    error::{foreign, refused, unsupported},
    sql::unnested::ITEMS,
};

/// `plan`, in which the items of arrays are rows.
pub(super) fn in_place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let unnested = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) => with_items(join),
        node => Ok(Transformed::no(node)),
    })?;
    match unnested.transformed {
        true => unnested.data.transform_up_with_subqueries(depends_anew).data(),
        false => Ok(unnested.data),
    }
}

/// The rows of the left side of `join` with each item of arrays of theirs, where that is its right side.
fn with_items(join: Join) -> Result<Transformed<LogicalPlan>> {
    let Some((alias, row)) = row_of(&join.right) else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
    let is_always = matches!(join.filter, None | Some(Expr::Literal(ScalarValue::Boolean(Some(true)), _)));
    let null_handling = match join.join_type {
        JoinType::Inner => NullHandling::Drop,
        JoinType::Left if is_always => NullHandling::PreserveAndExpandEmpty,
        _ => return Ok(Transformed::no(LogicalPlan::Join(join))),
    };
    let known: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let (mut before, mut behind, mut names) = (known.clone(), known, Vec::new());
    for (place, item) in row.expr.iter().enumerate() {
        let Some(array) = array_of(item) else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
        let array = array.clone().transform(|expr| {
            Ok(match expr {
                Expr::OuterReferenceColumn(_, column) if join.left.schema().has_column(&column) => {
                    Transformed::yes(Expr::Column(column))
                }
                expr => Transformed::no(expr),
            })
        })?;
        let name = format!("__items_{place}");
        let items = Expr::Column(Column::from_name(&name));
        before.push(array.data.alias(&name));
        behind.push(items.alias_qualified(Some(alias.alias.clone()), item.schema_name().to_string()));
        names.push(Column::from_name(name));
    }
    let options = UnnestOptions::new().with_null_handling(null_handling);
    let rows = LogicalPlanBuilder::from(Arc::clone(&join.left)).project(before)?;
    let mut rows = rows.unnest_columns_with_options(names, options)?.project(behind)?;
    if !is_always && let Some(condition) = join.filter {
        rows = rows.filter(condition)?;
    }
    rows.build().map(Transformed::yes)
}

/// The row that stands for items, and what it is called.
fn row_of(right: &LogicalPlan) -> Option<(&SubqueryAlias, &Projection)> {
    let LogicalPlan::SubqueryAlias(alias) = right else { return None };
    let LogicalPlan::Subquery(subquery) = &*alias.input else { return None };
    match &*subquery.subquery {
        LogicalPlan::Projection(row) if matches!(&*row.input, LogicalPlan::EmptyRelation(_)) => Some((alias, row)),
        _ => None,
    }
}

/// The array whose items `item` stands for.
fn array_of(item: &Expr) -> Option<&Expr> {
    match item {
        Expr::Alias(alias) => array_of(&alias.expr),
        Expr::ScalarFunction(call) if call.name() == ITEMS => call.args.first(),
        _ => None,
    }
}

/// Says of the subqueries in `plan` anew which columns outside they depend on.
fn depends_anew(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.map_expressions(|expr| {
        expr.transform(|mut expr| {
            let subquery = match &mut expr {
                Expr::ScalarSubquery(subquery) => subquery,
                Expr::Exists(exists) => &mut exists.subquery,
                Expr::InSubquery(in_subquery) => &mut in_subquery.subquery,
                Expr::SetComparison(comparison) => &mut comparison.subquery,
                _ => return Ok(Transformed::no(expr)),
            };
            subquery.outer_ref_columns = subquery.subquery.all_out_ref_exprs();
            Ok(Transformed::yes(expr))
        })
    })
}

/// The function that stands for the items of an array, until they are rows.
pub(super) fn items() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Items(Signature::any(1, Volatility::Immutable))))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Items(Signature);

impl ScalarUDFImpl for Items {
    fn name(&self) -> &'static str {
        ITEMS
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)] => {
                Ok(item.data_type().clone())
            }
            _ => Err(foreign(
                refused("query_invalid", "unnest takes arrays")
                    .with("type", arg_types.first().map(ToString::to_string).unwrap_or_default())
                    .with("hint", "string_to_array(text, ',') makes one of a text"),
            )),
        }
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(foreign(unsupported("unnest of a row that is not just before it, or with a condition beside LEFT JOIN")))
    }
}
