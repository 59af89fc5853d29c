//! What `ROLLUP`, `CUBE` and `GROUPING SETS` group by, where it is computed: it is a column first, so that the groups keep its name,
//! however it is computed.
//!
//! Their result leaves it out of some groups, so that constants are none there: DataFusion 55.2 takes them for such.

use std::sync::Arc;

use datafusion::{
    common::{
        Column,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder},
};

/// `plan`, in which grouping in sets is by columns.
pub(super) fn named(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Aggregate(aggregate) => by_columns(aggregate),
        plan => Ok(Transformed::no(plan)),
    })
    .data()
}

fn by_columns(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let computed: Vec<Expr> = match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(set)] => {
            set.distinct_expr().into_iter().filter(|expr| !matches!(expr, Expr::Column(_))).cloned().collect()
        }
        _ => Vec::new(),
    };
    if computed.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    // Under names of their own: a cast has that of what is cast.
    let name = |place: usize| format!("__grouped_{place}");
    let column = |expr: Expr| match computed.iter().position(|of| *of == expr) {
        Some(place) => Expr::Column(Column::from_name(name(place))),
        None => expr,
    };
    let columns = |exprs: Vec<Expr>| exprs.into_iter().map(column).collect::<Vec<_>>();
    let group_expr = aggregate.group_expr.into_iter().map(|expr| match expr {
        Expr::GroupingSet(GroupingSet::Rollup(exprs)) => Expr::GroupingSet(GroupingSet::Rollup(columns(exprs))),
        Expr::GroupingSet(GroupingSet::Cube(exprs)) => Expr::GroupingSet(GroupingSet::Cube(columns(exprs))),
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => {
            Expr::GroupingSet(GroupingSet::GroupingSets(sets.into_iter().map(columns).collect()))
        }
        expr => expr,
    });
    let group_expr = group_expr.collect();
    let aggr_expr = aggregate.aggr_expr.into_iter().map(|expr| asks_for_groups(expr, &column));
    let aggr_expr = aggr_expr.collect::<Result<_>>()?;
    let known = aggregate.input.schema().columns().into_iter().map(Expr::Column);
    let named = computed.iter().enumerate().map(|(place, expr)| expr.clone().alias(name(place)));
    let all: Vec<Expr> = known.chain(named).collect();
    let input = LogicalPlanBuilder::from(aggregate.input).project(all)?.build()?;
    let by_columns = Aggregate::try_new(Arc::new(input), group_expr, aggr_expr)?;
    let (shown, made) = (aggregate.schema.columns(), by_columns.schema.columns());
    let restored = made.into_iter().zip(shown).filter(|(made, _)| made.name != Aggregate::INTERNAL_GROUPING_ID);
    let restored = restored.map(|(made, shown)| match made == shown {
        true => Expr::Column(made),
        false => Expr::Column(made).alias_qualified(shown.relation, shown.name),
    });
    let restored: Vec<Expr> = restored.collect();
    LogicalPlanBuilder::from(LogicalPlan::Aggregate(by_columns)).project(restored)?.build().map(Transformed::yes)
}

/// `grouping(x)` asks whether a group is by `x`, so it is given what is grouped by.
fn asks_for_groups(expr: Expr, column: &impl Fn(Expr) -> Expr) -> Result<Expr> {
    expr.transform(|expr| match expr {
        Expr::AggregateFunction(mut call) if call.func.name() == "grouping" => {
            call.params.args = call.params.args.into_iter().map(column).collect();
            Ok(Transformed::yes(Expr::AggregateFunction(call)))
        }
        expr => Ok(Transformed::no(expr)),
    })
    .data()
}
