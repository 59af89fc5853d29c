//! What says the same with less nesting: `coalesce` of a `coalesce`, and brackets around the joins that come first anyway.
//!
//! Of each value of `coalesce` but the last the planner makes two, so that of nested ones there would be many. And it looks into brackets
//! for no column of `USING`.

use std::{mem, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Select, Statement, TableFactor, TableWithJoins,
    VisitMut, VisitorMut,
};

use super::{is_quoted, parts};

/// Says `statement` with less nesting.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Flat);
}

struct Flat;

impl VisitorMut for Flat {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        select.from.iter_mut().for_each(open);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr
            && let Some(values) = values(call)
            && values.iter().any(|value| nested(value).is_some())
        {
            let mut flat = Vec::new();
            for value in mem::take(values) {
                match nested(&value) {
                    Some(values) => flat.extend(values.iter().cloned()),
                    None => flat.push(value),
                }
            }
            *values = flat;
        }
        ControlFlow::Continue(())
    }
}

/// Leaves out brackets around the joins with which `from` begins.
fn open(from: &mut TableWithJoins) {
    while let TableFactor::NestedJoin { table_with_joins, alias: None } = &mut from.relation {
        let first = (**table_with_joins).clone();
        from.relation = first.relation;
        from.joins.splice(..0, first.joins);
    }
}

/// What `call` chooses from, where it is `coalesce`.
fn values(call: &mut Function) -> Option<&mut Vec<FunctionArg>> {
    match is_plain(call) {
        true => match &mut call.args {
            FunctionArguments::List(list) => Some(&mut list.args),
            _ => None,
        },
        false => None,
    }
}

/// What a value of `coalesce` chooses from itself.
fn nested(value: &FunctionArg) -> Option<&[FunctionArg]> {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = value else { return None };
    match expr {
        Expr::Function(call) if is_plain(call) => match &call.args {
            FunctionArguments::List(list) => Some(&list.args),
            _ => None,
        },
        _ => None,
    }
}

fn is_plain(call: &Function) -> bool {
    let is_coalesce =
        matches!(parts(&call.name)[..], [only] if only.value.eq_ignore_ascii_case("coalesce") && !is_quoted(only));
    let FunctionArguments::List(list) = &call.args else { return false };
    is_coalesce
        && !list.args.is_empty()
        && list.clauses.is_empty()
        && list.duplicate_treatment.is_none()
        && call.over.is_none()
        && call.filter.is_none()
}
