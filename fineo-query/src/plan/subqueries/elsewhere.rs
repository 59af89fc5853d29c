//! Tests of subqueries that are no filters. The engine answers none of them, but it knows how many rows a subquery has for a row
//! outside, if that is a value that is selected. So tests are said by numbers; and where a node aggregates, sorts or opens windows,
//! what it asks is selected below it.

use std::sync::Arc;

use datafusion::{
    common::{
        Column,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    functions_aggregate::count::count_all,
    logical_expr::{
        Distinct, DistinctOn, Expr, LogicalPlan, LogicalPlanBuilder, Sort, Subquery, expr::Exists,
        expr_rewriter::NamePreserver, lit, utils::merge_schema,
    },
};

use super::{Outside, has_subquery, joins::subquery_of, single};

/// `plan`, which is neither a filter nor a join, with its tests of subqueries said of numbers.
pub(super) fn counted(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let plan = match plan {
        LogicalPlan::Sort(sort) => ordered(sort)?,
        plan => plan,
    };
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let plan = plan.map_expressions(|expr| {
        if !has_subquery(&expr)? {
            return Ok(Transformed::no(expr));
        }
        let name = names.save(&expr);
        let valued = Outside { schema: &schema }.valued(single(expr)?)?;
        let counted = valued.transform_up(|expr| match expr {
            Expr::Exists(test) => count(test).map(Transformed::yes),
            expr => Ok(Transformed::no(expr)),
        });
        Ok(Transformed::yes(name.restore(counted.data()?)))
    })?;
    if plan.transformed { plan.transform_data(selected_below) } else { Ok(plan) }
}

/// `sort` over rows that have the columns, too, that its subqueries refer to: the engine selects only those that it names itself.
fn ordered(sort: Sort) -> Result<LogicalPlan> {
    let mut missing: Vec<Column> = Vec::new();
    for key in &sort.expr {
        key.expr.apply(|expr| {
            for expr in subquery_of(expr).into_iter().flat_map(|subquery| &subquery.outer_ref_columns) {
                if let Expr::OuterReferenceColumn(_, column) = expr
                    && !sort.input.schema().is_column_from_schema(column)
                    && !missing.contains(column)
                {
                    missing.push(column.clone());
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let LogicalPlan::Projection(selected) = &*sort.input else { return Ok(LogicalPlan::Sort(sort)) };
    let is_there = |column: &Column| selected.input.schema().is_column_from_schema(column);
    if missing.is_empty() || !missing.iter().all(is_there) {
        return Ok(LogicalPlan::Sort(sort));
    }
    let columns = sort.input.schema().columns().into_iter().map(Expr::Column);
    let all = selected.expr.iter().cloned().chain(missing.into_iter().map(Expr::Column));
    let input = LogicalPlanBuilder::from(Arc::clone(&selected.input)).project(all)?.build()?;
    let sorted = LogicalPlan::Sort(Sort { input: Arc::new(input), ..sort });
    LogicalPlanBuilder::from(counted(sorted)?.data).project(columns)?.build()
}

/// That a subquery has rows, or none, by how many it has.
fn count(Exists { subquery, negated }: Exists) -> Result<Expr> {
    let mut rows = LogicalPlanBuilder::from(Arc::clone(&subquery.subquery));
    if subquery.outer_ref_columns.is_empty() {
        rows = rows.limit(0, Some(1))?;
    }
    let rows = Arc::new(rows.aggregate(Vec::<Expr>::new(), vec![count_all()])?.build()?);
    let count = Expr::ScalarSubquery(Subquery { subquery: rows, ..subquery });
    Ok(if negated { count.eq(lit(0_i64)) } else { count.gt(lit(0_i64)) })
}

/// `plan` over a selection of what it asks of the row outside, where it is none itself.
fn selected_below(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let is_one_over = matches!(
        plan,
        LogicalPlan::Aggregate(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Distinct(Distinct::On(_))
    );
    let [input] = plan.inputs()[..] else { return Ok(Transformed::no(plan)) };
    if !is_one_over || plan.expressions().iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
        return Ok(Transformed::no(plan));
    }
    let known = input.schema().columns();
    let (input, columns) = (input.clone(), plan.schema().columns());
    let mut selected: Vec<Expr> = known.into_iter().map(Expr::Column).collect();
    let count = selected.len();
    let names = NamePreserver::new(&plan);
    let plan = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let named = expr.transform_down(|expr| Ok(named(expr, &mut selected)))?;
        Ok(if named.transformed { named.update_data(|expr| name.restore(expr)) } else { named })
    })?;
    if selected.len() == count {
        return Ok(plan);
    }
    let input = LogicalPlanBuilder::from(input).project(selected)?.build()?;
    let plan = match plan.data {
        LogicalPlan::Distinct(Distinct::On(DistinctOn { on_expr, select_expr, sort_expr, .. })) => {
            let distinct = DistinctOn::try_new(on_expr, select_expr, sort_expr, Arc::new(input))?;
            LogicalPlan::Distinct(Distinct::On(distinct))
        }
        plan => plan.with_new_exprs(plan.expressions(), vec![input])?,
    };
    // What was selected is nobody else's.
    let columns = columns.into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(plan).project(columns)?.build().map(Transformed::yes)
}

/// A value of a subquery that refers to the row outside, by the name that it is `selected` under.
fn named(expr: Expr, selected: &mut Vec<Expr>) -> Transformed<Expr> {
    match &expr {
        Expr::ScalarSubquery(subquery) if !subquery.outer_ref_columns.is_empty() => {
            let name = format!("__asked_{}", selected.len());
            selected.push(expr.alias(&name));
            Transformed::yes(Expr::Column(Column::from_name(name)))
        }
        _ => Transformed::no(expr),
    }
}
