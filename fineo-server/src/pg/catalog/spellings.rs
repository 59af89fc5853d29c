//! Words that the planner does not know, in words that it does.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Query, Select, SelectItem, SetExpr, TableFactor, Value, VisitorMut,
};

use super::{
    super::{failure::Failure, values},
    recognition::parts,
};

/// Tables of the catalog that never have a row that a tenant's column belongs to.
const WITHOUT_ROWS: [&str; 3] = ["pg_attrdef", "pg_sequence", "pg_collation"];

/// Functions that take lists of an index's columns apart.
const OF_INDEXES: [&str; 1] = ["_pg_expandarray"];

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
            // The parts of keys and indexes: no tenant has one.
            Expr::Function(function)
                if parts(&function.name).pop().is_some_and(|name| OF_INDEXES.contains(&name.as_str())) =>
            {
                *expr = Expr::value(Value::Null);
            }
            Expr::CompoundFieldAccess { access_chain, .. }
                if matches!(access_chain.as_slice(), [AccessExpr::Dot(_)]) =>
            {
                *expr = Expr::value(Value::Null);
            }
            // What a column has in a table without rows; the planner could not look it up row by row.
            Expr::Subquery(query) if is_without_rows(query) => *expr = Expr::value(Value::Null),
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

/// Whether `query` looks into a table that has no row for any tenant, or for the collation of a type, which none has.
fn is_without_rows(query: &Query) -> bool {
    let SetExpr::Select(select) = &*query.body else { return false };
    let Select { from, projection, .. } = &**select;
    let [from, ..] = from.as_slice() else { return false };
    let TableFactor::Table { name, .. } = &from.relation else { return false };
    let is_collation = matches!(projection.as_slice(), [SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names))]
        if names.last().is_some_and(|name| name.value.eq_ignore_ascii_case("typcollation")));
    is_collation || parts(name).last().is_some_and(|name| WITHOUT_ROWS.contains(&name.as_str()))
}

/// What a subquery looks up, where it is a column or a comparison of one.
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
