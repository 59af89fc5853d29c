//! Rows that are compared: `(a, b) = (c, d)`, `(a, b) < (c, d)`, `(a, b) IN ((1, 2), …)`, `ROW(a, b) IS NULL`, and with the rows of
//! an array or of a `CASE`.
//!
//! The planner compares a row as one value, for which null equals null, and takes names and literals alone within it. So
//! comparisons are said value by value, as SQL has them. Rows within rows, and rows that are values of their own, stay.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Statement,
    UnaryOperator, Visit, VisitMut, Visitor, VisitorMut,
};
use fineo_core::{Error, Result};

use super::{is_quoted, parts};
use crate::error::{exceeded, refused};

/// How many values there are at most in a row that is compared by `<` and the like: each is a step deeper.
const ORDERED_MAX: usize = 32;
/// How many words of expressions are written down for rows: a list of rows repeats what is looked for.
const WORDS_MAX: usize = 100_000;

/// Says comparisons of rows value by value; whether there were any. What is within rows may be there several times, then.
///
/// # Errors
///
/// `query_invalid` for rows of unequal length, `too_complex` where too much would be written down.
pub(super) fn rewrite(statement: &mut Statement) -> Result<bool> {
    let mut tuples = Tuples::default();
    match VisitMut::visit(statement, &mut tuples) {
        ControlFlow::Continue(()) => Ok(tuples.is_changed),
        ControlFlow::Break(error) => Err(error),
    }
}

#[derive(Default)]
struct Tuples {
    is_changed: bool,
    words: usize,
}

impl VisitorMut for Tuples {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match self.by_value(expr) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(by_value)) => {
                *expr = Expr::Nested(Box::new(by_value));
                self.is_changed = true;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Tuples {
    /// `expr` value by value, where it compares rows.
    fn by_value(&mut self, expr: &Expr) -> Result<Option<Expr>> {
        match expr {
            Expr::BinaryOp { left, op, right } => match (row(left), row(right)) {
                (Some(left), Some(right)) => self.compared(&left, op, &right),
                _ => Ok(None),
            },
            Expr::IsDistinctFrom(left, right) => self.told_apart(left, right, Expr::IsDistinctFrom, BinaryOperator::Or),
            Expr::IsNotDistinctFrom(left, right) => {
                self.told_apart(left, right, Expr::IsNotDistinctFrom, BinaryOperator::And)
            }
            Expr::IsNull(value) => Ok(row(value).and_then(|row| of_each(&row, Expr::IsNull))),
            Expr::IsNotNull(value) => Ok(row(value).and_then(|row| of_each(&row, Expr::IsNotNull))),
            Expr::Between { expr, negated, low, high } => match (row(expr), row(low), row(high)) {
                (Some(row), Some(low), Some(high)) => self.between(&row, &low, &high, *negated),
                _ => Ok(None),
            },
            Expr::InList { expr, list, negated } => match (row(expr), list.iter().map(row).collect::<Option<Vec<_>>>())
            {
                (Some(row), Some(rows)) => self.in_list(&row, &rows, *negated),
                _ => Ok(None),
            },
            Expr::AnyOp { left, compare_op, right, .. } => self.of_array(left, compare_op, right, &BinaryOperator::Or),
            Expr::AllOp { left, compare_op, right } => self.of_array(left, compare_op, right, &BinaryOperator::And),
            Expr::Case { operand: Some(operand), conditions, .. } => match row(operand) {
                Some(operand) => self.case(expr, &operand, conditions),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// `ANY` of the rows of an array, which `join` by `OR`, and `ALL` of them, by `AND`.
    fn of_array(
        &mut self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        join: &BinaryOperator,
    ) -> Result<Option<Expr>> {
        let Some((left, rows)) = row(left).zip(rows_of(right)) else { return Ok(None) };
        match (op, join) {
            (BinaryOperator::Eq, BinaryOperator::Or) => return self.in_list(&left, &rows, false),
            (BinaryOperator::NotEq, BinaryOperator::And) => return self.in_list(&left, &rows, true),
            _ => {}
        }
        let mut tests = Vec::with_capacity(rows.len());
        for other in &rows {
            let Some(test) = self.compared(&left, op, other)? else { return Ok(None) };
            tests.push(nested(test));
        }
        Ok(joined(tests, join))
    }

    /// `case`, which looks for `operand`, with a condition for each row that it is compared with.
    fn case(&mut self, case: &Expr, operand: &[&Expr], conditions: &[CaseWhen]) -> Result<Option<Expr>> {
        let mut by_value = Vec::with_capacity(conditions.len());
        for when in conditions {
            let Some(other) = row(&when.condition) else { return Ok(None) };
            let Some(condition) = self.compared(operand, &BinaryOperator::Eq, &other)? else { return Ok(None) };
            by_value.push(CaseWhen { condition, result: when.result.clone() });
        }
        let mut case = case.clone();
        if let Expr::Case { operand, conditions, .. } = &mut case {
            (*operand, *conditions) = (None, by_value);
        }
        Ok(Some(case))
    }

    fn compared(&mut self, left: &[&Expr], op: &BinaryOperator, right: &[&Expr]) -> Result<Option<Expr>> {
        use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
        let strict = match op {
            Eq | NotEq => {
                self.write_down(left, right, 1)?;
                let pairs = left.iter().zip(right).map(|(left, right)| binary(left, op, right));
                return Ok(joined(pairs.collect(), if *op == Eq { &And } else { &Or }));
            }
            Lt | LtEq => Lt,
            Gt | GtEq => Gt,
            _ => return Ok(None),
        };
        self.write_down(left, right, 2)?;
        if left.len() > ORDERED_MAX {
            return Err(
                exceeded("too_complex", "rows with too many values are compared").with("values_max", ORDERED_MAX)
            );
        }
        let mut ordered: Option<Expr> = None;
        for (left, right) in left.iter().zip(right).rev() {
            ordered = Some(match ordered {
                None => binary(left, op, right),
                Some(rest) => {
                    let tie = nested(binary_of(binary(left, &Eq, right), &And, rest));
                    nested(binary_of(binary(left, &strict, right), &Or, tie))
                }
            });
        }
        Ok(ordered)
    }

    fn told_apart(
        &mut self,
        left: &Expr,
        right: &Expr,
        test: fn(Box<Expr>, Box<Expr>) -> Expr,
        join: BinaryOperator,
    ) -> Result<Option<Expr>> {
        let (Some(left), Some(right)) = (row(left), row(right)) else { return Ok(None) };
        self.write_down(&left, &right, 1)?;
        let value = |value: &Expr| Box::new(nested(value.clone()));
        let pairs = left.iter().zip(&right).map(|(left, right)| nested(test(value(left), value(right))));
        Ok(joined(pairs.collect(), &join))
    }

    fn between(&mut self, row: &[&Expr], low: &[&Expr], high: &[&Expr], is_negated: bool) -> Result<Option<Expr>> {
        let from = self.compared(row, &BinaryOperator::GtEq, low)?;
        let to = self.compared(row, &BinaryOperator::LtEq, high)?;
        let both = joined(from.into_iter().chain(to).collect(), &BinaryOperator::And);
        Ok(both.map(|both| if is_negated { not(both) } else { both }))
    }

    fn in_list(&mut self, row: &[&Expr], rows: &[Vec<&Expr>], is_negated: bool) -> Result<Option<Expr>> {
        let mut equal = Vec::with_capacity(rows.len());
        for other in rows {
            equal.extend(self.compared(row, &BinaryOperator::Eq, other)?);
        }
        let mut all: Vec<Expr> = Vec::new();
        if rows.len() > 1 {
            // Value by value the lists tell files and most rows apart, and leave the rest to what follows.
            for (place, value) in row.iter().enumerate() {
                let list: Vec<&Expr> = rows.iter().filter_map(|other| other.get(place).copied()).collect();
                self.write_down(&[value], &[value], 1)?;
                let list = list.into_iter().map(|value| nested(value.clone())).collect();
                all.push(nested(Expr::InList { expr: Box::new(operand(value)), list, negated: false }));
            }
        }
        all.extend(joined(equal, &BinaryOperator::Or));
        let any = joined(all, &BinaryOperator::And);
        Ok(any.map(|any| if is_negated { not(any) } else { any }))
    }

    /// That the rows are of one length, and that so many copies of their values may be written down.
    fn write_down(&mut self, left: &[&Expr], right: &[&Expr], copies: usize) -> Result<()> {
        if left.len() != right.len() {
            return Err(refused("query_invalid", "rows of different lengths are compared")
                .with("left", left.len())
                .with("right", right.len()));
        }
        let words: usize = left.iter().chain(right).map(|value| words(value)).sum();
        self.words = self.words.saturating_add(words.saturating_mul(copies));
        if self.words > WORDS_MAX {
            return Err(exceeded("too_complex", "too many values of rows are compared").with("values_max", WORDS_MAX));
        }
        Ok(())
    }
}

/// The values of the row that `expr` writes out.
pub(super) fn row(expr: &Expr) -> Option<Vec<&Expr>> {
    match expr {
        Expr::Nested(inner) => row(inner),
        Expr::Tuple(values) => Some(values.iter().collect()),
        Expr::Function(call) => of_call(call),
        _ => None,
    }
}

/// The rows of the array that `expr` writes out.
fn rows_of(expr: &Expr) -> Option<Vec<Vec<&Expr>>> {
    match expr {
        Expr::Nested(inner) => rows_of(inner),
        Expr::Array(array) if !array.elem.is_empty() => array.elem.iter().map(row).collect(),
        _ => None,
    }
}

/// The values of `ROW(…)`.
fn of_call(call: &Function) -> Option<Vec<&Expr>> {
    let is_row =
        matches!(parts(&call.name).as_slice(), [only] if only.value.eq_ignore_ascii_case("row") && !is_quoted(only));
    let FunctionArguments::List(list) = &call.args else { return None };
    if !is_row || list.args.is_empty() || !list.clauses.is_empty() || call.over.is_some() || call.filter.is_some() {
        return None;
    }
    let values = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
        _ => None,
    });
    values.collect()
}

fn of_each(row: &[&Expr], test: fn(Box<Expr>) -> Expr) -> Option<Expr> {
    let tests = row.iter().map(|value| test(Box::new(nested((*value).clone()))));
    joined(tests.collect(), &BinaryOperator::And)
}

fn binary(left: &Expr, op: &BinaryOperator, right: &Expr) -> Expr {
    binary_of(operand(left), op, operand(right))
}

/// A name or a literal as it is: what compares with it is looked at elsewhere. What else there is may bind more loosely.
fn operand(value: &Expr) -> Expr {
    match value {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => value.clone(),
        other => nested(other.clone()),
    }
}

fn binary_of(left: Expr, op: &BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) }
}

/// All of `tests` joined by `op`, as flat as can be.
pub(super) fn joined(mut tests: Vec<Expr>, op: &BinaryOperator) -> Option<Expr> {
    if tests.len() < 2 {
        return tests.pop();
    }
    let behind = tests.split_off(tests.len().div_ceil(2));
    let (left, right) = (joined(tests, op)?, joined(behind, op)?);
    Some(nested(binary_of(left, op, right)))
}

fn nested(expr: Expr) -> Expr {
    match expr {
        expr @ (Expr::Nested(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_)) => expr,
        other => Expr::Nested(Box::new(other)),
    }
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) }
}

/// How many expressions there are in `expr`.
fn words(expr: &Expr) -> usize {
    let mut words = Words(0);
    let _ = expr.visit(&mut words);
    words.0
}

struct Words(usize);

impl Visitor for Words {
    type Break = ();

    fn pre_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        self.0 += 1;
        ControlFlow::Continue(())
    }
}
