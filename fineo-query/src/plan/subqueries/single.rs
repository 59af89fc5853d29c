//! Subqueries that aggregate without groups: they have one row, whatever they found. The engine asks what they found.
//!
//! As a value it knows them, and so a test of the one row is said of values. Where such a row is a part of a subquery that refers
//! to the row outside, and where one keeps some of its rows only, the engine's joins would mean something else: `misread`.

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    error::{DataFusionError, Result},
    logical_expr::{
        Aggregate, BinaryExpr, Distinct, Expr, FetchType, Join, JoinType, Limit, LogicalPlan, LogicalPlanBuilder,
        SkipType, Subquery, expr::Exists, lit,
    },
};

use super::Sought;
use crate::error::{foreign, unsupported};

/// One row, if some conditions hold that are asked of rows below it.
struct Single {
    row: LogicalPlan,
    conditions: Vec<LogicalPlan>,
}

impl Single {
    /// The one row that `plan` has at most, where nothing but its conditions decides whether it has it.
    fn of(plan: &LogicalPlan) -> Result<Option<Self>> {
        let input = match plan {
            LogicalPlan::Aggregate(aggregate) if has_no_groups(aggregate) => {
                return Ok(Some(Self { row: plan.clone(), conditions: Vec::new() }));
            }
            LogicalPlan::Projection(node) => &node.input,
            LogicalPlan::SubqueryAlias(node) => &node.input,
            LogicalPlan::Filter(node) => &node.input,
            LogicalPlan::Sort(node) if node.fetch.is_none() => &node.input,
            LogicalPlan::Distinct(Distinct::All(input)) => input,
            LogicalPlan::Limit(node) if keeps_first(node)? => &node.input,
            _ => return Ok(None),
        };
        let Some(mut single) = Self::of(input)? else { return Ok(None) };
        match plan {
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
                single.row = plan.with_new_exprs(plan.expressions(), vec![single.row])?;
            }
            LogicalPlan::Filter(filter) => {
                // Such a condition is no value of the row.
                if filter.predicate.contains_outer() {
                    return Ok(None);
                }
                let condition = filter.predicate.clone().is_true().alias("holds");
                let holds = LogicalPlanBuilder::from(single.row.clone()).project(vec![condition])?.build()?;
                single.conditions.push(holds);
            }
            _ => {}
        }
        Ok(Some(single))
    }
}

fn has_no_groups(aggregate: &Aggregate) -> bool {
    aggregate.group_expr.is_empty()
}

/// Whether a limit leaves a row where there is one.
fn keeps_first(limit: &Limit) -> Result<bool> {
    let skips_none = matches!(limit.get_skip_type()?, SkipType::Literal(0));
    let fetches_one = match limit.get_fetch_type()? {
        FetchType::Literal(fetch) => fetch.is_none_or(|fetch| fetch > 0),
        FetchType::UnsupportedExpr => false,
    };
    Ok(skips_none && fetches_one)
}

/// A test of a subquery with one row, said of values.
pub(super) fn said(test: Expr) -> Result<Transformed<Expr>> {
    if let Expr::Exists(Exists { subquery, negated }) = &test {
        let Some(single) = Single::of(&subquery.subquery)? else { return existing(test) };
        let exists = holding(single.conditions, subquery).unwrap_or_else(|| lit(true));
        return Ok(Transformed::yes(if *negated { Expr::IsNotTrue(exists.into()) } else { exists }));
    }
    let Some(Sought { wanted, op, subquery, negated }) = Sought::of(&test) else { return Ok(Transformed::no(test)) };
    let Some(single) = Single::of(&subquery.subquery)? else { return Ok(Transformed::no(test)) };
    let compares = Expr::BinaryExpr(BinaryExpr::new(wanted.into(), op, value(single.row, &subquery).into()));
    let is_one = match holding(single.conditions, &subquery) {
        Some(holds) => holds.and(compares),
        None => compares,
    };
    Ok(Transformed::yes(if negated { Expr::Not(is_one.into()) } else { is_one }))
}

/// That all `conditions` are true of their rows; nothing where there are none.
fn holding(conditions: Vec<LogicalPlan>, of: &Subquery) -> Option<Expr> {
    conditions.into_iter().map(|condition| Expr::IsTrue(value(condition, of).into())).reduce(Expr::and)
}

fn value(row: LogicalPlan, of: &Subquery) -> Expr {
    let outer_ref_columns = row.all_out_ref_exprs();
    Expr::ScalarSubquery(Subquery { subquery: Arc::new(row), outer_ref_columns, spans: of.spans.clone() })
}

/// `EXISTS` without what neither adds the first row nor takes the last one away.
fn existing(test: Expr) -> Result<Transformed<Expr>> {
    let Expr::Exists(Exists { subquery, negated }) = &test else { return Ok(Transformed::no(test)) };
    let (rows, is_plain) = rows_of(&subquery.subquery)?;
    if is_plain || subquery.outer_ref_columns.is_empty() {
        return Ok(Transformed::no(test));
    }
    let rows = LogicalPlanBuilder::from(rows.clone()).project(vec![lit(true).alias("is_there")])?.build()?;
    let outer_ref_columns = rows.all_out_ref_exprs();
    let subquery = Subquery { subquery: Arc::new(rows), outer_ref_columns, spans: subquery.spans.clone() };
    Ok(Transformed::yes(Expr::Exists(Exists::new(subquery, *negated))))
}

/// What `plan` has rows of, and whether only names and columns were left out.
fn rows_of(plan: &LogicalPlan) -> Result<(&LogicalPlan, bool)> {
    Ok(match plan {
        LogicalPlan::Projection(node) => rows_of(&node.input)?,
        LogicalPlan::SubqueryAlias(node) => rows_of(&node.input)?,
        LogicalPlan::Sort(node) => (rows_of(&node.input)?.0, false),
        LogicalPlan::Window(node) => (rows_of(&node.input)?.0, false),
        LogicalPlan::Distinct(Distinct::All(input)) => (rows_of(input)?.0, false),
        LogicalPlan::Limit(node) if keeps_first(node)? => (rows_of(&node.input)?.0, false),
        plan => (plan, true),
    })
}

fn lateral(side: &LogicalPlan) -> Option<&Subquery> {
    match side {
        LogicalPlan::Subquery(subquery) => Some(subquery),
        LogicalPlan::SubqueryAlias(alias) => lateral(&alias.input),
        _ => None,
    }
}

/// What of `subquery` the engine would take for something else. `is_value`: whether it knows what the subquery's own aggregate has
/// where it finds no row.
pub(crate) fn misread(subquery: &Subquery, is_value: bool) -> Result<Option<&'static str>> {
    if subquery.outer_ref_columns.is_empty() {
        return Ok(None);
    }
    let own = if is_value { own_aggregate(&subquery.subquery) } else { None };
    let mut misread = None;
    subquery.subquery.apply(|plan| {
        let (inputs, what) = match plan {
            LogicalPlan::Limit(node) => (vec![&*node.input], "LIMIT or OFFSET"),
            LogicalPlan::Window(node) => (vec![&*node.input], "a window"),
            LogicalPlan::Aggregate(node) if has_no_groups(node) && !own.is_some_and(|own| std::ptr::eq(own, node)) => {
                (vec![&*node.input], "an aggregate without groups")
            }
            LogicalPlan::Join(join) if is_asked_outside(join) => {
                misread = Some("ON of a join of which not all rows are kept");
                return Ok(TreeNodeRecursion::Stop);
            }
            LogicalPlan::Join(join) => (of_some_rows(join), "a side of a join of which not all rows are kept"),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        if inputs.iter().all(|input| input.all_out_ref_exprs().is_empty()) {
            return Ok(TreeNodeRecursion::Continue);
        }
        misread = Some(what);
        Ok(TreeNodeRecursion::Stop)
    })?;
    Ok(misread)
}

/// The refusal of a subquery that has `what` the engine would misread.
pub(crate) fn refused(what: &str) -> DataFusionError {
    foreign(unsupported(&format!("{what} over rows that depend on the row outside of a subquery")))
}

/// The aggregate without groups that has the rows of `plan`, where nothing that is asked of them refers to the row outside.
fn own_aggregate(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::Aggregate(node) => Some(node),
        LogicalPlan::Projection(node) => own_aggregate(&node.input),
        LogicalPlan::SubqueryAlias(node) => own_aggregate(&node.input),
        LogicalPlan::Filter(node) if !node.predicate.contains_outer() => own_aggregate(&node.input),
        _ => None,
    }
}

/// Whether an outer join is by what is outside of the subquery.
fn is_asked_outside(join: &Join) -> bool {
    let on = join.on.iter().flat_map(|(left, right)| [left, right]);
    join.join_type != JoinType::Inner && on.chain(&join.filter).any(Expr::contains_outer)
}

/// The sides of `join` that mean something else once a filter of theirs is one of what was joined.
fn of_some_rows(join: &Join) -> Vec<&LogicalPlan> {
    let (left, right): (&LogicalPlan, &LogicalPlan) = (&join.left, &join.right);
    match join.join_type {
        JoinType::Inner => Vec::new(),
        JoinType::Left if lateral(right).is_some() => Vec::new(),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => vec![right],
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => vec![left],
        JoinType::Full => vec![left, right],
    }
}
