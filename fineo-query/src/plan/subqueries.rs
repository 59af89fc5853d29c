//! Tests of subqueries as the engine can answer them.
//!
//! `x IN (SELECT …)` is true, false or null. DataFusion 55.2 makes joins of it that know of true and not true: what is null they
//! take for false, which shows below `NOT`, `IS FALSE` or `CASE`. It takes care of null in one place: where `NOT IN` is a test of
//! its own, compares with a column, and the subquery does not refer to the row outside.
//!
//! Here such tests are said by what there is and what there is not: a row that equals `x`; a row that is null; any row, where `x`
//! is null. A filter asks whether it is true, and so is each part of it asked for what it has to be: `NOT (a AND b)` is true where
//! `a` or `b` is false. Where null, true and false all matter, as within a function, the test becomes a `CASE` of the three.
//!
//! Each of these has an equality of its own, or refers to no row outside: a join by hash.

mod elsewhere;
mod joins;
mod single;

use std::sync::Arc;

use datafusion::{
    common::{
        Column, DFSchema, ExprSchema,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    functions_aggregate::count::count_all,
    logical_expr::{
        BinaryExpr, Case, Distinct, Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Projection,
        Subquery,
        expr::{Exists, InSubquery, SetQuantifier},
        lit,
    },
    optimizer::AnalyzerRule,
    scalar::ScalarValue,
};

use super::equals::is_length;
use crate::error::{foreign, unsupported};
pub(super) use joins::subquery_of;
pub(super) use single::{misread, refused};

/// The rule.
#[derive(Debug)]
pub(crate) struct TestsSubqueries;

impl AnalyzerRule for TestsSubqueries {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(said_of_node).data()
    }

    fn name(&self) -> &'static str {
        "tests_subqueries"
    }
}

/// `plan` with its tests of subqueries said so that the engine answers them.
fn said_of_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(filter) if has_subquery(&filter.predicate)? => {
            filtered(filter.predicate, filter.input).map(Transformed::yes)
        }
        LogicalPlan::Filter(_) => Ok(Transformed::no(plan)),
        LogicalPlan::Join(join) => joins::tested_outside(join),
        plan => elsewhere::counted(plan),
    }
}

/// The rows of `input` of which `test` is true.
fn filtered(test: Expr, input: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let test = single(test)?;
    let said = Outside { schema: input.schema() }.said(test, Truth::True, true)?;
    Ok(LogicalPlan::Filter(Filter::try_new(said, input)?))
}

/// `expr` with the tests of single rows said of values.
fn single(expr: Expr) -> Result<Expr> {
    expr.transform_up(single::said).data()
}

fn has_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| {
        let is_test = matches!(expr, Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::Exists(_));
        Ok(is_test || matches!(expr, Expr::ScalarSubquery(_)))
    })
}

/// What a test is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
    NotTrue,
    NotFalse,
    Null,
    NotNull,
}

impl Truth {
    /// What `test` has to be for `NOT test` to be this.
    fn of_opposite(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::NotTrue => Self::NotFalse,
            Self::NotFalse => Self::NotTrue,
            Self::Null => Self::Null,
            Self::NotNull => Self::NotNull,
        }
    }

    /// What is true where `test`, which asks no subquery that may be null, is this.
    fn of(self, test: Expr) -> Expr {
        match self {
            Self::True => test,
            Self::False => Expr::Not(test.into()),
            Self::NotTrue => Expr::IsNotTrue(test.into()),
            Self::NotFalse => Expr::IsNotFalse(test.into()),
            Self::Null => Expr::IsNull(test.into()),
            Self::NotNull => Expr::IsNotNull(test.into()),
        }
    }
}

/// That some row of a subquery compares with a value; or, `negated`, that none does.
struct Sought {
    wanted: Expr,
    op: Operator,
    subquery: Subquery,
    negated: bool,
}

impl Sought {
    fn of(test: &Expr) -> Option<Self> {
        match test {
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                let (wanted, subquery) = (expr.as_ref().clone(), subquery.clone());
                Some(Self { wanted, op: Operator::Eq, subquery, negated: *negated })
            }
            Expr::SetComparison(test) => {
                let (wanted, subquery) = (test.expr.as_ref().clone(), test.subquery.clone());
                Some(match test.quantifier {
                    SetQuantifier::Any => Self { wanted, op: test.op, subquery, negated: false },
                    // Each row compares where none compares the other way.
                    SetQuantifier::All => Self { wanted, op: test.op.negate()?, subquery, negated: true },
                })
            }
            _ => None,
        }
    }

    /// The same over rows without an order, and with a name for what is found that nothing else in them has: where the engine
    /// adds columns to them, two would have one name.
    fn named(mut self) -> Result<Self> {
        let rows = unordered(&self.subquery.subquery);
        let rows = match rows {
            LogicalPlan::Projection(Projection { expr, input, .. }) if expr.len() == 1 => {
                let found = expr.iter().map(|expr| expr.clone().unalias().alias("__found")).collect();
                LogicalPlan::Projection(Projection::try_new(found, Arc::new(unordered(input).clone()))?)
            }
            rows => rows.clone(),
        };
        self.subquery.subquery = Arc::new(rows);
        Ok(self)
    }

    fn found(&self) -> Result<Expr> {
        let columns = self.subquery.subquery.schema().columns();
        let found = columns.into_iter().next();
        found.map(Expr::Column).ok_or_else(|| foreign(unsupported("a subquery without a column")))
    }

    fn is_correlated(&self) -> bool {
        !self.subquery.outer_ref_columns.is_empty()
    }
}

/// What is outside of the subqueries of a node's expressions.
struct Outside<'a> {
    schema: &'a DFSchema,
}

impl Outside<'_> {
    /// What is true where `test` is `truth`; whether it has to hold by itself.
    fn said(&self, test: Expr, truth: Truth, is_alone: bool) -> Result<Expr> {
        if !test.exists(|expr| Ok(Sought::of(expr).is_some()))? {
            return Ok(truth.of(test));
        }
        if let Some(sought) = Sought::of(&test) {
            return self.sought(test, sought, truth, is_alone);
        }
        match (test, truth) {
            (test, Truth::Null | Truth::NotNull) if !matches!(test, Expr::Not(_)) => Ok(truth.of(self.valued(test)?)),
            (Expr::Not(inner), truth) => self.said(*inner, truth.of_opposite(), is_alone),
            (Expr::IsTrue(inner), truth) => self.known(*inner, truth, (Truth::True, Truth::NotTrue), is_alone),
            (Expr::IsNotTrue(inner), truth) => self.known(*inner, truth, (Truth::NotTrue, Truth::True), is_alone),
            (Expr::IsFalse(inner), truth) => self.known(*inner, truth, (Truth::False, Truth::NotFalse), is_alone),
            (Expr::IsNotFalse(inner), truth) => self.known(*inner, truth, (Truth::NotFalse, Truth::False), is_alone),
            (Expr::IsUnknown(inner) | Expr::IsNull(inner), truth) => {
                self.known(*inner, truth, (Truth::Null, Truth::NotNull), is_alone)
            }
            (Expr::IsNotUnknown(inner) | Expr::IsNotNull(inner), truth) => {
                self.known(*inner, truth, (Truth::NotNull, Truth::Null), is_alone)
            }
            (Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }), truth) => {
                let is_opposite = matches!(truth, Truth::False | Truth::NotTrue);
                let is_and = (op == Operator::And) != is_opposite;
                let (left, right) =
                    (self.said(*left, truth, is_alone && is_and)?, self.said(*right, truth, is_alone && is_and)?);
                Ok(if is_and { left.and(right) } else { left.or(right) })
            }
            (test, truth) => Ok(truth.of(self.valued(test)?)),
        }
    }

    /// What is true where a test is `truth` that is true where `inner` is the first of `means`, and false where it is the second.
    fn known(&self, inner: Expr, truth: Truth, means: (Truth, Truth), is_alone: bool) -> Result<Expr> {
        match truth {
            Truth::True | Truth::NotFalse => self.said(inner, means.0, is_alone),
            Truth::False | Truth::NotTrue => self.said(inner, means.1, is_alone),
            Truth::Null => Ok(lit(false)),
            Truth::NotNull => Ok(lit(true)),
        }
    }

    /// `expr` with each of its tests as a value that may be null.
    fn valued(&self, expr: Expr) -> Result<Expr> {
        let valued = expr.transform_up(|expr| match Sought::of(&expr) {
            Some(sought) => self.valued_one(&sought.named()?).map(Transformed::yes),
            None => Ok(Transformed::no(expr)),
        });
        valued.data()
    }

    fn valued_one(&self, sought: &Sought) -> Result<Expr> {
        let mut when_then = vec![(self.some(sought, false)?.into(), lit(!sought.negated).into())];
        if let Some(unknown) = self.unknown(sought)? {
            when_then.push((unknown.into(), lit(ScalarValue::Boolean(None)).into()));
        }
        Ok(Expr::Case(Case::new(None, when_then, Some(lit(sought.negated).into()))))
    }

    /// What is true where `test`, which is `sought`, is `truth`.
    fn sought(&self, test: Expr, sought: Sought, truth: Truth, is_alone: bool) -> Result<Expr> {
        let truth = if sought.negated { truth.of_opposite() } else { truth };
        let is_correlated = sought.is_correlated();
        let sought = sought.named()?;
        // The engine compares a subquery's intervals part by part.
        let can_stay = is_alone && !is_correlated && !is_length(&sought.found()?, sought.subquery.subquery.schema());
        let none = || self.some(&sought, true);
        Ok(match truth {
            Truth::True => match test {
                Expr::InSubquery(test) if can_stay => Expr::InSubquery(InSubquery { negated: false, ..test }),
                _ => self.some(&sought, false)?,
            },
            Truth::NotTrue => none()?,
            Truth::False => match test {
                Expr::InSubquery(test) if can_stay && self.minds_null(&sought)? => {
                    Expr::InSubquery(InSubquery { negated: true, ..test })
                }
                _ => and(none()?, self.known_of_all(&sought)?),
            },
            Truth::NotFalse => or(self.some(&sought, false)?, self.unknown(&sought)?),
            Truth::Null => {
                self.unknown(&sought)?.map_or(Ok(lit(false)), |unknown| none().map(|none| none.and(unknown)))?
            }
            Truth::NotNull => self
                .known_of_all(&sought)?
                .map_or(Ok(lit(true)), |known| self.some(&sought, false).map(|some| some.or(known)))?,
        })
    }

    /// Whether the engine minds null in `NOT IN` as a test of its own: it looks for columns that may be null.
    fn minds_null(&self, sought: &Sought) -> Result<bool> {
        let (columns, found) = (sought.wanted.column_refs(), sought.found()?);
        let is_nullable_column =
            |column: &&Column| self.schema.field_from_column(column).is_ok_and(|field| field.is_nullable());
        let looks = is_nullable(&found, sought)? || columns.iter().any(is_nullable_column);
        Ok(!columns.is_empty() && (looks || !sought.wanted.nullable(self.schema)?))
    }

    /// That a row compares with what is wanted; or, `negated`, that none does.
    fn some(&self, sought: &Sought, negated: bool) -> Result<Expr> {
        let compares = BinaryExpr::new(self.as_seen_inside(&sought.wanted)?.into(), sought.op, sought.found()?.into());
        let compares = Expr::BinaryExpr(compares);
        match (sought.wanted.column_refs().is_empty(), negated) {
            (false, _) => exists(&sought.subquery, Some(compares), negated),
            (true, false) => there_is(sought, Some(compares)),
            (true, true) => there_is_no(sought, Some(compares)),
        }
    }

    /// That some row cannot be compared with what is wanted; nothing where each can.
    fn unknown(&self, sought: &Sought) -> Result<Option<Expr>> {
        let found = sought.found()?;
        let of_found = if is_nullable(&found, sought)? { Some(there_is(sought, Some(found.is_null()))?) } else { None };
        if !sought.wanted.nullable(self.schema)? {
            return Ok(of_found);
        }
        let of_wanted = sought.wanted.clone().is_null().and(there_is(sought, None)?);
        Ok(Some(or(of_wanted, of_found)))
    }

    /// The opposite of `unknown`.
    fn known_of_all(&self, sought: &Sought) -> Result<Option<Expr>> {
        let found = sought.found()?;
        let of_found =
            if is_nullable(&found, sought)? { Some(there_is_no(sought, Some(found.is_null()))?) } else { None };
        if !sought.wanted.nullable(self.schema)? {
            return Ok(of_found);
        }
        let of_wanted = sought.wanted.clone().is_not_null().or(there_is_no(sought, None)?);
        Ok(Some(and(of_wanted, of_found)))
    }

    /// `expr` as it is said within a subquery.
    fn as_seen_inside(&self, expr: &Expr) -> Result<Expr> {
        let inside = expr.clone().transform_up(|expr| match expr {
            Expr::Column(column) => {
                let field = Arc::clone(self.schema.field_from_column(&column)?);
                Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
            }
            // Its own references would be taken for others.
            Expr::ScalarSubquery(subquery) if !subquery.outer_ref_columns.is_empty() => {
                Err(foreign(unsupported("a subquery that refers to the row outside, looked for in another subquery")))
            }
            expr => Ok(Transformed::no(expr)),
        });
        inside.data()
    }
}

/// `rows` as they come, each as often as it does: whether there is one of them stays what it is.
fn unordered(mut rows: &LogicalPlan) -> &LogicalPlan {
    loop {
        rows = match rows {
            LogicalPlan::Distinct(Distinct::All(input)) => input,
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => &sort.input,
            rows => return rows,
        };
    }
}

fn is_nullable(found: &Expr, sought: &Sought) -> Result<bool> {
    found.nullable(sought.subquery.subquery.schema().as_ref())
}

fn and(test: Expr, other: Option<Expr>) -> Expr {
    match other {
        Some(other) => test.and(other),
        None => test,
    }
}

fn or(test: Expr, other: Option<Expr>) -> Expr {
    match other {
        Some(other) => test.or(other),
        None => test,
    }
}

/// That there is a row of which `condition`, which names no column outside, holds.
fn there_is(sought: &Sought, condition: Option<Expr>) -> Result<Expr> {
    if sought.is_correlated() {
        return exists(&sought.subquery, condition, false);
    }
    Ok(first(sought, condition)?.gt(lit(0_i64)))
}

fn there_is_no(sought: &Sought, condition: Option<Expr>) -> Result<Expr> {
    if sought.is_correlated() {
        return exists(&sought.subquery, condition, true);
    }
    Ok(first(sought, condition)?.eq(lit(0_i64)))
}

/// How many rows there are of which `condition` holds, but one is enough: asked once, without a join.
fn first(sought: &Sought, condition: Option<Expr>) -> Result<Expr> {
    let mut rows = LogicalPlanBuilder::from(Arc::clone(&sought.subquery.subquery));
    if let Some(condition) = condition {
        rows = rows.filter(condition)?;
    }
    let count = rows.limit(0, Some(1))?.aggregate(Vec::<Expr>::new(), vec![count_all()])?.build()?;
    let subquery = Subquery { subquery: Arc::new(count), ..sought.subquery.clone() };
    Ok(Expr::ScalarSubquery(subquery))
}

fn exists(subquery: &Subquery, condition: Option<Expr>, negated: bool) -> Result<Expr> {
    let mut rows = LogicalPlanBuilder::from(Arc::clone(&subquery.subquery));
    if let Some(condition) = condition {
        rows = rows.filter(condition)?;
    }
    let rows = rows.build()?;
    let outer_ref_columns = rows.all_out_ref_exprs();
    let subquery = Subquery { subquery: Arc::new(rows), outer_ref_columns, spans: subquery.spans.clone() };
    Ok(Expr::Exists(Exists::new(subquery, negated)))
}
