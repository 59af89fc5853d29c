//! Arrays of the rows before them in `FROM`: `FROM m, unnest(string_to_array(m.tags, ',')) AS t (tag)`, with `LATERAL` or without.
//!
//! The planner takes arrays alone that depend on nothing. So such a one is said as a subquery whose only row has each array in place
//! of its items; what the planner makes of that is told again once there is a plan.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, Statement,
        TableAlias, TableAliasColumnDef, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
    },
    parser::Parser,
};

use super::{apart::call, dialect::Sql, exact, is_quoted, parts};

/// The function that stands for the items of an array.
pub(crate) const ITEMS: &str = "items of an array";
const NAME: &str = "unnest";
const ROW: &str = "SELECT 1";

/// Says what unnests arrays of the rows before it as a subquery.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Unnested);
}

struct Unnested;

impl VisitorMut for Unnested {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for (place, from) in select.from.iter_mut().enumerate() {
            let first = (place > 0).then_some(&mut from.relation);
            for factor in first.into_iter().chain(from.joins.iter_mut().map(|join| &mut join.relation)) {
                if let Some(subquery) = subquery(factor) {
                    *factor = subquery;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn subquery(factor: &TableFactor) -> Option<TableFactor> {
    let (arrays, alias) = arrays(factor)?;
    if !arrays.iter().any(names_column) {
        return None;
    }
    let mut row = Parser::new(&Sql::for_words(ROW.len())).try_with_sql(ROW).ok()?.parse_query().ok()?;
    let mut alias = named(alias, arrays.len());
    let items = arrays.into_iter().zip(alias.columns.drain(..)).map(|(array, column)| {
        let expr = call(exact(ITEMS), vec![array]);
        SelectItem::ExprWithAlias { expr, alias: column.name }
    });
    select_of(&mut row)?.projection = items.collect();
    Some(TableFactor::Derived { lateral: true, subquery: row, alias: Some(alias), sample: None })
}

/// The arrays that `factor` unnests, and what it is called.
fn arrays(factor: &TableFactor) -> Option<(Vec<Expr>, Option<&TableAlias>)> {
    match factor {
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            with_offset_alias: None,
            with_ordinality: false,
        } => Some((array_exprs.clone(), alias.as_ref())),
        TableFactor::Function { name, args, with_ordinality: false, alias, .. } if is_unnest(name) => {
            let array = |arg: &FunctionArg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(array)) => Some(array.clone()),
                _ => None,
            };
            Some((args.iter().map(array).collect::<Option<_>>()?, alias.as_ref()))
        }
        _ => None,
    }
}

fn is_unnest(name: &ObjectName) -> bool {
    matches!(parts(name)[..], [only] if only.value.eq_ignore_ascii_case(NAME) && !is_quoted(only))
}

/// `alias` with a name for each of so many columns: those behind the named ones have the table's.
fn named(alias: Option<&TableAlias>, columns: usize) -> TableAlias {
    let unnamed = || TableAlias { explicit: true, name: Ident::new(NAME), columns: Vec::new(), at: None };
    let mut alias = alias.cloned().unwrap_or_else(unnamed);
    while alias.columns.len() < columns {
        let name = match alias.columns.len() {
            0 => alias.name.clone(),
            before => exact(&format!("{}_{}", alias.name.value, before + 1)),
        };
        alias.columns.push(TableAliasColumnDef { name, data_type: None });
    }
    alias
}

fn select_of(query: &mut Query) -> Option<&mut Select> {
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

/// Whether `expr` depends on a row.
fn names_column(expr: &Expr) -> bool {
    expr.visit(&mut Columns).is_break()
}

struct Columns;

impl Visitor for Columns {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}
