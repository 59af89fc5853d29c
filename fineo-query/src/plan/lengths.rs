//! Intervals that are grouped, joined by `USING` or picked from: as everywhere, a day is as long as 24 hours.
//!
//! DataFusion 55.2 tells them apart by their parts. So rows are grouped by how long the intervals are, and of those that are equal one is
//! shown; the largest and the smallest is the one that comes last or first by its length.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, DFSchema,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult},
    },
    error::Result,
    functions_aggregate::{
        first_last::{first_value_udaf, last_value_udaf},
        min_max::min_udaf,
    },
    logical_expr::{
        Aggregate, Distinct, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder,
        expr::{AggregateFunction, AggregateFunctionParams},
        expr_rewriter::NamePreserver,
    },
    optimizer::AnalyzerRule,
};

use super::equals::{length, length_of};
use crate::error::{foreign, unsupported};

/// The rule.
#[derive(Debug)]
pub(crate) struct GroupsLengths;

impl AnalyzerRule for GroupsLengths {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Aggregate(aggregate) => picked(aggregate)?.transform_data(grouped),
            LogicalPlan::Distinct(distinct) => told_apart(distinct),
            LogicalPlan::Join(join) => Ok(joined(join)),
            plan => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "groups_lengths"
    }
}

fn is_interval(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|of| matches!(of, DataType::Interval(_)))
}

/// Picks the smallest and the largest by their lengths, and counts those that differ in them.
fn picked(mut aggregate: Aggregate) -> Result<Transformed<Aggregate>> {
    let schema = Arc::clone(aggregate.input.schema());
    let is_of_intervals = |call: &AggregateFunction| {
        let picks = matches!(call.func.name(), "min" | "max") || (call.func.name() == "count" && call.params.distinct);
        picks && matches!(call.params.args.as_slice(), [of] if is_interval(of, &schema))
    };
    let names = NamePreserver::new(&LogicalPlan::Aggregate(aggregate.clone()));
    let mut is_changed = false;
    for expr in &mut aggregate.aggr_expr {
        let call = match expr {
            Expr::Alias(alias) => &mut alias.expr,
            expr => expr,
        };
        let name = names.save(call);
        if let Expr::AggregateFunction(called) = call
            && is_of_intervals(called)
        {
            by_length(called);
            *call = name.restore(std::mem::take(call));
            is_changed = true;
        }
    }
    Ok(Transformed::new_transformed(aggregate, is_changed))
}

fn by_length(call: &mut AggregateFunction) {
    let AggregateFunctionParams { args, distinct, order_by, .. } = &mut call.params;
    let lengths: Vec<Expr> = args.iter().cloned().map(length_of).collect();
    // Nulls are what comes neither first nor last.
    let is_first = match call.func.name() {
        "min" => true,
        "max" => false,
        _ => {
            *args = lengths;
            return;
        }
    };
    *distinct = false;
    *order_by = lengths.into_iter().map(|length| length.sort(true, !is_first)).collect();
    call.func = if is_first { first_value_udaf() } else { last_value_udaf() };
}

/// Groups by the lengths of intervals, and shows the least by its parts of those that are equal.
fn grouped(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let input = Arc::clone(aggregate.input.schema());
    if let [Expr::GroupingSet(set)] = aggregate.group_expr.as_slice() {
        return match set.distinct_expr().into_iter().any(|expr| is_interval(expr, &input)) {
            true => Err(foreign(unsupported(
                "ROLLUP, CUBE and GROUPING SETS of intervals: extract(epoch FROM x) is a number of seconds",
            ))),
            false => rebuilt(aggregate),
        };
    }
    let mut group_expr = aggregate.group_expr.clone();
    let mut aggr_expr = aggregate.aggr_expr.clone();
    let mut shown: Vec<Expr> = aggregate.schema.columns().into_iter().map(Expr::Column).collect();
    for (place, key) in group_expr.iter_mut().enumerate() {
        if !is_interval(key, &input) {
            continue;
        }
        let interval = std::mem::take(key).unalias();
        let name = format!("__interval_{place}");
        aggr_expr.push(min_udaf().call(vec![interval.clone()]).alias(&name));
        *key = length_of(interval);
        let (table, column) = aggregate.schema.qualified_field(place);
        shown[place] = Expr::Column(Column::from_name(name)).alias_qualified(table.cloned(), column.name());
    }
    if aggr_expr.len() == aggregate.aggr_expr.len() {
        return rebuilt(aggregate);
    }
    let by_length = Aggregate::try_new(aggregate.input, group_expr, aggr_expr)?;
    LogicalPlanBuilder::from(LogicalPlan::Aggregate(by_length)).project(shown)?.build().map(Transformed::yes)
}

fn rebuilt(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)))
}

fn told_apart(distinct: Distinct) -> Result<Transformed<LogicalPlan>> {
    match distinct {
        Distinct::All(input)
            if input.schema().fields().iter().any(|field| matches!(field.data_type(), DataType::Interval(_))) =>
        {
            let columns = input.schema().columns().into_iter().map(Expr::Column).collect();
            grouped(Aggregate::try_new(input, columns, Vec::new())?)
        }
        Distinct::On(mut on) => {
            let schema = Arc::clone(on.input.schema());
            let sorted = on.sort_expr.iter_mut().flatten().map(|key| &mut key.expr);
            let mut is_changed = false;
            for key in on.on_expr.iter_mut().chain(sorted).filter(|key| is_interval(key, &schema)) {
                *key = length_of(std::mem::take(key));
                is_changed = true;
            }
            Ok(Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(on)), is_changed))
        }
        all => Ok(Transformed::no(LogicalPlan::Distinct(all))),
    }
}

fn joined(mut join: Join) -> Transformed<LogicalPlan> {
    let (left_schema, right_schema) = (Arc::clone(join.left.schema()), Arc::clone(join.right.schema()));
    let mut is_changed = false;
    for (left, right) in &mut join.on {
        if is_interval(left, &left_schema) && is_interval(right, &right_schema) {
            *left = length(std::mem::take(left), &left_schema);
            *right = length(std::mem::take(right), &right_schema);
            is_changed = true;
        }
    }
    Transformed::new_transformed(LogicalPlan::Join(join), is_changed)
}
