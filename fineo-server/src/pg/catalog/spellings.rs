//! Words that the planner does not know, in words that it does.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Value, VisitorMut,
};

use super::{
    super::{failure::Failure, values},
    recognition::parts,
};

/// Spells what the planner does not know in words that it does.
pub(super) struct Spellings;

impl VisitorMut for Spellings {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // What clients collect like this (members of roles, columns of keys) no tenant has.
            Expr::Function(function)
                if matches!(function.args, FunctionArguments::Subquery(_))
                    && parts(&function.name).pop().is_some_and(|name| name == "array") =>
            {
                *expr = Expr::Array(Array { elem: vec![Expr::value(Value::Null)], named: true });
            }
            // A pattern has the backslash as its escape here, whichever it asks for.
            Expr::Like { pattern, escape_char: escape, .. } | Expr::ILike { pattern, escape_char: escape, .. } => {
                if let Some(found) = escape.take().map(|value| value.value).and_then(Value::into_string)
                    && found != "\\"
                {
                    **pattern = replaced(pattern, &found);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `replace(pattern, escape, '\')`.
fn replaced(pattern: &Expr, escape: &str) -> Expr {
    let text = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
    let argument = |expr: Expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    let args = [pattern.clone(), text(escape), text("\\")].map(argument);
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("replace")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Spells `x = ANY('{a,b}')` as `x IN ('a', 'b')`, and `x <> ALL('{a,b}')` as `x NOT IN ('a', 'b')`.
///
/// Only the place of such a text says that it is a list, and the items are of the type of what they are compared with.
#[derive(Default)]
pub(super) struct Lists {
    pub(super) has_any: bool,
}

impl VisitorMut for Lists {
    type Break = Failure;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Failure> {
        let (left, right, negated) = match expr {
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => (left, right, false),
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => (left, right, true),
            _ => return ControlFlow::Continue(()),
        };
        let Some(text) = list_text(right) else { return ControlFlow::Continue(()) };
        let Some(items) = values::list(&text) else {
            return ControlFlow::Break(Failure::error("22P02", format!("malformed array literal: {text:?}")));
        };
        let item = |item: Option<String>| Expr::value(item.map_or(Value::Null, Value::SingleQuotedString));
        let list: Vec<Expr> = items.into_iter().map(item).collect();
        let spelled = if list.is_empty() {
            Expr::value(Value::Boolean(negated))
        } else {
            Expr::InList { expr: Box::new(Expr::Nested(left.clone())), list, negated }
        };
        *expr = Expr::Nested(Box::new(spelled));
        self.has_any = true;
        ControlFlow::Continue(())
    }
}

/// The text that `expr` is, where it stands for a list, whatever list it is cast to.
fn list_text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => value.value.clone().into_string(),
        Expr::Nested(inner) => list_text(inner),
        Expr::Cast { expr, data_type: DataType::Array(_), .. } => list_text(expr),
        _ => None,
    }
}
