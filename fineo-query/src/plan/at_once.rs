//! Subqueries that refer to the row outside in a way that the engine makes no join of: each is answered at once for all rows outside.
//!
//! DataFusion 55.2 knows what is compared by `=`. `(SELECT count(*) FROM m AS b WHERE b.at < a.at)`, or the last row before `a.at`,
//! it refuses, or would take for something else. Here it is done as T. Neumann and A. Kemper say, "Unnesting Arbitrary Queries"
//! (BTW 2015): the values outside that a subquery refers to are rows of their own, each once; its steps are taken over those rows
//! and what they read together, for each value apart; and each row outside is joined with what came of its values.

mod one_row;
mod same;
mod steps;

use std::sync::Arc;

use datafusion::{
    common::{
        Column, ExprSchema, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::{DataFusionError, Result},
    functions::expr_fn::coalesce,
    functions_aggregate::{count::count_all, first_last::first_value},
    logical_expr::{
        BinaryExpr, Distinct, Expr, FetchType, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator,
        Subquery, expr::Exists, expr_rewriter::NamePreserver, lit, utils::split_conjunction,
    },
    optimizer::{AnalyzerRule, analyzer::type_coercion::TypeCoercion},
};

use super::subqueries::{misread, refused};
use crate::error::{exceeded, foreign};
use one_row::one_row;
use steps::Outside;

/// The rule.
#[derive(Debug)]
pub(crate) struct AsksAtOnce;

impl AnalyzerRule for AsksAtOnce {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut asked = Asked::default();
        let plan = plan.transform_up_with_subqueries(|plan| asked.at_once(plan))?;
        // What a subquery refers to may be of another type by now than when it was planned.
        if !plan.transformed {
            return Ok(plan.data);
        }
        let plan = plan.data.transform_up_with_subqueries(|plan| plan.recompute_schema().map(Transformed::yes))?;
        TypeCoercion::new().analyze(plan.data, config)
    }

    fn name(&self) -> &'static str {
        "asks_at_once"
    }
}

/// The most steps that rows outside may have in a statement, all in all: each subquery has those steps once more, and what it makes
/// is outside of the next.
const STEPS_MAX: usize = 1_000;

/// What was asked at once in a statement.
#[derive(Default)]
struct Asked {
    /// How many subqueries: the columns of each have names of their own.
    count: usize,
    /// How many steps the rows outside of them have.
    steps: usize,
}

impl Asked {
    fn at_once(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(filter) => self.filtered(filter),
            LogicalPlan::Projection(_) => self.selected(plan),
            LogicalPlan::Join(join) => self.lateral(join),
            plan => {
                for expr in plan.expressions() {
                    expr.apply(|expr| check(expr).map(|()| TreeNodeRecursion::Continue))?;
                }
                Ok(Transformed::no(plan))
            }
        }
    }

    fn filtered(&mut self, filter: Filter) -> Result<Transformed<LogicalPlan>> {
        let columns = filter.input.schema().columns().into_iter().map(Expr::Column);
        let mut rows = Rows::of(&filter.input);
        let predicate = self.values(filter.predicate.clone(), &mut rows)?;
        if !predicate.transformed {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        }
        let kept = Filter::try_new(predicate.data, Arc::new(rows.joined))?;
        LogicalPlanBuilder::from(LogicalPlan::Filter(kept)).project(columns)?.build().map(Transformed::yes)
    }

    fn selected(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Projection(projection) = &plan else { return Ok(Transformed::no(plan)) };
        let mut rows = Rows::of(&projection.input);
        let names = NamePreserver::new_for_projection();
        let mut is_changed = false;
        let mut exprs = Vec::with_capacity(projection.expr.len());
        for expr in &projection.expr {
            let name = names.save(expr);
            let value = self.values(expr.clone(), &mut rows)?;
            is_changed |= value.transformed;
            exprs.push(if value.transformed { name.restore(value.data) } else { value.data });
        }
        if !is_changed {
            return Ok(Transformed::no(plan));
        }
        LogicalPlanBuilder::from(rows.joined).project(exprs)?.build().map(Transformed::yes)
    }

    /// `expr` with columns of `rows` for what subqueries answer, which are joined with them.
    fn values(&mut self, expr: Expr, rows: &mut Rows<'_>) -> Result<Transformed<Expr>> {
        expr.transform_up(|expr| {
            let value = match &expr {
                Expr::ScalarSubquery(subquery) => self.answered(subquery, rows)?,
                Expr::Exists(Exists { subquery, negated }) if is_wanted(subquery, false)? => {
                    let count = self.answered(&counted(subquery)?, rows)?;
                    count.map(|count| if *negated { count.eq(lit(0_i64)) } else { count.gt(lit(0_i64)) })
                }
                _ => None,
            };
            match value {
                Some(value) => Ok(Transformed::yes(value)),
                None => check(&expr).map(|()| Transformed::no(expr)),
            }
        })
    }

    /// The column that has the answer of `subquery`, joined with `rows`; none where the engine answers it, or it cannot be done.
    fn answered(&mut self, subquery: &Subquery, rows: &mut Rows<'_>) -> Result<Option<Expr>> {
        let is_one = has_one_row(&subquery.subquery)?;
        let is_correlated = !subquery.outer_ref_columns.is_empty();
        if !is_correlated || is_one && !is_wanted(subquery, true)? {
            return Ok(None);
        }
        let Some(outside) = self.outside(subquery, rows.original)? else { return Ok(None) };
        let Some(found) = outside.over(&subquery.subquery)? else { return Ok(None) };
        let Some(value) = subquery.subquery.schema().columns().into_iter().next() else { return Ok(None) };
        let (answer, count) = (format!("__answer_{}", outside.number), format!("__count_{}", outside.number));
        let mut found = LogicalPlanBuilder::from(found);
        let named = Expr::Column(value);
        found = if is_one {
            found.project(outside.keys_inside().into_iter().chain([named.alias(&answer), lit(1_i64).alias(&count)]))?
        } else {
            let first = first_value(named, Vec::new()).alias(&answer);
            found.aggregate(outside.keys_inside(), [first, count_all().alias(&count)])?
        };
        let (value, rows_found) = (Expr::Column(Column::from_name(answer)), Expr::Column(Column::from_name(count)));
        let found = outside.with_all(found.build()?, vec![value.clone(), rows_found.clone()])?;
        rows.joined = outside.joined(rows.joined.clone(), found)?;
        Ok(Some(one_row(value, rows_found, outside.is_there())))
    }

    fn lateral(&mut self, join: Join) -> Result<Transformed<LogicalPlan>> {
        let Some(subquery) = lateral(&join.right) else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
        if !is_wanted(subquery, true)? {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let on = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
        let test = on.chain(join.filter.clone()).reduce(Expr::and);
        let is_any = test.as_ref().is_none_or(|test| *test == lit(true));
        let is_known = join.join_type == JoinType::Inner || join.join_type == JoinType::Left && is_any;
        let outside = if is_known { self.outside(subquery, &join.left)? } else { None };
        let found = match &outside {
            Some(outside) => outside.over(&subquery.subquery)?.map(|found| (outside, found)),
            None => None,
        };
        let Some((outside, found)) = found else { return Err(not_at_once(subquery)) };
        let columns = subquery.subquery.schema().columns().into_iter().zip(join.right.schema().columns());
        let named = columns.map(|(column, named)| Expr::Column(column).alias_qualified(named.relation, named.name));
        let here = format!("__here_{}", outside.number);
        let all = outside.keys_inside().into_iter().chain(named).chain([lit(true).alias(&here)]);
        let found = LogicalPlanBuilder::from(found).project(all)?.build()?;
        let is_here = Expr::Column(Column::from_name(here));
        let columns = join.right.schema().columns().into_iter().map(Expr::Column).chain([is_here.clone()]);
        let found = outside.with_all(found, columns.collect())?;
        let joined = outside.joined(join.left.as_ref().clone(), found)?;
        // Of values that nothing is found for there is a row, too.
        let is_row = one_row(lit(true), lit(1_i64), outside.is_there());
        let is_wanted = if join.join_type == JoinType::Inner { is_row.and(is_here.is_true()) } else { is_row };
        let kept = test.into_iter().fold(is_wanted, Expr::and);
        let kept = LogicalPlan::Filter(Filter::try_new(kept, Arc::new(joined))?);
        let columns = join.schema.columns().into_iter().map(Expr::Column);
        LogicalPlanBuilder::from(kept).project(columns)?.build().map(Transformed::yes)
    }

    /// What `subquery` refers to of `rows`; none where those are others each time they are asked for.
    fn outside(&mut self, subquery: &Subquery, rows: &LogicalPlan) -> Result<Option<Outside>> {
        let Some(steps) = same::steps(rows)? else { return Ok(None) };
        self.steps += steps;
        if self.steps > STEPS_MAX {
            let error = exceeded("too_complex", "the statement asks too many subqueries of rows that subqueries made");
            return Err(foreign(error.with("steps_max", STEPS_MAX)));
        }
        self.count += 1;
        Outside::of(subquery, rows, self.count)
    }
}

/// The rows outside of subqueries.
struct Rows<'a> {
    original: &'a LogicalPlan,
    /// With the answers so far.
    joined: LogicalPlan,
}

impl<'a> Rows<'a> {
    fn of(original: &'a LogicalPlan) -> Self {
        Self { original, joined: original.clone() }
    }
}

/// The subquery of a side that is `LATERAL`.
fn lateral(side: &LogicalPlan) -> Option<&Subquery> {
    match side {
        LogicalPlan::Subquery(subquery) => Some(subquery),
        LogicalPlan::SubqueryAlias(alias) => lateral(&alias.input),
        _ => None,
    }
}

/// How many rows `subquery` has.
fn counted(subquery: &Subquery) -> Result<Subquery> {
    let rows = LogicalPlanBuilder::from(Arc::clone(&subquery.subquery));
    let rows = rows.aggregate(Vec::<Expr>::new(), [count_all()])?.build()?;
    Ok(Subquery { subquery: Arc::new(rows), ..subquery.clone() })
}

/// Fails where the engine would take the subquery `expr` for another.
fn check(expr: &Expr) -> Result<()> {
    match expr {
        Expr::ScalarSubquery(subquery) => check_subquery(subquery, true),
        Expr::Exists(test) => check_subquery(&test.subquery, false),
        Expr::InSubquery(test) => check_subquery(&test.subquery, false),
        Expr::SetComparison(test) => check_subquery(&test.subquery, false),
        _ => Ok(()),
    }
}

fn check_subquery(subquery: &Subquery, is_value: bool) -> Result<()> {
    if is_wanted(subquery, is_value)? { Err(not_at_once(subquery)) } else { Ok(()) }
}

/// The refusal of a subquery that is neither the engine's to answer nor to be asked at once.
fn not_at_once(subquery: &Subquery) -> DataFusionError {
    let what = misread(subquery, true).ok().flatten();
    refused(what.unwrap_or("a comparison other than by `=`, or a value,"))
}

/// Whether the engine makes no join of `subquery`, or another one. `is_value`: it is not a test whether there are rows.
fn is_wanted(subquery: &Subquery, is_value: bool) -> Result<bool> {
    if subquery.outer_ref_columns.is_empty() {
        return Ok(false);
    }
    if misread(subquery, is_value)?.is_some() {
        return Ok(true);
    }
    // Whether there are rows does not hang on what is selected of them.
    let mut rows = &*subquery.subquery;
    while let (false, LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_)) = (is_value, rows) {
        rows = rows.inputs()[0];
    }
    let mut is_wanted = false;
    let mut groups = false;
    rows.apply(|plan| {
        groups |= matches!(plan, LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_));
        is_wanted |= match plan {
            LogicalPlan::Filter(filter) if groups => !split_conjunction(&filter.predicate).into_iter().all(is_equality),
            LogicalPlan::Filter(_) => false,
            LogicalPlan::Join(join) => {
                let tests = join.filter.iter().flat_map(split_conjunction);
                !tests.into_iter().all(is_equality)
                    || join.on.iter().any(|(l, r)| l.contains_outer() || r.contains_outer())
            }
            plan => plan.expressions().iter().any(Expr::contains_outer),
        };
        Ok(if is_wanted { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(is_wanted)
}

/// Whether a test compares with the row outside as the engine knows it, or not at all.
fn is_equality(test: &Expr) -> bool {
    if !test.contains_outer() {
        return true;
    }
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = test else { return false };
    let is_outside = |expr: &Expr| expr.contains_outer() && expr.column_refs().is_empty();
    let is_inside = |expr: &Expr| !expr.contains_outer() && !expr.column_refs().is_empty();
    is_outside(left) && is_inside(right) || is_inside(left) && is_outside(right)
}

/// Whether `plan` has one row at most, whatever there is.
fn has_one_row(plan: &LogicalPlan) -> Result<bool> {
    Ok(match plan {
        LogicalPlan::Aggregate(node) => node.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Limit(node) => {
            matches!(node.get_fetch_type()?, FetchType::Literal(Some(0 | 1))) || has_one_row(&node.input)?
        }
        LogicalPlan::Projection(node) => has_one_row(&node.input)?,
        LogicalPlan::SubqueryAlias(node) => has_one_row(&node.input)?,
        LogicalPlan::Filter(node) => has_one_row(&node.input)?,
        LogicalPlan::Sort(node) => has_one_row(&node.input)?,
        LogicalPlan::Distinct(Distinct::All(input)) => has_one_row(input)?,
        _ => false,
    })
}

/// `left` and `right` joined by pairs of columns of which null equals null.
///
/// A join of the engine's in which null equals null (`NullEquality`) does so for whatever its optimizer finds to compare above it and
/// moves into it. So null is made a value here, beside whether it is one.
fn joined_by(
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
    pairs: (Vec<Column>, Vec<Column>),
    filter: Option<Expr>,
) -> Result<LogicalPlan> {
    let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
    for (one, other) in pairs.0.into_iter().zip(pairs.1) {
        let field = left.schema().field_from_column(&one)?;
        let value = lit(ScalarValue::new_default(field.data_type())?);
        for (column, keys) in [(one, &mut of_left), (other, &mut of_right)] {
            let column = Expr::Column(column);
            keys.extend([column.clone().is_null(), coalesce(vec![column, value.clone()])]);
        }
    }
    LogicalPlanBuilder::from(left).join_with_expr_keys(right, join_type, (of_left, of_right), filter)?.build()
}
