//! Rows that are looked for in a subquery: `(a, b) IN (SELECT c, d …)`.
//!
//! The planner looks for one value. So it is asked whether there is a row of which each value equals: that suffices where a filter
//! wants it to be true. Else it is asked, too, whether there is one of which nobody knows.

use std::{mem, ops::ControlFlow};

use datafusion::sql::sqlparser::{
    ast::{BinaryOperator, Expr, Query, Select, SetExpr, Statement, TableFactor, VisitMut, VisitorMut},
    parser::Parser,
};

use super::{dialect::Sql, exact, tuples::joined};

const NAME: &str = "looked for";

/// Says what looks for a row in other words; whether there was any. Subqueries may be there twice, then.
pub(super) fn rewrite(statement: &mut Statement) -> bool {
    let mut rows = Rows::default();
    let _ = VisitMut::visit(statement, &mut rows);
    rows.is_changed
}

#[derive(Default)]
struct Rows {
    is_changed: bool,
}

impl VisitorMut for Rows {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let Some(filter) = &mut select.selection {
            self.is_changed |= filtered(filter);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some((row, rows, is_negated)) = looked_for(expr)
            && let Some(valued) = valued(row, rows, is_negated)
        {
            *expr = valued;
            self.is_changed = true;
        }
        ControlFlow::Continue(())
    }
}

/// Asks what has to be true of `filter` whether there is such a row; whether it looks for any.
fn filtered(filter: &mut Expr) -> bool {
    match filter {
        Expr::Nested(inner) => filtered(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let is_left = filtered(left);
            filtered(right) || is_left
        }
        _ => {
            let exists = match looked_for(filter) {
                Some((row, rows, false)) => exists(row, rows, |equal| equal),
                Some(_) | None => None,
            };
            let is_changed = exists.is_some();
            if let Some(exists) = exists {
                *filter = exists;
            }
            is_changed
        }
    }
}

fn looked_for(expr: &Expr) -> Option<(&[Expr], &Query, bool)> {
    match expr {
        Expr::InSubquery { expr, subquery, negated } => match &**expr {
            Expr::Tuple(row) => Some((row, subquery, *negated)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether `row` is one of `rows`, or null where that is not known.
fn valued(row: &[Expr], rows: &Query, is_negated: bool) -> Option<Expr> {
    let is_there = exists(row, rows, |equal| equal)?;
    let is_unknown = exists(row, rows, |equal| Expr::IsNull(Box::new(equal)))?;
    let mut valued = parsed("CASE WHEN true THEN true WHEN true THEN null ELSE false END")?;
    if let Expr::Case { conditions, else_result, .. } = &mut valued
        && let [there, unknown] = conditions.as_mut_slice()
    {
        (there.condition, unknown.condition) = (is_there, is_unknown);
        if is_negated && let Some(otherwise) = else_result {
            mem::swap(&mut there.result, otherwise);
        }
    }
    Some(valued)
}

/// That there is one of `rows` of which `test` is true, of that it equals `row`.
fn exists(row: &[Expr], rows: &Query, test: impl Fn(Expr) -> Expr) -> Option<Expr> {
    let name = |index: usize| format!("{NAME} {index}");
    let names: Vec<String> = (0..row.len()).map(|index| format!("\"{}\"", name(index))).collect();
    let mut exists = parsed(&format!("EXISTS (SELECT 1 FROM (SELECT 1) AS \"{NAME}\" ({}))", names.join(", ")))?;
    let equal = |(index, value): (usize, &Expr)| Expr::BinaryOp {
        left: Box::new(Expr::CompoundIdentifier(vec![exact(NAME), exact(&name(index))])),
        op: BinaryOperator::Eq,
        right: Box::new(Expr::Nested(Box::new(value.clone()))),
    };
    let equal = joined(row.iter().enumerate().map(equal).collect(), &BinaryOperator::And)?;
    if let Expr::Exists { subquery, .. } = &mut exists
        && let SetExpr::Select(select) = subquery.body.as_mut()
    {
        select.selection = Some(test(Expr::Nested(Box::new(equal))));
        if let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation) {
            **subquery = rows.clone();
        }
    }
    Some(exists)
}

fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&Sql::for_words(text.len())).try_with_sql(text).ok()?.parse_expr().ok()
}
