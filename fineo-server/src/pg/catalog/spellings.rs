//! Words that the planner does not know, in words that it does.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, Query, SelectItem, SetExpr, Value, VisitorMut,
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
            // Types have collations there, and none here; the planner could not look it up row by row.
            Expr::Subquery(query) if is_collation(query) => *expr = Expr::value(Value::Null),
            // At most one row has it: of an aggregate the planner knows that, too.
            Expr::Subquery(query) => {
                if let Some(looked_up) = looked_up(query) {
                    *looked_up = call("max", [looked_up.clone()]);
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

/// Whether `query` looks for the collation of a type.
fn is_collation(query: &Query) -> bool {
    let SetExpr::Select(select) = &*query.body else { return false };
    matches!(select.projection.as_slice(), [SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names))]
        if names.last().is_some_and(|name| name.value.eq_ignore_ascii_case("typcollation")))
}

/// What a subquery looks up, where it is a column, or a comparison or a case of one.
fn looked_up(query: &mut Query) -> Option<&mut Expr> {
    if query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
        return None;
    }
    let SetExpr::Select(select) = &mut *query.body else { return None };
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] = select.projection.as_mut_slice()
    else {
        return None;
    };
    let is_plain = |expr: &Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    match expr {
        Expr::BinaryOp { left, .. } if is_plain(left) => Some(expr),
        Expr::Case { .. } => Some(expr),
        _ if is_plain(expr) => Some(expr),
        _ => None,
    }
}

/// `replace(pattern, escape, '\')`.
fn replaced(pattern: &Expr, escape: &str) -> Expr {
    let text = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
    call("replace", [pattern.clone(), text(escape), text("\\")])
}

fn call<const N: usize>(name: &str, arguments: [Expr; N]) -> Expr {
    let argument = |expr: Expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.map(argument).into(),
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
/// And `'pg_catalog.f'::regproc` is `'f'`: the catalog has functions by their names.
#[derive(Default)]
pub(super) struct Lists {
    pub(super) has_any: bool,
    /// Which parameters are lists, from 0.
    pub(super) parameters: Vec<usize>,
}

impl VisitorMut for Lists {
    type Break = Failure;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Failure> {
        if let Some(function) = function_name(expr) {
            *expr = Expr::value(Value::SingleQuotedString(function));
            self.has_any = true;
        }
        let (left, right, negated) = match expr {
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => (left, right, false),
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => (left, right, true),
            _ => return ControlFlow::Continue(()),
        };
        let Some(text) = list_text(right) else {
            if let Some(number) = parameter(right) {
                self.parameters.push(number);
                // Only this place says that it is a list; whatever its items are, they can be compared as texts.
                (**left, **right) = (cast(left, DataType::Text), cast(right, texts()));
                self.has_any = true;
            }
            return ControlFlow::Continue(());
        };
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

/// Which parameter `expr` is, from 0.
fn parameter(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        Expr::Nested(inner) => parameter(inner),
        _ => None,
    }
}

fn texts() -> DataType {
    DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None))
}

fn cast(expr: &Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr.clone()), data_type, array: false, format: None }
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

/// The name of the function that `expr` is a text of: `'pg_catalog.f'::regproc`.
fn function_name(expr: &Expr) -> Option<String> {
    let Expr::Cast { expr, data_type: DataType::Custom(name, _), .. } = expr else { return None };
    let (Expr::Value(value), Some("regproc")) = (&**expr, parts(name).last().map(String::as_str)) else { return None };
    let text = value.value.clone().into_string()?;
    Some(text.rsplit('.').next().unwrap_or_default().to_owned())
}
