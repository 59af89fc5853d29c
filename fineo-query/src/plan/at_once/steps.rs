//! The steps of a subquery, over the values outside that it refers to.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::{
        Column, DFSchema, ExprSchema, NullEquality,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    functions_window::row_number::row_number,
    logical_expr::{
        Aggregate, Distinct, Expr, ExprFunctionExt, FetchType, Filter, Join, JoinType, Limit, LogicalPlan,
        LogicalPlanBuilder, Projection, SkipType, Subquery, SubqueryAlias, Union, Window, cast,
        expr_rewriter::NamePreserver, lit,
    },
};

use super::joined_by;
use crate::plan::subqueries::subquery_of;

/// What a subquery refers to of the rows outside.
pub(super) struct Outside {
    pub(super) number: usize,
    columns: Vec<Column>,
    /// The values, each once, as columns of names of their own.
    values: LogicalPlan,
}

impl Outside {
    /// What `subquery` refers to of `rows`; none where it is not theirs.
    pub(super) fn of(subquery: &Subquery, rows: &LogicalPlan, number: usize) -> Result<Option<Self>> {
        let mut columns: Vec<Column> = Vec::new();
        for expr in &subquery.outer_ref_columns {
            let Expr::OuterReferenceColumn(_, column) = expr else { return Ok(None) };
            // Intervals of one length are the same to some steps, and to others not.
            let is_known = |field: &FieldRef| !matches!(field.data_type(), DataType::Interval(_));
            if !rows.schema().field_from_column(column).is_ok_and(is_known) {
                return Ok(None);
            }
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        let named = columns
            .iter()
            .enumerate()
            .map(|(place, column)| Expr::Column(column.clone()).alias(format!("__outside_{number}_{place}")));
        let values = LogicalPlanBuilder::from(rows.clone()).project(named.collect::<Vec<_>>())?.distinct()?.build()?;
        Ok(Some(Self { number, columns, values }))
    }

    fn names(&self, of: &str) -> Vec<Column> {
        let name = |place| Column::from_name(format!("__{of}_{}_{place}", self.number));
        (0..self.columns.len()).map(name).collect()
    }

    /// The values, as columns.
    fn keys(&self) -> Vec<Expr> {
        self.names("outside").into_iter().map(Expr::Column).collect()
    }

    /// The values under other names.
    fn keys_as(&self, of: &str) -> Vec<Expr> {
        let names = self.names(of).into_iter();
        self.keys().into_iter().zip(names).map(|(key, name)| key.alias(name.name)).collect()
    }

    /// The values, as they are named beside the rows outside.
    pub(super) fn keys_inside(&self) -> Vec<Expr> {
        self.keys_as("inside")
    }

    /// Whether a row outside is of the values.
    pub(super) fn is_there(&self) -> Expr {
        Expr::Column(Column::from_name(format!("__known_{}", self.number)))
    }

    /// `columns` of what was `found`, of which the values are `keys_inside`; for each of the values that nothing is found for, a row
    /// without them.
    pub(super) fn with_all(&self, found: LogicalPlan, columns: Vec<Expr>) -> Result<LogicalPlan> {
        let pairs = (self.names("outside"), self.names("inside"));
        let all = joined_by(self.values.clone(), found, JoinType::Left, pairs, None)?;
        let is_there = lit(true).alias(format!("__known_{}", self.number));
        let columns = self.keys_as("asked").into_iter().chain(columns).chain([is_there]);
        LogicalPlanBuilder::from(all).project(columns)?.build()
    }

    /// `rows`, which have the columns outside, with what was found for their values, of all of them.
    pub(super) fn joined(&self, rows: LogicalPlan, found: LogicalPlan) -> Result<LogicalPlan> {
        joined_by(rows, found, JoinType::Left, (self.columns.clone(), self.names("asked")), None)
    }

    /// The rows of `plan` for each of the values, which stand beside them; none where it has a step for which that cannot be said.
    pub(super) fn over(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        if !depends(plan) {
            return LogicalPlanBuilder::from(self.values.clone()).cross_join(plan.clone())?.build().map(Some);
        }
        match plan {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.over(&sort.input),
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_) => {
                let Some(input) = self.over(plan.inputs()[0])? else { return Ok(None) };
                self.step(plan, input)
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let Some(input) = self.over(input)? else { return Ok(None) };
                LogicalPlanBuilder::from(input).distinct()?.build().map(Some)
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregated(aggregate),
            LogicalPlan::Limit(limit) => self.limited(limit),
            LogicalPlan::Window(window) => self.windowed(window),
            LogicalPlan::Join(join) => self.joins(join),
            LogicalPlan::Union(union) => self.united(union),
            _ => Ok(None),
        }
    }

    /// A step that looks at each row by itself, over `input`, which has the values beside its rows.
    fn step(&self, plan: &LogicalPlan, input: LogicalPlan) -> Result<Option<LogicalPlan>> {
        let step = match plan {
            LogicalPlan::Projection(Projection { expr, .. }) => {
                let Some(exprs) = self.all_inside(expr, plan)? else { return Ok(None) };
                LogicalPlanBuilder::from(input).project(self.keys().into_iter().chain(exprs))?.build()?
            }
            LogicalPlan::SubqueryAlias(SubqueryAlias { input: named, .. }) => {
                let pairs = named.schema().columns().into_iter().zip(plan.schema().columns());
                let exprs = pairs.map(|(column, name)| Expr::Column(column).alias_qualified(name.relation, name.name));
                LogicalPlanBuilder::from(input).project(self.keys().into_iter().chain(exprs))?.build()?
            }
            LogicalPlan::Filter(Filter { predicate, .. }) => {
                let Some(predicate) = self.inside(predicate, plan)? else { return Ok(None) };
                LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?)
            }
            _ => return Ok(None),
        };
        Ok(Some(step))
    }

    fn aggregated(&self, aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
        let plan = LogicalPlan::Aggregate(aggregate.clone());
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return Ok(None);
        }
        let Some(groups) = self.all_inside(&aggregate.group_expr, &plan)? else { return Ok(None) };
        let Some(mut aggregates) = self.all_inside(&aggregate.aggr_expr, &plan)? else { return Ok(None) };
        let input = if groups.is_empty() {
            // Without groups there is a row for each value, also where nothing is found for it.
            let there = format!("__there_{}", self.number);
            let is_there = Expr::Column(Column::from_name(&there)).is_true();
            let names = NamePreserver::new_for_projection();
            for expr in &mut aggregates {
                let name = names.save(expr);
                *expr = name.restore(only_where(expr.clone(), &is_there)?);
            }
            self.with_those_without(&aggregate.input, &there)?
        } else {
            self.over(&aggregate.input)?
        };
        let Some(input) = input else { return Ok(None) };
        let groups = self.keys().into_iter().chain(groups).collect();
        Ok(Some(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), groups, aggregates)?)))
    }

    /// The rows of `plan` for each of the values, as `there`; and one that is not for each value that has none.
    fn with_those_without(&self, plan: &LogicalPlan, there: &str) -> Result<Option<LogicalPlan>> {
        let mark = |plan: LogicalPlan, keys: Vec<Expr>, columns: Vec<Column>| {
            let columns = columns.into_iter().map(Expr::Column);
            let all = keys.into_iter().chain(columns).chain([lit(true).alias(there)]);
            LogicalPlanBuilder::from(plan).project(all)?.build()
        };
        let columns = plan.schema().columns();
        if let LogicalPlan::Filter(Filter { predicate, input, .. }) = plan
            && !depends(input)
            && !predicate.exists(|expr| Ok(subquery_of(expr).is_some()))?
        {
            let Some(predicate) = self.inside(predicate, plan)? else { return Ok(None) };
            let marked = mark(input.as_ref().clone(), Vec::new(), columns)?;
            let joined = LogicalPlanBuilder::from(self.values.clone()).join_on(marked, JoinType::Left, [predicate])?;
            return joined.build().map(Some);
        }
        let Some(found) = self.over(plan)? else { return Ok(None) };
        let found = mark(found, self.keys_as("found"), columns)?;
        let pairs = (self.names("outside"), self.names("found"));
        joined_by(self.values.clone(), found, JoinType::Left, pairs, None).map(Some)
    }

    /// The first rows of each value: those that a number says of the rows in order.
    fn limited(&self, limit: &Limit) -> Result<Option<LogicalPlan>> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return Ok(None);
        };
        let mut steps: Vec<&LogicalPlan> = Vec::new();
        let mut below: &LogicalPlan = &limit.input;
        let mut order = Vec::new();
        loop {
            below = match below {
                LogicalPlan::Projection(node) => {
                    steps.push(below);
                    &node.input
                }
                LogicalPlan::SubqueryAlias(node) => {
                    steps.push(below);
                    &node.input
                }
                LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                    for key in &sort.expr {
                        let Some(expr) = self.inside(&key.expr, below)? else { return Ok(None) };
                        order.push(expr.sort(key.asc, key.nulls_first));
                    }
                    below = &sort.input;
                    break;
                }
                _ => break,
            };
        }
        let Some(rows) = self.over(below)? else { return Ok(None) };
        let place = format!("__place_{}", self.number);
        let number = row_number().partition_by(self.keys());
        let number = if order.is_empty() { number } else { number.order_by(order) };
        let number = number.build()?.alias(&place);
        let numbered = LogicalPlan::Window(Window::try_new(vec![number], Arc::new(rows))?);
        // The engine's numbers have no sign, and may have one later.
        let number = || cast(Expr::Column(Column::from_name(&place)), DataType::Int64);
        let end = fetch.map(|fetch| i64::try_from(skip.saturating_add(fetch)).unwrap_or(i64::MAX));
        let mut wanted = number().gt(lit(i64::try_from(skip).unwrap_or(i64::MAX)));
        if let Some(end) = end {
            wanted = wanted.and(number().lt_eq(lit(end)));
        }
        let mut kept = LogicalPlan::Filter(Filter::try_new(wanted, Arc::new(numbered))?);
        if steps.is_empty() {
            let columns = below.schema().columns().into_iter().map(Expr::Column);
            kept = LogicalPlanBuilder::from(kept).project(self.keys().into_iter().chain(columns))?.build()?;
        }
        for step in steps.into_iter().rev() {
            let Some(next) = self.step(step, kept)? else { return Ok(None) };
            kept = next;
        }
        Ok(Some(kept))
    }

    /// Windows that are opened among the rows of one value.
    fn windowed(&self, window: &Window) -> Result<Option<LogicalPlan>> {
        let plan = LogicalPlan::Window(window.clone());
        let Some(exprs) = self.all_inside(&window.window_expr, &plan)? else { return Ok(None) };
        let Some(input) = self.over(&window.input)? else { return Ok(None) };
        let names = NamePreserver::new_for_projection();
        let mut apart = Vec::with_capacity(exprs.len());
        for (expr, original) in exprs.into_iter().zip(&window.window_expr) {
            let name = names.save(original);
            let expr = expr.transform_up(|expr| match expr {
                Expr::WindowFunction(mut function) => {
                    function.params.partition_by.splice(0..0, self.keys());
                    Ok(Transformed::yes(Expr::WindowFunction(function)))
                }
                expr => Ok(Transformed::no(expr)),
            });
            apart.push(name.restore(expr.data()?));
        }
        Ok(Some(LogicalPlan::Window(Window::try_new(apart, Arc::new(input))?)))
    }

    fn joins(&self, join: &Join) -> Result<Option<LogicalPlan>> {
        let plan = LogicalPlan::Join(join.clone());
        let of_left = matches!(join.join_type, JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti);
        let is_plain = join.null_equality == NullEquality::NullEqualsNothing && !join.null_aware;
        if !(of_left || join.join_type == JoinType::Inner) || !is_plain {
            return Ok(None);
        }
        let on = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
        let tests: Vec<Expr> = on.chain(join.filter.clone()).collect();
        let Some(tests) = self.all_inside(&tests, &plan)? else { return Ok(None) };
        let is_right_outside = depends(&join.right);
        if !is_right_outside || !of_left && !depends(&join.left) {
            let sides = match is_right_outside {
                true => self.over(&join.right)?.map(|right| (join.left.as_ref().clone(), right)),
                false => self.over(&join.left)?.map(|left| (left, join.right.as_ref().clone())),
            };
            let Some((left, right)) = sides else { return Ok(None) };
            return LogicalPlanBuilder::from(left).join_on(right, join.join_type, tests)?.build().map(Some);
        }
        let (Some(left), Some(right)) = (self.over(&join.left)?, self.over(&join.right)?) else { return Ok(None) };
        let columns = join.right.schema().columns().into_iter().map(Expr::Column);
        let right =
            LogicalPlanBuilder::from(right).project(self.keys_as("beside").into_iter().chain(columns))?.build()?;
        let pairs = (self.names("outside"), self.names("beside"));
        joined_by(left, right, join.join_type, pairs, tests.into_iter().reduce(Expr::and)).map(Some)
    }

    fn united(&self, union: &Union) -> Result<Option<LogicalPlan>> {
        let mut inputs = Vec::with_capacity(union.inputs.len());
        for input in &union.inputs {
            let Some(rows) = self.over(input)? else { return Ok(None) };
            let columns = input.schema().columns().into_iter().map(Expr::Column);
            let rows = LogicalPlanBuilder::from(rows).project(self.keys().into_iter().chain(columns))?.build()?;
            inputs.push(Arc::new(rows));
        }
        let united = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
        let columns = united.schema().columns().into_iter().skip(self.columns.len());
        let named = columns.zip(union.schema.columns());
        let named = named.map(|(column, name)| Expr::Column(column).alias_qualified(name.relation, name.name));
        let all: Vec<Expr> = self.keys().into_iter().chain(named).collect();
        LogicalPlanBuilder::from(united).project(all)?.build().map(Some)
    }

    fn all_inside(&self, exprs: &[Expr], of: &LogicalPlan) -> Result<Option<Vec<Expr>>> {
        exprs.iter().map(|expr| self.inside(expr, of)).collect()
    }

    /// `expr` of step `of`, with columns for what it refers to outside; none where it refers to more than that.
    fn inside(&self, expr: &Expr, of: &LogicalPlan) -> Result<Option<Expr>> {
        let is_known = |expr: &Expr| match expr {
            Expr::OuterReferenceColumn(_, column) => self.columns.contains(column),
            expr => subquery_of(expr).is_none_or(|subquery| is_of(subquery, of)),
        };
        if expr.exists(|expr| Ok(!is_known(expr)))? {
            return Ok(None);
        }
        let names = NamePreserver::new(of);
        let name = names.save(expr);
        let inside = expr.clone().transform_up(|expr| match &expr {
            Expr::OuterReferenceColumn(_, column) => {
                let place = self.columns.iter().position(|known| known == column);
                let key = place.and_then(|place| self.keys().into_iter().nth(place));
                Ok(key.map_or_else(|| Transformed::no(expr), Transformed::yes))
            }
            _ => Ok(Transformed::no(expr)),
        })?;
        Ok(Some(if inside.transformed { name.restore(inside.data) } else { inside.data }))
    }
}

/// Whether rows of `plan` depend on the row outside.
fn depends(plan: &LogicalPlan) -> bool {
    let refers = |plan: &LogicalPlan| {
        let is_lateral = matches!(plan, LogicalPlan::Subquery(_));
        is_lateral || plan.expressions().iter().any(Expr::contains_outer)
    };
    plan.exists(|plan| Ok(refers(plan))).unwrap_or(true)
}

/// Whether what `subquery` refers to outside is of the rows below `plan`.
fn is_of(subquery: &Subquery, plan: &LogicalPlan) -> bool {
    let is_of_one = |column: &Column| plan.inputs().iter().any(|input| has(input.schema(), column));
    subquery
        .outer_ref_columns
        .iter()
        .all(|expr| matches!(expr, Expr::OuterReferenceColumn(_, column) if is_of_one(column)))
}

fn has(schema: &DFSchema, column: &Column) -> bool {
    schema.is_column_from_schema(column)
}

/// An aggregate of the rows of which `test` is true.
fn only_where(expr: Expr, test: &Expr) -> Result<Expr> {
    let only = expr.transform_up(|expr| match expr {
        Expr::AggregateFunction(mut function) => {
            let filter = function.params.filter.take();
            let filter = filter.map_or_else(|| test.clone(), |filter| test.clone().and(*filter));
            function.params.filter = Some(filter.into());
            Ok(Transformed::yes(Expr::AggregateFunction(function)))
        }
        expr => Ok(Transformed::no(expr)),
    });
    only.data()
}
