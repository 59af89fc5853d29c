//! In a grouped select one column may be asked for under several of its names. The planner knows nothing of that, so
//! they are spelled as the grouping spells them; what result columns are called is not touched.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, Value, VisitMut, VisitorMut,
};

use super::asked::Asked;
use crate::catalog::Catalog;

/// Spells the columns by which `query` groups throughout it.
pub(super) fn unify(query: &mut Query, asked: &Asked, catalog: &Catalog) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let keys = keys(select);
    if keys.is_empty() {
        return;
    }
    let is_alone = matches!(select.from.as_slice(), [from] if from.joins.is_empty());
    let mut unifier = Unifier { keys, is_alone, asked, catalog };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let _ = VisitMut::visit(expr, &mut unifier);
        }
    }
    for clause in [&mut select.having, &mut select.qualify].into_iter().flatten() {
        let _ = VisitMut::visit(clause, &mut unifier);
    }
    if let Some(OrderByKind::Expressions(orders)) = query.order_by.as_mut().map(|order| &mut order.kind) {
        for order in orders {
            let _ = VisitMut::visit(&mut order.expr, &mut unifier);
        }
    }
}

/// The plain columns by which `select` groups.
fn keys(select: &Select) -> Vec<Vec<Ident>> {
    let GroupByExpr::Expressions(exprs, _) = &select.group_by else { return Vec::new() };
    let item = |text: &str| match select.projection.get(text.parse::<usize>().ok()?.checked_sub(1)?)? {
        SelectItem::UnnamedExpr(expr) => column(expr),
        SelectItem::ExprWithAlias { .. }
        | SelectItem::ExprWithAliases { .. }
        | SelectItem::Wildcard(_)
        | SelectItem::QualifiedWildcard(..) => None,
    };
    let key = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => item(&text.to_string()),
            _ => None,
        },
        expr => column(expr),
    };
    exprs.iter().filter_map(key).collect()
}

fn column(expr: &Expr) -> Option<Vec<Ident>> {
    match expr {
        Expr::Identifier(ident) => Some(vec![ident.clone()]),
        Expr::CompoundIdentifier(parts) => Some(parts.clone()),
        _ => None,
    }
}

struct Unifier<'a> {
    keys: Vec<Vec<Ident>>,
    /// Whether the select reads one relation, so that a qualifier says nothing.
    is_alone: bool,
    asked: &'a Asked,
    catalog: &'a Catalog,
}

impl Unifier<'_> {
    /// The key that is the column `parts` under another name.
    fn key(&self, parts: &[Ident]) -> Option<&[Ident]> {
        let (name, qualifier) = parts.split_last()?;
        let is_of = |other: &[Ident]| {
            let texts = |parts: &[Ident]| parts.iter().map(|part| part.value.to_lowercase()).collect::<Vec<_>>();
            self.is_alone || texts(qualifier) == texts(other)
        };
        let spelled = |key: &Vec<Ident>| key.last().is_some_and(|last| last.value == name.value);
        if self.is_label(name) || self.keys.iter().any(spelled) {
            return None;
        }
        let is_same = |key: &&Vec<Ident>| {
            key.split_last().is_some_and(|(last, rest)| {
                is_of(rest) && !self.is_label(last) && self.catalog.is_one_column(name, last)
            })
        };
        self.keys.iter().find(is_same).map(Vec::as_slice)
    }

    /// Whether the statement gives this name to something of its own.
    fn is_label(&self, name: &Ident) -> bool {
        self.asked.labels.keys().any(|label| label.eq_ignore_ascii_case(&name.value))
    }
}

impl VisitorMut for Unifier<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(parts) = column(expr)
            && let Some(key) = self.key(&parts)
        {
            *expr = match key {
                [only] => Expr::Identifier(only.clone()),
                several => Expr::CompoundIdentifier(several.to_vec()),
            };
        }
        ControlFlow::Continue(())
    }
}
