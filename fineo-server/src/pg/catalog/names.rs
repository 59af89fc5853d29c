//! Gives the columns of a question the names that Postgres gives them: the planner wants each name once, and calls the
//! rest by what they compute.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr, VisitorMut};

use super::recognition::parts;

/// The name of what has none.
const NAMELESS: &str = "?column?";

/// Words that the library puts another function's name in place of.
const RENAMED: [&str; 4] = ["current_user", "user", "current_role", "current_catalog"];

/// Names columns that are one of those words, before the library puts others in their place.
#[derive(Default)]
pub(super) struct Words {
    /// Whether there were any.
    pub(super) has_any: bool,
}

impl VisitorMut for Words {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        let mut taken: BTreeSet<String> = select.projection.iter().filter_map(given).map(|name| name.value).collect();
        for item in &mut select.projection {
            let word = match item {
                SelectItem::UnnamedExpr(expr) => word(expr).filter(|word| RENAMED.contains(&word.as_str())),
                _ => None,
            };
            if let (Some(word), SelectItem::UnnamedExpr(expr)) = (word, &*item) {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: unique(Ident::new(word), &mut taken) };
                self.has_any = true;
            }
        }
        ControlFlow::Continue(())
    }
}

/// The word that `expr` is, cast or not.
fn word(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Function(function) => parts(&function.name).pop(),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => word(expr),
        _ => None,
    }
}

/// Names what is computed.
pub(super) struct Names;

impl VisitorMut for Names {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        name(&mut query.body);
        ControlFlow::Continue(())
    }
}

fn name(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => name_columns(select),
        SetExpr::SetOperation { left, right, .. } => {
            name(left);
            name(right);
        }
        _ => {}
    }
}

fn name_columns(select: &mut Select) {
    let mut taken: BTreeSet<String> = select.projection.iter().filter_map(given).map(|name| name.value).collect();
    for item in &mut select.projection {
        if given(item).is_none()
            && let SelectItem::UnnamedExpr(expr) = item
        {
            let alias = unique(column(expr), &mut taken);
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

/// The name that a column has already: its own, or that of what it is cast from.
pub(super) fn given(item: &SelectItem) -> Option<Ident> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        SelectItem::UnnamedExpr(expr) => own_name(expr),
        _ => None,
    }
}

fn own_name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(name) => Some(name.clone()),
        Expr::CompoundIdentifier(names) => names.last().cloned(),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => own_name(expr),
        _ => None,
    }
}

/// What Postgres calls the column of `expr`.
fn column(expr: &Expr) -> Ident {
    let named = match expr {
        Expr::Function(function) => parts(&function.name).pop(),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => return column(expr),
        Expr::Subquery(query) => return looked_up(&query.body).unwrap_or_else(|| Ident::new(NAMELESS)),
        Expr::Case { .. } => Some("case".to_owned()),
        Expr::Exists { .. } => Some("exists".to_owned()),
        _ => None,
    };
    Ident::new(named.unwrap_or_else(|| NAMELESS.to_owned()))
}

fn looked_up(body: &SetExpr) -> Option<Ident> {
    let SetExpr::Select(select) = body else { return None };
    select.projection.first().and_then(given)
}

/// `name`, with a number where it is taken.
pub(super) fn unique(name: Ident, taken: &mut BTreeSet<String>) -> Ident {
    let mut text = name.value.clone();
    let mut count = 1;
    while !taken.insert(text.clone()) {
        count += 1;
        text = format!("{}_{count}", name.value);
    }
    Ident::with_quote('"', text)
}
