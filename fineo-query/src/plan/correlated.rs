//! What a subquery compares of its rows with the row outside: `WHERE CAST(b.at AS DATE) = a.day`.
//!
//! DataFusion 55.2 makes a join of such a subquery, and groups what it aggregates by the columns that are compared. Of `b.at` there
//! are many a day: each was a group, and a row outside came once for each. Here what is compared is made a column first.

use std::sync::Arc;

use datafusion::{
    common::{
        Column,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::{
        BinaryExpr, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, SubqueryAlias,
        utils::{conjunction, split_conjunction_owned},
    },
    optimizer::AnalyzerRule,
};

/// The rule.
#[derive(Debug)]
pub(crate) struct NamesKeys;

impl AnalyzerRule for NamesKeys {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        Keys::default().named(plan, Above::default()).data()
    }

    fn name(&self) -> &'static str {
        "names_keys"
    }
}

/// What there is above a step of the same subquery.
#[derive(Debug, Default, Clone, Copy)]
struct Above {
    /// Something that groups.
    groups: bool,
    /// A join, above which the engine finds no column that was not there before.
    joins: bool,
}

/// How many columns were made in a statement: each has a name of its own.
#[derive(Debug, Default)]
struct Keys(usize);

impl Keys {
    fn named(&mut self, plan: LogicalPlan, above: Above) -> Result<Transformed<LogicalPlan>> {
        let below = match &plan {
            LogicalPlan::Subquery(_) => Above::default(),
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => Above { groups: true, ..above },
            LogicalPlan::Join(_) => Above { joins: true, ..above },
            _ => above,
        };
        let plan = plan.map_children(|child| self.named(child, below))?;
        let plan =
            plan.transform_data(|plan| plan.map_subqueries(|subquery| self.named(subquery, Above::default())))?;
        plan.transform_data(|plan| match plan {
            LogicalPlan::Filter(filter) if filter.predicate.contains_outer() && (above.groups || !above.joins) => {
                self.keyed(filter)
            }
            LogicalPlan::SubqueryAlias(alias) if refers_outside(&alias) && !above.joins => {
                selected(alias).map(Transformed::yes)
            }
            plan => Ok(Transformed::no(plan)),
        })
    }

    /// `filter` over rows that have what it compares with the row outside as columns.
    fn keyed(&mut self, filter: Filter) -> Result<Transformed<LogicalPlan>> {
        let columns: Vec<Expr> = filter.input.schema().columns().into_iter().map(Expr::Column).collect();
        let mut all = columns.clone();
        let mut parts = split_conjunction_owned(filter.predicate);
        for part in &mut parts {
            let Some(key) = key_of(part) else { continue };
            self.0 += 1;
            let name = format!("__key_{}", self.0);
            all.push(std::mem::replace(key, Expr::Column(Column::from_name(&name))).alias(name));
        }
        let is_changed = all.len() > columns.len();
        let predicate = conjunction(parts).unwrap_or_default();
        if !is_changed {
            return Ok(Transformed::no(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)));
        }
        let input = LogicalPlanBuilder::from(filter.input).project(all)?.build()?;
        let filter = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?);
        LogicalPlanBuilder::from(filter).project(columns)?.build().map(Transformed::yes)
    }
}

/// Whether `alias` names rows that depend on the row outside, of a step of the same subquery.
fn refers_outside(alias: &SubqueryAlias) -> bool {
    let is_lateral = matches!(&*alias.input, LogicalPlan::Subquery(_));
    !is_lateral && !alias.input.all_out_ref_exprs().is_empty()
}

/// The rows of `alias` under the same names: the engine finds no key of a join behind an alias.
fn selected(alias: SubqueryAlias) -> Result<LogicalPlan> {
    let known = |column: Column| {
        let name = column.name.clone();
        Expr::Column(column).alias_qualified(Some(alias.alias.clone()), name)
    };
    let columns: Vec<Expr> = alias.input.schema().columns().into_iter().map(known).collect();
    LogicalPlanBuilder::from(alias.input).project(columns)?.build()
}

/// What `part` of a test compares with the row outside, where that is no column yet.
fn key_of(part: &mut Expr) -> Option<&mut Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = part else { return None };
    if is_of_outside(left) && is_computed(right) {
        return Some(right);
    }
    (is_computed(left) && is_of_outside(right)).then_some(left)
}

fn is_of_outside(expr: &Expr) -> bool {
    expr.contains_outer() && expr.column_refs().is_empty()
}

fn is_computed(expr: &Expr) -> bool {
    let is_column = matches!(expr, Expr::Column(_));
    let is_own = !expr.contains_outer() && !expr.column_refs().is_empty();
    let has_subquery = expr.exists(|expr| Ok(is_subquery(expr))).unwrap_or(true);
    is_own && !is_column && !has_subquery && !expr.is_volatile()
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::ScalarSubquery(_))
}
