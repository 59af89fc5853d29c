//! The columns of `USING` and `NATURAL`, each of which two tables have and the statement names once.
//!
//! The planner takes the left table's for them. Behind `RIGHT JOIN` it is the right one's, behind `FULL JOIN` whichever there is:
//! there the join is said by `ON`, and every place that names the column says which one it is. A place that is left out
//! is then no wrong answer: two tables have the column. In `WHERE` the planner refuses any such name.

use std::{collections::HashSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExceptSelectItem, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, OrderByKind, Query,
    Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins, VisitMut, VisitorMut,
    WildcardAdditionalOptions,
};
use fineo_core::{Error, Result};

use super::{
    apart::{coalesce, numbered},
    asked::{constraint, constraint_mut},
    exact, is_quoted, matching, parts,
    star::{self, Relation},
};
use crate::{catalog::Catalog, error::unsupported};

/// One such column.
struct Merged {
    name: Ident,
    /// The columns that it is: the first of them that is not null.
    values: Vec<Expr>,
    /// The tables that have it.
    tables: Vec<String>,
}

impl Merged {
    fn is_named(&self, ident: &Ident) -> bool {
        let is_exact = is_quoted(ident) || is_quoted(&self.name);
        self.name.value == ident.value || (!is_exact && self.name.value.eq_ignore_ascii_case(&ident.value))
    }

    fn value(&self) -> Expr {
        match self.values.as_slice() {
            [only] => only.clone(),
            several => coalesce(several.to_vec()),
        }
    }
}

/// Says what the merged columns of `query` are.
///
/// # Errors
///
/// `unsupported_sql` where `RIGHT` or `FULL JOIN` merges columns of which it cannot be told whose they are.
pub(super) fn name(query: &mut Query, catalog: &Catalog, is_cte: &dyn Fn(&str) -> bool) -> Result<()> {
    let SetExpr::Select(select) = query.body.as_mut() else { return of_body(&mut query.body, catalog, is_cte) };
    let Some(merged) = of_select(select, catalog, is_cte)? else { return Ok(()) };
    let shown: Vec<String> = select.projection.iter().filter_map(shown).collect();
    if let Some(OrderByKind::Expressions(orders)) = query.order_by.as_mut().map(|order| &mut order.kind) {
        for order in orders {
            let is_shown = |ident: &Ident| matching(ident, shown.iter().map(String::as_str)).is_some();
            if !matches!(&order.expr, Expr::Identifier(ident) if is_shown(ident)) {
                let _ = VisitMut::visit(&mut order.expr, &mut Names::of(&merged));
            }
        }
    }
    Ok(())
}

fn of_body(body: &mut SetExpr, catalog: &Catalog, is_cte: &dyn Fn(&str) -> bool) -> Result<()> {
    match body {
        SetExpr::Select(select) => of_select(select, catalog, is_cte).map(|_| ()),
        SetExpr::SetOperation { left, right, .. } => {
            of_body(left, catalog, is_cte)?;
            of_body(right, catalog, is_cte)
        }
        _ => Ok(()),
    }
}

/// Says what the merged columns of `select` are, and which they are where its `ORDER BY` has to say it, too.
fn of_select(select: &mut Select, catalog: &Catalog, is_cte: &dyn Fn(&str) -> bool) -> Result<Option<Vec<Merged>>> {
    if !select.from.iter().any(|from| from.joins.iter().any(merges) || is_nested(from)) {
        return Ok(None);
    }
    let mut relations = Vec::new();
    let (mut merged, mut has_unsaid, mut is_plain) = (Vec::new(), false, true);
    for from in &mut select.from {
        let first = relations.len();
        star::collect(from, catalog, is_cte, &mut relations);
        has_unsaid |= says_other(from);
        is_plain &= !is_nested(from) && of_from(from, &relations[first..], &mut merged);
    }
    // What the planner shows for `*` has another order.
    let is_said_twice = merged.iter().any(|column: &Merged| column.tables.len() > 2);
    has_unsaid |= is_said_twice && is_plain && !select.projection.iter().any(is_star);
    is_plain &= select.from.iter().skip(1).all(|from| !from.joins.iter().any(merges));
    if !has_unsaid {
        // The planner knows them, but for WHERE.
        let _ = VisitMut::visit(&mut select.selection, &mut Names::of(&merged));
        return Ok(None);
    }
    if !is_plain || !write_stars(select, &relations, &merged) {
        let refused = "RIGHT or FULL JOIN with USING or NATURAL of these tables: ON l.x = r.x joins them, \
                       coalesce(l.x, r.x) is their column";
        return if select.from.iter().any(says_other) { Err(unsupported(refused)) } else { Ok(None) };
    }
    if let Some(from) = select.from.first_mut() {
        say_on(from, &relations, &merged);
    }
    for item in &mut select.projection {
        match item {
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => {
                if let Some(column) = merged.iter().find(|column| column.is_named(ident)) {
                    *item = SelectItem::ExprWithAlias { expr: column.value(), alias: ident.clone() };
                }
            }
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                let _ = VisitMut::visit(expr, &mut Names::of(&merged));
            }
            _ => {}
        }
    }
    number_again(&mut select.projection);
    let mut names = Names::of(&merged);
    let _ = VisitMut::visit(&mut select.selection, &mut names);
    let _ = VisitMut::visit(&mut select.having, &mut names);
    let _ = VisitMut::visit(&mut select.qualify, &mut names);
    let _ = VisitMut::visit(&mut select.distinct, &mut names);
    let _ = VisitMut::visit(&mut select.named_window, &mut names);
    let _ = VisitMut::visit(&mut select.group_by, &mut names);
    Ok(Some(merged))
}

/// Numbers what is called like something that has its name from the statement: `l.x` beside the merged `x`.
fn number_again(items: &mut [SelectItem]) {
    let given = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        _ => None,
    };
    let given: HashSet<String> = items.iter().filter_map(given).collect();
    let mut taken: HashSet<String> = items.iter().filter_map(shown).map(|name| name.to_lowercase()).collect();
    for item in items {
        if let SelectItem::UnnamedExpr(expr @ Expr::CompoundIdentifier(parts)) = &*item
            && let Some(column) = parts.last().filter(|column| given.contains(&column.value))
        {
            *item =
                SelectItem::ExprWithAlias { expr: expr.clone(), alias: exact(&numbered(&column.value, &mut taken)) };
        }
    }
}

/// The columns that the joins of `from` merge; whether all of them are known. `relations` are its tables.
fn of_from(from: &TableWithJoins, relations: &[Relation], merged: &mut Vec<Merged>) -> bool {
    let first = merged.len();
    let mut is_known = relations.len() == from.joins.len() + 1;
    for (index, join) in from.joins.iter().enumerate() {
        let names = match constraint(&join.join_operator) {
            Some(JoinConstraint::Using(names)) => names,
            Some(JoinConstraint::Natural) => return false,
            _ => continue,
        };
        let Some((keeps_left, keeps_right)) = keeps(&join.join_operator) else {
            merged.truncate(first);
            return false;
        };
        let (Some(left), Some(right)) = (relations.get(..=index), relations.get(index + 1)) else { return false };
        for name in names {
            let [ident] = parts(name)[..] else { return false };
            let Some(table) = right.name.clone() else { return false };
            let value = of_table(&table, ident);
            let known = merged.iter().skip(first).position(|column| column.is_named(ident));
            if known.is_none() {
                let Some(owner) = owner(left, ident) else {
                    is_known = false;
                    continue;
                };
                let (values, tables) = (vec![of_table(owner, ident)], vec![owner.to_owned()]);
                merged.push(Merged { name: ident.clone(), values, tables });
            }
            let place = known.map_or(merged.len() - 1, |known| first + known);
            let column = &mut merged[place];
            column.tables.push(table);
            match (keeps_left, keeps_right) {
                (true, true) => column.values.push(value),
                (false, true) => column.values = vec![value],
                (_, false) => {}
            }
        }
        // `*` shows what was merged last first.
        let place = |column: &Merged| {
            let is_it = |name: &ObjectName| parts(name).last().is_some_and(|ident| column.is_named(ident));
            names.iter().position(is_it).unwrap_or(names.len())
        };
        merged[first..].sort_by_key(place);
    }
    is_known
}

/// Of which sides a join keeps all rows, so that its column is the left one's, where it keeps neither; none for those that
/// show one side alone.
fn keeps(operator: &JoinOperator) -> Option<(bool, bool)> {
    match operator {
        JoinOperator::Join(_) | JoinOperator::Inner(_) => Some((false, false)),
        JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => Some((true, false)),
        JoinOperator::Right(_) | JoinOperator::RightOuter(_) => Some((false, true)),
        JoinOperator::FullOuter(_) => Some((true, true)),
        _ => None,
    }
}

/// The one of `relations` that has the column `ident`.
fn owner<'r>(relations: &'r [Relation], ident: &Ident) -> Option<&'r str> {
    if let [only] = relations {
        return only.name.as_deref();
    }
    let mut owner = None;
    for relation in relations {
        let visible = relation.visible.as_ref()?;
        if matching(ident, visible.iter().map(String::as_str)).is_some() {
            if owner.is_some() {
                return None;
            }
            owner = relation.name.as_deref();
        }
    }
    owner
}

fn of_table(table: &str, column: &Ident) -> Expr {
    Expr::CompoundIdentifier(vec![exact(table), column.clone()])
}

fn merges(join: &Join) -> bool {
    matches!(constraint(&join.join_operator), Some(JoinConstraint::Using(_) | JoinConstraint::Natural))
}

/// Whether joins of `from` are in brackets.
fn is_nested(from: &TableWithJoins) -> bool {
    let is_nested = |factor: &TableFactor| matches!(factor, TableFactor::NestedJoin { alias: None, .. });
    is_nested(&from.relation) || from.joins.iter().any(|join| is_nested(&join.relation))
}

/// Whether a join of `from` merges columns otherwise than the planner does.
fn says_other(from: &TableWithJoins) -> bool {
    let within = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => says_other(table_with_joins),
        _ => false,
    };
    let is_other = |join: &Join| {
        let keeps_right = matches!(
            join.join_operator,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
        );
        (keeps_right && merges(join)) || within(&join.relation)
    };
    within(&from.relation) || from.joins.iter().any(is_other)
}

/// Writes `*` as the merged columns and the others of each table; whether that can be.
fn write_stars(select: &mut Select, relations: &[Relation], merged: &[Merged]) -> bool {
    let mut stars = Vec::new();
    let columns = merged.iter().map(|column| (column.value(), column.name.clone()));
    stars.extend(columns.map(|(expr, alias)| SelectItem::ExprWithAlias { expr, alias }));
    for relation in relations {
        let Some(name) = &relation.name else { return false };
        let mut left_out = Vec::new();
        for column in merged.iter().filter(|column| column.tables.contains(name)) {
            match &relation.visible {
                Some(visible) => match matching(&column.name, visible.iter().map(String::as_str)) {
                    Some(spelled) => left_out.push(exact(spelled)),
                    None => return !select.projection.iter().any(is_star),
                },
                None => left_out.push(column.name.clone()),
            }
        }
        let mut left_out = left_out.into_iter();
        let except = left_out
            .next()
            .map(|first_element| ExceptSelectItem { first_element, additional_elements: left_out.collect() });
        let options = WildcardAdditionalOptions { opt_except: except, ..WildcardAdditionalOptions::default() };
        let table = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![exact(name)]));
        stars.push(SelectItem::QualifiedWildcard(table, options));
    }
    let is_plain = |item: &SelectItem| match item {
        SelectItem::Wildcard(options) => {
            options.opt_except.is_none()
                && options.opt_exclude.is_none()
                && options.opt_ilike.is_none()
                && options.opt_rename.is_none()
                && options.opt_replace.is_none()
        }
        _ => true,
    };
    if !select.projection.iter().all(is_plain) {
        return false;
    }
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(_) => select.projection.extend(stars.iter().cloned()),
            other => select.projection.push(other),
        }
    }
    true
}

fn is_star(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_))
}

/// Joins by `ON` what `from` joins by `USING`.
fn say_on(from: &mut TableWithJoins, relations: &[Relation], merged: &[Merged]) {
    // What is merged so far, join by join.
    let mut before: Vec<Merged> = Vec::new();
    for (join, relation) in from.joins.iter_mut().zip(relations.iter().skip(1)) {
        let keeps = keeps(&join.join_operator);
        let (Some(joined_by), Some(table)) = (constraint_mut(&mut join.join_operator), &relation.name) else {
            continue;
        };
        let JoinConstraint::Using(using) = joined_by else {
            if let JoinConstraint::On(condition) = joined_by {
                let _ = VisitMut::visit(condition, &mut Names::of(&before));
            }
            continue;
        };
        let mut on: Option<Expr> = None;
        for ident in using.iter().filter_map(|name| parts(name).last().map(|last| (*last).clone())) {
            let known = before.iter().position(|column| column.is_named(&ident));
            let place = known.or_else(|| {
                let column = merged.iter().find(|column| column.is_named(&ident))?;
                let owner = column.tables.first()?;
                let (values, tables) = (vec![of_table(owner, &ident)], vec![owner.clone()]);
                before.push(Merged { name: ident.clone(), values, tables });
                Some(before.len() - 1)
            });
            let Some(column) = place.and_then(|place| before.get_mut(place)) else { continue };
            let right = of_table(table, &ident);
            let equal = binary(column.value(), BinaryOperator::Eq, right.clone());
            on = Some(match on {
                Some(others) => binary(others, BinaryOperator::And, equal),
                None => equal,
            });
            match keeps {
                Some((true, true)) => column.values.push(right),
                Some((false, true)) => column.values = vec![right],
                Some((_, false)) | None => {}
            }
        }
        *joined_by = on.map_or(JoinConstraint::None, JoinConstraint::On);
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// The name under which a column is shown.
fn shown(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) | SelectItem::ExprWithAlias { alias: ident, .. } => {
            Some(ident.value.clone())
        }
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(|last| last.value.clone()),
        _ => None,
    }
}

/// Says of names of merged columns what they are, but for those within subqueries.
struct Names<'a> {
    merged: &'a [Merged],
    depth: usize,
}

impl<'a> Names<'a> {
    fn of(merged: &'a [Merged]) -> Self {
        Self { merged, depth: 0 }
    }
}

impl VisitorMut for Names<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Identifier(ident) = &*expr else { return ControlFlow::Continue(()) };
        let mut named = self.merged.iter().filter(|column| column.is_named(ident));
        if let (0, Some(column), None) = (self.depth, named.next(), named.next()) {
            *expr = column.value();
        }
        ControlFlow::Continue(())
    }
}
