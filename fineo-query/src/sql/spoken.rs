//! What Postgres says in words that the planner does not know, said in those that it knows.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    Ident, ObjectName, Statement, UnaryOperator, Value, VisitMut, VisitorMut,
};
use fineo_core::{Error, Result};

use super::{is_quoted, lengths, parts};
use crate::{error::refused, plan::functions::ZONED};

/// Says `statement` in the planner's words; whether it grew by that.
///
/// # Errors
///
/// `query_invalid` where a function is called with what it does not have.
pub(super) fn rewrite(statement: &mut Statement) -> Result<bool> {
    let mut words = Words { is_changed: false };
    match VisitMut::visit(statement, &mut words) {
        ControlFlow::Continue(()) => Ok(words.is_changed),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Words {
    is_changed: bool,
}

impl VisitorMut for Words {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let said = match expr {
            Expr::Function(function) => match called(function) {
                Ok(said) => said,
                Err(error) => return ControlFlow::Break(error),
            },
            Expr::AtTimeZone { timestamp, time_zone } => Some(call(ZONED, vec![take(time_zone), take(timestamp)])),
            Expr::Substring {
                expr: text,
                substring_from: Some(pattern),
                substring_for: None,
                shorthand: false,
                ..
            } if is_text(pattern) => Some(first_match(take(text), take(pattern))),
            // The engine would put the sign before the text.
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: of } if matches!(**of, Expr::Interval(_)) => {
                **of = Expr::Nested(Box::new(take(of)));
                None
            }
            Expr::Interval(interval) if interval.leading_field.is_none() => {
                spell(&mut interval.value, lengths::spelled);
                None
            }
            Expr::Cast { expr: of, data_type, .. } => {
                spell_cast(of, data_type);
                None
            }
            Expr::TypedString(typed) if matches!(typed.data_type, DataType::Timestamp(..)) => {
                spell_value(&mut typed.value.value, with_seconds);
                None
            }
            _ => None,
        };
        if let Some(said) = said {
            *expr = said;
            self.is_changed = true;
        }
        ControlFlow::Continue(())
    }
}

pub(super) fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Value(Value::Null.into()))
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_)))
}

fn spell_cast(of: &mut Expr, data_type: &DataType) {
    match data_type {
        DataType::Interval { .. } => spell(of, lengths::spelled),
        DataType::Timestamp(..) => spell(of, with_seconds),
        _ => {}
    }
}

fn spell(expr: &mut Expr, as_engine: fn(&str) -> Option<String>) {
    if let Expr::Value(value) = expr {
        spell_value(&mut value.value, as_engine);
    }
}

fn spell_value(value: &mut Value, as_engine: fn(&str) -> Option<String>) {
    if let Value::SingleQuotedString(text) = value
        && let Some(spelled) = as_engine(text)
    {
        *text = spelled;
    }
}

/// A time that ends with its minutes, or goes on with its zone behind them: the engine wants seconds.
fn with_seconds(text: &str) -> Option<String> {
    const MINUTES_END: usize = "2026-01-31 12:00".len();
    let text = text.trim();
    let (minutes, rest) = text.split_at_checked(MINUTES_END)?;
    let is_like = |(sign, like): (u8, u8)| if like == b'0' { sign.is_ascii_digit() } else { sign == like };
    let has_form = |form: &str| minutes.bytes().zip(form.bytes()).all(is_like);
    let is_ended = rest.is_empty() || rest.trim_start().starts_with(['+', '-', 'Z', 'z']);
    let is_short = is_ended && (has_form("0000-00-00 00:00") || has_form("0000-00-00T00:00"));
    is_short.then(|| format!("{minutes}:00{rest}"))
}

/// What a call of a function is in other words.
fn called(function: &mut Function) -> Result<Option<Expr>> {
    let names = parts(&function.name);
    let [name] = names.as_slice() else { return Ok(None) };
    let name = if is_quoted(name) { name.value.clone() } else { name.value.to_ascii_lowercase() };
    if name == "make_interval" {
        positional(function)?;
        return Ok(None);
    }
    let Some(mut args) = args_mut(function) else { return Ok(None) };
    Ok(match (name.as_str(), args.as_mut_slice()) {
        ("mod", [dividend, divisor]) => {
            let (left, right) = (Box::new(take(dividend)), Box::new(take(divisor)));
            Some(Expr::Nested(Box::new(Expr::BinaryOp { left, op: BinaryOperator::Modulo, right })))
        }
        ("age", [time]) => Some(call("age", vec![call("current_date", Vec::new()), take(time)])),
        ("regexp_substr", [text, pattern]) => {
            let group = |text: &str| Expr::Value(Value::SingleQuotedString(text.to_owned()).into());
            let concat = |left: Expr, right: Expr| Expr::BinaryOp {
                left: Box::new(left),
                op: BinaryOperator::StringConcat,
                right: Box::new(right),
            };
            // A group around all of it is the whole match, whatever groups are within.
            let pattern = concat(concat(group("("), Expr::Nested(Box::new(take(pattern)))), group(")"));
            Some(first_match(take(text), pattern))
        }
        _ => None,
    })
}

/// The arguments of a plain call, where none has a name.
fn args_mut(function: &mut Function) -> Option<Vec<&mut Expr>> {
    let FunctionArguments::List(list) = &mut function.args else { return None };
    if list.duplicate_treatment.is_some() || !list.clauses.is_empty() || function.over.is_some() {
        return None;
    }
    let args = list.args.iter_mut().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    args.collect()
}

/// The first group of the first match of `pattern`; all of the match, where it has no groups.
fn first_match(text: Expr, pattern: Expr) -> Expr {
    let number = Expr::Value(Value::Number("1".to_owned(), false).into());
    call("array_element", vec![call("regexp_match", vec![text, pattern]), number])
}

pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    let list = FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The parts of an interval in their order.
const INTERVAL_PARTS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];

/// Gives `make_interval` all of its values, each at its place.
fn positional(function: &mut Function) -> Result<()> {
    let FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
    let unknown = |name: &str| {
        let refused = refused("query_invalid", "make_interval has no such part").with("part", name);
        Err(refused.with("hint", INTERVAL_PARTS.join(", ")))
    };
    let zero = || FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(Value::Number("0".to_owned(), false).into())));
    let mut placed: Vec<Option<FunctionArg>> = vec![None; INTERVAL_PARTS.len()];
    for (index, given) in std::mem::take(&mut list.args).into_iter().enumerate() {
        let (place, arg) = match given {
            FunctionArg::Named { name, arg, .. } => match place_of(&name.value) {
                Some(place) => (place, arg),
                None => return unknown(&name.value),
            },
            FunctionArg::ExprNamed { name, arg, .. } => match place_of(&name.to_string()) {
                Some(place) => (place, arg),
                None => return unknown(&name.to_string()),
            },
            FunctionArg::Unnamed(arg) => (index, arg),
        };
        match placed.get_mut(place) {
            Some(empty @ None) => *empty = Some(FunctionArg::Unnamed(arg)),
            Some(Some(_)) => {
                let part = INTERVAL_PARTS.get(place).copied().unwrap_or_default();
                return Err(refused("query_invalid", "make_interval is given a part twice").with("part", part));
            }
            None => return Err(refused("query_invalid", "make_interval has seven parts")),
        }
    }
    list.args = placed.into_iter().map(|arg| arg.unwrap_or_else(zero)).collect();
    Ok(())
}

fn place_of(name: &str) -> Option<usize> {
    INTERVAL_PARTS.iter().position(|part| part.eq_ignore_ascii_case(name))
}
