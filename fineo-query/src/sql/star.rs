//! `*` shows a table's visible columns, not the names that were exposed because the statement asks for them.

use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, ExcludeSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, Select, SelectItem,
    SelectItemQualifiedWildcardKind, TableFactor, TableWithJoins, WildcardAdditionalOptions,
};

use super::{asked::constraint, exact, matching, parts};
use crate::catalog::Catalog;

/// One relation of a select's FROM.
#[derive(Debug)]
pub(super) struct Relation {
    /// What it is called, where it has a name.
    pub(super) name: Option<String>,
    /// The columns that `*` shows, where they are a table's.
    pub(super) visible: Option<Vec<String>>,
    /// Whether it exposes more than that.
    has_more: bool,
    /// Columns that an earlier relation shows in its stead.
    merged: Vec<String>,
}

/// Writes out the stars of `select` where a table exposes more than its visible columns, or there are several: the columns
/// that come again are told apart by their names.
pub(super) fn expand(select: &mut Select, catalog: &Catalog, is_cte: &dyn Fn(&str) -> bool) {
    let mut relations = Vec::new();
    for from in &mut select.from {
        collect(from, catalog, is_cte, &mut relations);
    }
    let is_star = |item: &&SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    let comes_again = select.projection.iter().filter(is_star).count() > 1;
    if !comes_again && !relations.iter().any(|relation| relation.has_more) {
        return;
    }
    let items = std::mem::take(&mut select.projection);
    for item in items {
        match item {
            SelectItem::Wildcard(options) => {
                for relation in &relations {
                    write_out(relation, true, &options, &mut select.projection);
                }
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                let last = parts(&name).last().map(|last| (*last).clone());
                let names = relations.iter().filter_map(|relation| relation.name.as_deref());
                let wanted = last.and_then(|last| matching(&last, names.clone()).map(str::to_owned));
                match relations.iter().find(|relation| relation.name == wanted && wanted.is_some()) {
                    Some(relation) => write_out(relation, false, &options, &mut select.projection),
                    None => select.projection.push(SelectItem::QualifiedWildcard(
                        SelectItemQualifiedWildcardKind::ObjectName(name),
                        options,
                    )),
                }
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _)
            | SelectItem::UnnamedExpr(_)
            | SelectItem::ExprWithAlias { .. }
            | SelectItem::ExprWithAliases { .. } => select.projection.push(item),
        }
    }
}

/// Adds the relations of `from` to `relations`, and names the columns that its natural joins match.
pub(super) fn collect(
    from: &mut TableWithJoins,
    catalog: &Catalog,
    is_cte: &dyn Fn(&str) -> bool,
    relations: &mut Vec<Relation>,
) {
    let first = relations.len();
    factor(&mut from.relation, catalog, is_cte, relations);
    for join in &mut from.joins {
        let right_from = relations.len();
        factor(&mut join.relation, catalog, is_cte, relations);
        let (left, right) = relations.split_at_mut(right_from);
        name_natural(&mut join.join_operator, &left[first..], right);
        if let Some(JoinConstraint::Using(names)) = constraint(&join.join_operator) {
            let using: Vec<String> =
                names.iter().filter_map(|name| parts(name).last().map(|last| last.value.clone())).collect();
            for relation in right {
                relation.merged.extend(using.iter().cloned());
            }
        }
    }
}

/// A natural join matches the columns that both sides show.
fn name_natural(operator: &mut JoinOperator, left: &[Relation], right: &[Relation]) {
    let (JoinOperator::Join(constraint)
    | JoinOperator::Inner(constraint)
    | JoinOperator::Left(constraint)
    | JoinOperator::LeftOuter(constraint)
    | JoinOperator::Right(constraint)
    | JoinOperator::RightOuter(constraint)
    | JoinOperator::FullOuter(constraint)) = operator
    else {
        return;
    };
    let columns = |relations: &[Relation]| -> Option<Vec<String>> {
        let known: Option<Vec<Vec<String>>> = relations.iter().map(|relation| relation.visible.clone()).collect();
        Some(known?.into_iter().flatten().collect())
    };
    if !matches!(constraint, JoinConstraint::Natural) {
        return;
    }
    if let (Some(left), Some(right)) = (columns(left), columns(right)) {
        let common = left.iter().filter(|name| right.contains(name));
        *constraint = JoinConstraint::Using(common.map(|name| ObjectName::from(vec![exact(name)])).collect());
    }
}

fn factor(factor_: &mut TableFactor, catalog: &Catalog, is_cte: &dyn Fn(&str) -> bool, relations: &mut Vec<Relation>) {
    match factor_ {
        TableFactor::Table { name, alias, args: None, .. } => {
            let spelled: Vec<Ident> = parts(name).into_iter().cloned().collect();
            let called = alias.as_ref().map(|alias| &alias.name).or(spelled.last());
            let called = match catalog.dotted(&spelled) {
                Some(dotted) if alias.is_none() => Some(dotted.to_owned()),
                Some(_) | None => called.map(|called| called.value.clone()),
            };
            let is_cte = matches!(spelled.as_slice(), [only] if is_cte(&only.value));
            let renames = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
            let table = catalog.columns(&spelled).filter(|_| !is_cte && !renames);
            relations.push(Relation {
                name: called,
                has_more: table.as_ref().is_some_and(|table| table.has_more),
                visible: table.map(|table| table.visible),
                merged: Vec::new(),
            });
        }
        TableFactor::NestedJoin { table_with_joins, alias: None } => {
            collect(table_with_joins, catalog, is_cte, relations);
        }
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::NestedJoin { alias, .. } => {
            let name = alias.as_ref().map(|alias| alias.name.value.clone());
            relations.push(Relation { name, visible: None, has_more: false, merged: Vec::new() });
        }
        _ => relations.push(Relation { name: None, visible: None, has_more: false, merged: Vec::new() }),
    }
}

fn write_out(
    relation: &Relation,
    is_bare_star: bool,
    options: &WildcardAdditionalOptions,
    projection: &mut Vec<SelectItem>,
) {
    let Some(name) = &relation.name else {
        projection.push(SelectItem::Wildcard(options.clone()));
        return;
    };
    let Some(visible) = &relation.visible else {
        let of_relation = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![exact(name)]));
        projection.push(SelectItem::QualifiedWildcard(of_relation, options.clone()));
        return;
    };
    let left_out = left_out(options);
    for column in visible {
        let is_merged = is_bare_star && relation.merged.contains(column);
        let is_left_out = left_out.iter().any(|ident| matching(ident, std::iter::once(column.as_str())).is_some());
        if !is_merged && !is_left_out {
            projection.push(SelectItem::UnnamedExpr(Expr::CompoundIdentifier(vec![exact(name), exact(column)])));
        }
    }
}

/// The columns that `* EXCEPT (…)` and `* EXCLUDE (…)` leave out.
fn left_out(options: &WildcardAdditionalOptions) -> Vec<Ident> {
    let mut names = Vec::new();
    if let Some(ExceptSelectItem { first_element, additional_elements }) = &options.opt_except {
        names.push(first_element.clone());
        names.extend(additional_elements.iter().cloned());
    }
    let mut exclude = |name: &ObjectName| names.extend(parts(name).last().map(|last| (*last).clone()));
    match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => exclude(name),
        Some(ExcludeSelectItem::Multiple(several)) => several.iter().for_each(exclude),
        None => {}
    }
    names
}
