//! Spells the names of a statement as the catalog does, so that the planner finds them.
//!
//! Scoping stays the planner's: a table exposes, beside its columns, every name that the statement asks for
//! and that means one of them. What is left is the case of names that the statement gives itself, dotted
//! names of flattened fields, and `*`, which must not show the names exposed only for this statement.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::ControlFlow,
};

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Statement, TableAlias, TableFactor, TableWithJoins, VisitMut, VisitorMut,
};
use fineo_core::{Error, Result};

use super::{
    asked::{Asked, constraint_mut},
    exact, fetch, grouped, is_quoted, joined, matching, merged, parts, star,
};
use crate::catalog::Catalog;

/// Spells `statement` for `catalog`.
///
/// # Errors
///
/// `unsupported_sql` where a join has columns in common of which it cannot be told whose they are.
pub(crate) fn rewrite(statement: &mut Statement, asked: &Asked, catalog: &Catalog) -> Result<()> {
    let mut relations = asked.relations.clone();
    relations.extend(catalog.dotted_names().map(str::to_owned));
    let spellings = spellings(asked, catalog);
    let mut rewriter = Rewriter { catalog, asked, spellings, relations, frames: Vec::new() };
    match statement.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// How the names of result columns are spelled throughout, by their lower case.
///
/// Names that differ in case only mean the same unless more than one of them is somebody's exact name.
fn spellings(asked: &Asked, catalog: &Catalog) -> HashMap<String, String> {
    let mut labels: BTreeMap<String, BTreeSet<(bool, &str)>> = BTreeMap::new();
    for (label, is_quoted) in &asked.labels {
        let is_exact = *is_quoted || catalog.is_exact(label);
        labels.entry(label.to_lowercase()).or_default().insert((is_exact, label));
    }
    for name in catalog.fixed_names() {
        labels.entry(name.to_lowercase()).or_default().insert((true, name));
    }
    // A quoted name means the column of that name, not a result of the statement's that differs in case.
    let is_apart = |name: &str| {
        let is_quoted = asked.columns.contains(&(name.to_owned(), true));
        is_quoted && catalog.is_exact(name) && !asked.labels.contains_key(name)
    };
    let mut as_written = BTreeSet::new();
    for (name, is_quoted) in &asked.columns {
        let Some(class) = labels.get_mut(&name.to_lowercase()) else { continue };
        if !is_apart(name) {
            class.insert((catalog.is_exact(name), name));
        } else if !is_quoted && !asked.is_nested {
            // Within one query each of them is found as it is written.
            as_written.insert(name.to_lowercase());
        }
    }
    labels.retain(|lower, _| !as_written.contains(lower));
    let mut spellings = HashMap::new();
    for (lower, class) in labels {
        let mut exact: Vec<&str> = class.iter().filter(|(is_exact, _)| *is_exact).map(|(_, name)| *name).collect();
        exact.dedup();
        match (exact.as_slice(), class.first()) {
            ([only], _) => spellings.insert(lower, (*only).to_owned()),
            ([], Some((_, first))) => spellings.insert(lower, (*first).to_owned()),
            (_, _) => None,
        };
    }
    spellings
}

/// What the columns of a statement's result are called: from the left up to the first `*`, and from the right.
#[derive(Debug, Default)]
pub(crate) struct ResultNames {
    left: Vec<Option<String>>,
    right: Vec<Option<String>>,
}

impl ResultNames {
    /// The names that `statement` asks for.
    pub(crate) fn of(statement: &Statement) -> Self {
        let Statement::Query(query) = statement else { return Self::default() };
        let Some(select) = first_select(&query.body) else { return Self::default() };
        let names = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) | SelectItem::ExprWithAlias { alias: ident, .. } => {
                Some(Some(ident.value.clone()))
            }
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                Some(parts.last().map(|last| last.value.clone()))
            }
            SelectItem::UnnamedExpr(_) => Some(None),
            SelectItem::ExprWithAliases { .. } | SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => None,
        };
        let left = select.projection.iter().map_while(names).collect();
        let right = select.projection.iter().rev().map_while(names).collect();
        Self { left, right }
    }

    /// The name of column `index` of `count`, where the statement asks for one.
    pub(crate) fn name(&self, index: usize, count: usize) -> Option<&str> {
        let from_right = || self.right.get(count - 1 - index);
        self.left.get(index).or_else(from_right).and_then(Option::as_deref)
    }
}

fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::SetOperation { left, .. } => first_select(left),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::Values(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_)
        | SetExpr::Table(_) => None,
    }
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
    asked: &'a Asked,
    spellings: HashMap<String, String>,
    relations: BTreeSet<String>,
    frames: Vec<Frame>,
}

impl Rewriter<'_> {
    /// How `ident` is spelled throughout the statement, where it is spelled otherwise here.
    fn respelled(&self, ident: &Ident) -> Option<Ident> {
        if is_quoted(ident) {
            return None;
        }
        let spelling = self.spellings.get(&ident.value.to_lowercase())?;
        (*spelling != ident.value).then(|| exact(spelling))
    }

    fn respell(&self, ident: &mut Ident) {
        if let Some(spelled) = self.respelled(ident) {
            *ident = spelled;
        }
    }

    fn respell_labels(&self, alias: &mut TableAlias) {
        for column in &mut alias.columns {
            self.respell(&mut column.name);
        }
    }

    fn respell_using(&self, from: &mut TableWithJoins) {
        if let TableFactor::NestedJoin { table_with_joins, .. } = &mut from.relation {
            self.respell_using(table_with_joins);
        }
        for join in &mut from.joins {
            if let Some(JoinConstraint::Using(names)) = constraint_mut(&mut join.join_operator) {
                for name in names {
                    if let [only] = parts(name).as_slice()
                        && let Some(spelled) = self.respelled(only)
                    {
                        *name = ObjectName::from(vec![spelled]);
                    }
                }
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
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let with = query.with.as_ref();
        let names: Vec<String> =
            with.iter().flat_map(|with| &with.cte_tables).map(|cte| cte.alias.name.value.clone()).collect();
        let is_recursive = with.is_some_and(|with| with.recursive);
        // The body sees all of them, so its stars are expanded before the definitions are visited.
        let all = names.len();
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            self.respell_labels(&mut cte.alias);
        }
        self.frames.push(Frame { names, is_recursive, done: all });
        if let Err(error) = merged::name(query, self.catalog, &|name| self.is_cte(name)) {
            return ControlFlow::Break(error);
        }
        self.stars(&mut query.body);
        grouped::unify(query, self.asked, self.catalog);
        fetch::as_limit(query);
        if let Some(frame) = self.frames.last_mut() {
            frame.done = 0;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.frames.pop();
        if let Some(outer) = self.frames.last_mut() {
            outer.done = (outer.done + 1).min(outer.names.len());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        self.qualified_star(select);
        for item in &mut select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => self.respell(alias),
                SelectItem::ExprWithAliases { aliases, .. } => aliases.iter_mut().for_each(|alias| self.respell(alias)),
                SelectItem::UnnamedExpr(_) | SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {}
            }
        }
        for from in &mut select.from {
            self.respell_using(from);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            let spelled: Vec<Ident> = parts(name).into_iter().cloned().collect();
            if let Some(dotted) = self.catalog.dotted(&spelled) {
                *name = ObjectName::from(vec![exact(dotted)]);
            } else if let [only] = spelled.as_slice()
                && !self.catalog.has(&spelled)
                && let Some(given) = matching(only, self.asked.given.iter().map(String::as_str))
            {
                *name = ObjectName::from(vec![exact(given)]);
            }
        }
        if let TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } = factor
        {
            self.respell_labels(alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Identifier(ident) => self.respell(ident),
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
