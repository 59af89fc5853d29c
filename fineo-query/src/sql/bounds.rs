//! What a statement may not be, told by its syntax tree: so tangled that to plan it takes longer than anybody waits, or
//! with words that the planner passes over.

use std::{collections::HashMap, ops::ControlFlow, ptr};

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    GroupByWithModifier, ObjectName, Query, Select, Statement, TableFactor, Visit, Visitor,
};
use fineo_core::{Error, Result};

use super::parts;
use crate::error::{exceeded, unsupported};

/// How deep subqueries of expressions are nested: each doubles how long planning takes.
const SUBQUERIES_MAX: usize = 8;
/// How deep values are nested that the planner writes down twice each.
const DOUBLED_MAX: usize = 10;
/// How many tables are read, each as often as the common table expressions that read it are named.
const TABLES_MAX: u64 = 1_000;
const GROUPING_SETS_MAX: u64 = 256;
/// How many values a type of fixed size has: a null of it takes as much.
pub(crate) const FIXED_SIZE_MAX: u64 = 1_024;
/// How many types are within each other.
pub(crate) const TYPES_NESTED_MAX: usize = 64;

/// Refuses `statement` where it passes a bound, or says what the planner passes over.
pub(super) fn check(statement: &Statement) -> Result<()> {
    look_at(statement, Bounds::default())
}

/// Refuses `statement` where it passes a bound.
pub(crate) fn check_size(statement: &Statement) -> Result<()> {
    look_at(statement, Bounds { takes_all_words: true, ..Bounds::default() })
}

fn look_at(statement: &Statement, mut bounds: Bounds) -> Result<()> {
    match statement.visit(&mut bounds) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// That a type is not nested deeper than anything looks, nor larger than anything holds.
pub(crate) fn check_type(nested: usize, fixed_size: u64) -> Result<()> {
    if nested > TYPES_NESTED_MAX {
        return Err(exceeded("too_complex", "a type is nested too deeply").with("types_nested_max", TYPES_NESTED_MAX));
    }
    if fixed_size > FIXED_SIZE_MAX {
        return Err(exceeded("memory_limit", "a type has too large a fixed size")
            .with("fixed_size_max", FIXED_SIZE_MAX)
            .with("hint", "a type without a fixed size takes only what is in it"));
    }
    Ok(())
}

/// One query that the visitor is in.
#[derive(Debug, Default)]
struct Scope {
    /// The names of its common table expressions.
    names: Vec<String>,
    /// How many tables each of them reads, of those behind the visitor.
    known: Vec<u64>,
    /// How many the query itself reads, as far as the visitor is.
    tables: u64,
}

#[derive(Debug, Default)]
struct Bounds {
    /// Whether it is left to others what stands beside a table.
    takes_all_words: bool,
    subqueries: usize,
    scopes: Vec<Scope>,
    /// How often what is written down twice is, by its place.
    doubled: HashMap<*const Expr, usize>,
    /// In how many of those the visitor is.
    doubled_around: usize,
}

impl Bounds {
    /// How many tables `name` stands for.
    fn tables(&self, name: &str) -> u64 {
        let lower = name.to_lowercase();
        let known = self.scopes.iter().rev().find_map(|scope| {
            let mut known = scope.names.iter().zip(&scope.known);
            known.find(|(name, _)| **name == lower).map(|(_, tables)| *tables)
        });
        known.unwrap_or(1).max(1)
    }

    fn read(&mut self, tables: u64) -> Result<()> {
        let Some(scope) = self.scopes.last_mut() else { return Ok(()) };
        scope.tables = scope.tables.saturating_add(tables);
        if scope.tables > TABLES_MAX {
            return Err(exceeded("too_complex", "the statement reads too many tables")
                .with("tables_max", TABLES_MAX)
                .with("hint", "a common table expression is read anew wherever it is named"));
        }
        Ok(())
    }
}

impl Visitor for Bounds {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let given = query.with.iter().flat_map(|with| &with.cte_tables);
        let names = given.map(|given| given.alias.name.value.to_lowercase()).collect();
        self.scopes.push(Scope { names, ..Scope::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<Error> {
        let Some(done) = self.scopes.pop() else { return ControlFlow::Continue(()) };
        match self.scopes.last_mut() {
            // The definitions come before whatever else is in a query.
            Some(outer) if outer.known.len() < outer.names.len() => {
                outer.known.push(done.tables);
                ControlFlow::Continue(())
            }
            Some(_) => as_flow(self.read(done.tables)),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        if grouping_sets(&select.group_by) > GROUPING_SETS_MAX {
            return ControlFlow::Break(
                exceeded("too_complex", "the statement groups in too many ways")
                    .with("grouping_sets_max", GROUPING_SETS_MAX)
                    .with(
                        "hint",
                        "CUBE makes two of each set for each expression: GROUPING SETS names those that count",
                    ),
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        if let Some(words) = passed_over(factor).filter(|_| !self.takes_all_words) {
            return ControlFlow::Break(unsupported(words));
        }
        let tables = match factor {
            TableFactor::Table { name, .. } => match parts(name).as_slice() {
                [only] => self.tables(&only.value),
                _ => 1,
            },
            _ => 0,
        };
        as_flow(self.read(tables))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Cast { data_type, .. } => as_flow(check_type(nested(data_type), fixed_size(data_type)))?,
            Expr::TypedString(text) => as_flow(check_type(nested(&text.data_type), fixed_size(&text.data_type)))?,
            expr if is_subquery(expr) => self.subqueries += 1,
            _ => {}
        }
        for operand in doubled(expr) {
            *self.doubled.entry(ptr::from_ref(operand)).or_default() += 1;
        }
        self.doubled_around += self.doubled.get(&ptr::from_ref(expr)).copied().unwrap_or_default();
        if self.doubled_around > DOUBLED_MAX {
            return ControlFlow::Break(
                exceeded("too_complex", "coalesce, nullif, BETWEEN, ANY or ALL are nested too deeply")
                    .with("nested_max", DOUBLED_MAX)
                    .with(
                        "hint",
                        "coalesce takes any number of values, and what is nested in its last one does not count",
                    ),
            );
        }
        if self.subqueries > SUBQUERIES_MAX {
            return ControlFlow::Break(
                exceeded("too_complex", "subqueries are nested too deeply")
                    .with("subqueries_nested_max", SUBQUERIES_MAX)
                    .with("hint", "a subquery in FROM or WITH does not count"),
            );
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        self.subqueries -= usize::from(is_subquery(expr));
        self.doubled_around -= self.doubled.remove(&ptr::from_ref(expr)).unwrap_or_default();
        ControlFlow::Continue(())
    }
}

fn as_flow(result: Result<()>) -> ControlFlow<Error> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. })
}

/// Whether `expr` is a query, in brackets or not.
fn is_query(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_query(inner),
        _ => is_subquery(expr),
    }
}

/// How often `expr` is doubled that is compared with an array, or is the array: the planner writes it down up to five times.
const DOUBLED_BY_ARRAYS: usize = 3;

/// The operands of `expr` that the planner writes down twice: to test them, and as what is answered. Those that it writes down more
/// often come more often.
fn doubled(expr: &Expr) -> impl Iterator<Item = &Expr> {
    let none = &[] as &[FunctionArg];
    let (args, operands) = match expr {
        Expr::Function(call) => (doubled_args(&call.name, &call.args), vec![]),
        Expr::Between { expr, .. } => (none, vec![&**expr]),
        Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } if !is_query(right) => {
            (none, [&**left, &**right].repeat(DOUBLED_BY_ARRAYS))
        }
        _ => (none, vec![]),
    };
    let args = args.iter().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => Some(arg),
        _ => None,
    });
    args.chain(operands)
}

fn doubled_args<'a>(name: &ObjectName, args: &'a FunctionArguments) -> &'a [FunctionArg] {
    let FunctionArguments::List(list) = args else { return &[] };
    let parts = parts(name);
    let name = parts.last().map(|name| name.value.to_lowercase()).unwrap_or_default();
    match (name.as_str(), list.args.as_slice()) {
        ("coalesce" | "nullif" | "nvl" | "ifnull", [doubled @ .., _]) => doubled,
        ("nvl2", all) => all,
        _ => &[],
    }
}

/// What stands beside a table and would change no answer, though it says that it does.
fn passed_over(factor: &TableFactor) -> Option<&'static str> {
    match factor {
        TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
            Some("TABLESAMPLE: WHERE random() < 0.01 takes a share of the rows")
        }
        TableFactor::Table { version: Some(_), .. } => Some("another version of a table"),
        TableFactor::Table { with_ordinality: true, .. } => Some("WITH ORDINALITY: row_number() numbers rows"),
        TableFactor::Table { partitions, .. } if !partitions.is_empty() => Some("PARTITION beside a table"),
        _ => None,
    }
}

/// By how many sets of columns is grouped.
fn grouping_sets(group_by: &GroupByExpr) -> u64 {
    let (exprs, modifiers) = match group_by {
        GroupByExpr::All(modifiers) => (&[] as &[Expr], modifiers),
        GroupByExpr::Expressions(exprs, modifiers) => (exprs.as_slice(), modifiers),
    };
    let of_modifiers = modifiers.iter().map(|modifier| match modifier {
        GroupByWithModifier::Cube => two_to(exprs.len()),
        GroupByWithModifier::Rollup => exprs.len() as u64 + 1,
        GroupByWithModifier::Totals => 2,
        GroupByWithModifier::GroupingSets(expr) => sets(expr),
    });
    exprs.iter().map(sets).chain(of_modifiers).fold(1, u64::saturating_mul)
}

fn sets(expr: &Expr) -> u64 {
    match expr {
        Expr::Cube(columns) => two_to(columns.len()),
        Expr::Rollup(columns) => columns.len() as u64 + 1,
        Expr::GroupingSets(several) => {
            let each = several.iter().map(|one| one.iter().map(sets).fold(1, u64::saturating_mul));
            each.fold(0, u64::saturating_add)
        }
        _ => 1,
    }
}

fn two_to(count: usize) -> u64 {
    u32::try_from(count).ok().and_then(|count| 1_u64.checked_shl(count)).unwrap_or(u64::MAX)
}

/// How many types are within each other.
fn nested(data_type: &DataType) -> usize {
    match data_type {
        DataType::Array(ArrayElemTypeDef::None) => 1,
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(item)
            | ArrayElemTypeDef::SquareBracket(item, _)
            | ArrayElemTypeDef::Parenthesis(item),
        ) => 1 + nested(item),
        DataType::Struct(fields, _) => 1 + fields.iter().map(|field| nested(&field.field_type)).max().unwrap_or(0),
        _ => 0,
    }
}

/// How many values one of the type has, null or not.
fn fixed_size(data_type: &DataType) -> u64 {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, Some(size))) => size.saturating_mul(fixed_size(item)),
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(item)
            | ArrayElemTypeDef::SquareBracket(item, None)
            | ArrayElemTypeDef::Parenthesis(item),
        ) => fixed_size(item),
        DataType::Struct(fields, _) => {
            fields.iter().fold(0, |sum: u64, field| sum.saturating_add(fixed_size(&field.field_type)))
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
