//! Tells result columns apart that the planner would give one name: `v` and `CAST(v AS INT)`, or `v` twice.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{Expr, Query, SelectItem, SetExpr, Statement};

use super::exact;

/// Names the columns of `statement`: an expression by its own text, and what comes again by a number behind it. Answers
/// whether there was anything to name.
pub(crate) fn tell_apart(statement: &mut Statement) -> bool {
    match statement {
        Statement::Query(query) => of_query(query),
        Statement::Explain { statement, .. } => tell_apart(statement),
        _ => false,
    }
}

fn of_query(query: &mut Query) -> bool {
    of_body(&mut query.body)
}

fn of_body(body: &mut SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => of_items(&mut select.projection),
        SetExpr::Query(query) => of_query(query),
        SetExpr::SetOperation { left, right, .. } => of_body(left) | of_body(right),
        SetExpr::Values(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_)
        | SetExpr::Table(_) => false,
    }
}

fn of_items(items: &mut [SelectItem]) -> bool {
    let is_wildcard = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    let shows_all = items.iter().any(is_wildcard);
    let mut taken: HashSet<String> = items.iter().filter_map(alias).map(str::to_lowercase).collect();
    let mut has_named = false;
    for item in items {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let (name, is_column) = match &*expr {
            Expr::Identifier(ident) => (ident.value.clone(), true),
            Expr::CompoundIdentifier(parts) => (parts.last().map_or_else(String::new, |last| last.value.clone()), true),
            other => (other.to_string(), false),
        };
        // `*` shows every column already.
        let is_first = taken.insert(name.to_lowercase()) && !(is_column && shows_all);
        if is_first && is_column {
            continue;
        }
        let named = match is_first {
            true => name,
            false => {
                let mut numbered = (2_u32..).map(|number| format!("{name}_{number}"));
                numbered.find(|free| taken.insert(free.to_lowercase())).unwrap_or_default()
            }
        };
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: exact(&named) };
        has_named = true;
    }
    has_named
}

fn alias(item: &SelectItem) -> Option<&str> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(&alias.value),
        SelectItem::UnnamedExpr(_)
        | SelectItem::ExprWithAliases { .. }
        | SelectItem::Wildcard(_)
        | SelectItem::QualifiedWildcard(..) => None,
    }
}
