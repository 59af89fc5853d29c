//! Takes the texts with which a statement compares columns out of it: statements that differ in nothing else have one
//! shape, and may share a plan.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query, SetExpr, Statement, Value};

/// What the names of places begin with.
const PLACE: &str = "$lifted";

/// A statement without the texts that it compares with.
#[derive(Debug, Clone)]
pub(crate) struct Lifted {
    /// What is left, with a placeholder where each text was.
    pub(crate) shape: Statement,
    /// The texts, in order of their places.
    pub(crate) texts: Arc<[Arc<str>]>,
}

/// Whether `sql` can be lifted: it has no placeholder that looks like one of ours.
pub(crate) fn can_lift(sql: &str) -> bool {
    !sql.contains(PLACE)
}

/// Which of the texts stands where the placeholder `id` is.
pub(crate) fn place(id: &str) -> Option<usize> {
    id.strip_prefix(PLACE)?.parse().ok()
}

/// Lifts the texts out of `statement`: those that conditions of WHERE compare a column with.
pub(crate) fn lift(mut statement: Statement) -> Lifted {
    let mut lifter = Lifter(Vec::new());
    if let Statement::Query(query) = &mut statement {
        lifter.query(query);
    }
    Lifted { shape: statement, texts: lifter.0.into() }
}

struct Lifter(Vec<Arc<str>>);

impl Lifter {
    fn query(&mut self, query: &mut Query) {
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            self.query(&mut cte.query);
        }
        self.body(&mut query.body);
    }

    fn body(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => select.selection.iter_mut().for_each(|condition| self.condition(condition)),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            SetExpr::Values(_)
            | SetExpr::Table(_)
            | SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_) => {}
        }
    }

    fn condition(&mut self, condition: &mut Expr) {
        match condition {
            Expr::Nested(inner) => self.condition(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.condition(left);
                self.condition(right);
            }
            Expr::BinaryOp { left, op, right } if is_comparison(op) => {
                if is_name(left) {
                    self.text(right);
                } else if is_name(right) {
                    self.text(left);
                }
            }
            Expr::Between { expr, negated: false, low, high } if is_name(expr) => {
                self.text(low);
                self.text(high);
            }
            _ => {}
        }
    }

    fn text(&mut self, expr: &mut Expr) {
        let Expr::Value(value) = expr else { return };
        if let Value::SingleQuotedString(text) = &value.value {
            self.0.push(text.as_str().into());
            value.value = Value::Placeholder(format!("{PLACE}{}", self.0.len() - 1));
        }
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq | BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq
    )
}

fn is_name(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

#[cfg(test)]
mod tests;
