//! What a statement names: tables, columns, and the names that it gives itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem, Statement, TableAlias,
    TableFactor, TableWithJoins, Visit, Visitor,
};

use super::{is_quoted, joined, parts};

/// All names of one statement.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The tables read, as written, each once.
    pub(crate) tables: Vec<Vec<Ident>>,
    /// Names that may be columns, with whether they were quoted.
    pub(crate) columns: BTreeSet<(String, bool)>,
    /// Names that the statement gives: of common table expressions, results, and their columns.
    pub(crate) given: BTreeSet<String>,
    /// Names of result columns that some part of the statement may refer to, with whether they are exact.
    pub(crate) labels: BTreeMap<String, bool>,
    /// What relations are called in the statement: the alias, else the last part of the name.
    pub(crate) relations: BTreeSet<String>,
    /// Whether some part asks for all columns.
    pub(crate) has_star: bool,
    /// Whether there are queries within it.
    pub(crate) is_nested: bool,
    /// How many queries the visitor is in.
    depth: usize,
}

impl Asked {
    /// The names of `statement`.
    pub(crate) fn of(statement: &Statement) -> Self {
        let mut asked = Self::default();
        let _ = statement.visit(&mut asked);
        if let Statement::ExplainTable { table_name, .. } = statement {
            asked.table(table_name);
            asked.has_star = true;
        }
        asked
    }

    fn table(&mut self, name: &ObjectName) {
        let parts: Vec<Ident> = parts(name).into_iter().cloned().collect();
        let is_known = |known: &Vec<Ident>| {
            known.len() == parts.len()
                && known
                    .iter()
                    .zip(&parts)
                    .all(|(left, right)| left.value == right.value && left.quote_style == right.quote_style)
        };
        if !self.tables.iter().any(is_known) {
            self.tables.push(parts);
        }
    }

    fn alias(&mut self, alias: &TableAlias) {
        self.relations.insert(alias.name.value.clone());
        self.given.insert(alias.name.value.clone());
        for column in &alias.columns {
            self.label(&column.name);
        }
    }

    fn label(&mut self, ident: &Ident) {
        *self.labels.entry(ident.value.clone()).or_default() |= is_quoted(ident);
    }

    fn column(&mut self, ident: &Ident) {
        self.columns.insert((ident.value.clone(), is_quoted(ident)));
    }

    fn compound(&mut self, parts: &[Ident]) {
        for start in 0..parts.len() {
            let rest = &parts[start..];
            self.columns.insert((joined(rest), rest.iter().any(is_quoted)));
        }
    }

    fn constraint(&mut self, constraint: &JoinConstraint) {
        match constraint {
            JoinConstraint::Using(names) => {
                for name in names {
                    for part in parts(name) {
                        self.column(part);
                    }
                }
            }
            JoinConstraint::Natural => self.has_star = true,
            JoinConstraint::On(_) | JoinConstraint::None => {}
        }
    }

    fn joins(&mut self, from: &TableWithJoins) {
        if let TableFactor::NestedJoin { table_with_joins, .. } = &from.relation {
            self.joins(table_with_joins);
        }
        for join in &from.joins {
            if let Some(constraint) = constraint(&join.join_operator) {
                self.constraint(constraint);
            }
            if let TableFactor::NestedJoin { table_with_joins, .. } = &join.relation {
                self.joins(table_with_joins);
            }
        }
    }
}

/// How two relations are matched, where the kind of join says so.
pub(super) fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => Some(constraint),
        _ => None,
    }
}

/// How two relations are matched, to be changed, where the kind of join says so.
pub(super) fn constraint_mut(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => Some(constraint),
        _ => None,
    }
}

impl Visitor for Asked {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.alias(&cte.alias);
        }
        self.depth += 1;
        self.is_nested |= self.depth > 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => self.has_star = true,
                SelectItem::ExprWithAlias { alias, .. } => self.label(alias),
                SelectItem::ExprWithAliases { aliases, .. } => aliases.iter().for_each(|alias| self.label(alias)),
                SelectItem::UnnamedExpr(Expr::Identifier(ident)) if self.depth > 1 => self.label(ident),
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) if self.depth > 1 => {
                    parts.last().into_iter().for_each(|last| self.label(last));
                }
                SelectItem::UnnamedExpr(_) => {}
            }
        }
        for from in &select.from {
            self.joins(from);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                self.table(name);
                match (alias, parts(name).last()) {
                    (Some(alias), _) => self.alias(alias),
                    (None, Some(last)) => {
                        self.relations.insert(last.value.clone());
                    }
                    (None, None) => {}
                }
            }
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. } => self.alias(alias),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.column(ident),
            Expr::CompoundIdentifier(parts) => self.compound(parts),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
