//! Spells the names of a statement as the catalog does, so that the planner finds them.
//!
//! Scoping stays the planner's: a table exposes, beside its columns, every name that the statement asks for
//! and that means one of them. What is left is the case of names that the statement gives itself, dotted
//! names of flattened fields, and `*`, which must not show the names exposed only for this statement.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Statement,
    TableFactor, VisitMut, VisitorMut,
};

use super::{asked::Asked, exact, is_quoted, joined, matching, parts, star};
use crate::catalog::Catalog;

/// Spells `statement` for `catalog`.
pub(crate) fn rewrite(statement: &mut Statement, asked: &Asked, catalog: &Catalog) {
    let mut given = asked.given.clone();
    given.extend(catalog.fixed_names().map(str::to_owned));
    let mut relations = asked.relations.clone();
    relations.extend(catalog.dotted_names().map(str::to_owned));
    let mut rewriter = Rewriter { catalog, given, relations, frames: Vec::new() };
    if let Statement::Query(query) = statement {
        rewriter.keep_result_names(&mut query.body);
    }
    let _ = statement.visit(&mut rewriter);
}

/// The common table expressions of one query, and how many of them are behind the visitor.
#[derive(Debug)]
struct Frame {
    names: Vec<String>,
    is_recursive: bool,
    done: usize,
}

impl Frame {
    fn visible(&self) -> &[String] {
        let own = usize::from(self.is_recursive && self.done < self.names.len());
        &self.names[..(self.done + own).min(self.names.len())]
    }
}

struct Rewriter<'a> {
    catalog: &'a Catalog,
    given: BTreeSet<String>,
    relations: BTreeSet<String>,
    frames: Vec<Frame>,
}

impl Rewriter<'_> {
    /// How a name that the statement gives itself is spelled there, where `ident` spells it otherwise.
    fn respelled(&self, ident: &Ident) -> Option<Ident> {
        if is_quoted(ident) || self.given.contains(&ident.value) || self.catalog.exposes(&ident.value) {
            return None;
        }
        matching(ident, self.given.iter().map(String::as_str)).map(exact)
    }

    /// The result column bears the name that was asked for, however the name is spelled below.
    fn keep_result_names(&self, body: &mut SetExpr) {
        let select = match body {
            SetExpr::Select(select) => select,
            SetExpr::SetOperation { left, .. } => return self.keep_result_names(left),
            SetExpr::Query(query) => return self.keep_result_names(&mut query.body),
            SetExpr::Values(_)
            | SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_)
            | SetExpr::Table(_) => return,
        };
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let last = match expr {
                Expr::Identifier(ident) => ident,
                Expr::CompoundIdentifier(parts) => match parts.last() {
                    Some(last) => last,
                    None => continue,
                },
                _ => continue,
            };
            if self.respelled(last).is_some() {
                *item = SelectItem::ExprWithAlias { alias: exact(&last.value), expr: expr.clone() };
            }
        }
    }

    fn compound(&self, parts: &[Ident]) -> Option<Expr> {
        for qualifier_len in 1..parts.len() {
            let (qualifier, rest) = parts.split_at(qualifier_len);
            let asked = match qualifier {
                [only] => only.clone(),
                several => Ident::new(joined(several)),
            };
            let Some(relation) = matching(&asked, self.relations.iter().map(String::as_str)) else { continue };
            let column = match rest {
                [only] => self.respelled(only).unwrap_or_else(|| only.clone()),
                several => exact(&joined(several)),
            };
            return Some(Expr::CompoundIdentifier(vec![exact(relation), column]));
        }
        let dotted = joined(parts);
        self.catalog.exposes(&dotted).then(|| Expr::Identifier(exact(&dotted)))
    }

    /// Whether `name` is a common table expression where the visitor stands.
    fn is_cte(&self, name: &str) -> bool {
        let mut visible = self.frames.iter().flat_map(Frame::visible);
        visible.any(|known| known == name)
    }

    fn stars(&self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => {
                let is_cte = |name: &str| self.is_cte(name);
                star::expand(select, self.catalog, &is_cte);
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.stars(left);
                self.stars(right);
            }
            SetExpr::Query(_)
            | SetExpr::Values(_)
            | SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_)
            | SetExpr::Table(_) => {}
        }
    }

    fn qualified_star(&self, select: &mut Select) {
        for item in &mut select.projection {
            let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item else {
                continue;
            };
            if let [only] = parts(name).as_slice()
                && let Some(relation) = matching(only, self.relations.iter().map(String::as_str))
            {
                *name = ObjectName::from(vec![exact(relation)]);
            }
        }
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let with = query.with.as_ref();
        let names: Vec<String> =
            with.iter().flat_map(|with| &with.cte_tables).map(|cte| cte.alias.name.value.clone()).collect();
        let is_recursive = with.is_some_and(|with| with.recursive);
        // The body sees all of them, so its stars are expanded before the definitions are visited.
        let all = names.len();
        self.frames.push(Frame { names, is_recursive, done: all });
        self.stars(&mut query.body);
        if let Some(frame) = self.frames.last_mut() {
            frame.done = 0;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.frames.pop();
        if let Some(outer) = self.frames.last_mut() {
            outer.done = (outer.done + 1).min(outer.names.len());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.qualified_star(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            let spelled: Vec<Ident> = parts(name).into_iter().cloned().collect();
            if let Some(dotted) = self.catalog.dotted(&spelled) {
                *name = ObjectName::from(vec![exact(dotted)]);
            } else if let [only] = spelled.as_slice()
                && !self.catalog.has(&spelled)
                && let Some(given) = self.respelled(only)
            {
                *name = ObjectName::from(vec![given]);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => {
                if let Some(given) = self.respelled(ident) {
                    *ident = given;
                }
            }
            Expr::CompoundIdentifier(parts) => {
                if let Some(spelled) = self.compound(parts) {
                    *expr = spelled;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
