//! Words that the planner does not know, in words that it does.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    Value, VisitorMut,
};

use super::recognition::parts;

/// Spells what the planner does not know in words that it does.
pub(super) struct Spellings;

impl VisitorMut for Spellings {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // What clients collect like this (members of roles, columns of keys) no tenant has.
            Expr::Function(function) if matches!(function.args, FunctionArguments::Subquery(_)) => {
                if parts(&function.name).pop().is_some_and(|name| name == "array") {
                    *expr = Expr::Array(Array { elem: vec![Expr::value(Value::Null)], named: true });
                }
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
