//! The logical column: what a name in SQL means, handed to every scan.

use std::{collections::BTreeMap, sync::Arc};

use fineo_core::Cover;

use crate::{Conversion, Field, FieldId, FieldType, Found, Metric, SeenNames, name};

/// A column as a query asks for it: which stored names answer, in which order, as which type.
#[derive(Debug, Clone, PartialEq)]
pub struct LogicalColumn {
    /// The name of the result column: the one that was asked for.
    pub name: Arc<str>,
    /// The declared field; none for an undeclared one.
    pub field: Option<FieldId>,
    /// What values are read as; none for undeclared text.
    pub field_type: Option<FieldType>,
    /// The stored names, best first: the first with a value answers.
    pub sources: Vec<Source>,
}

/// A stored name that may answer a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The name as sent.
    pub name: Arc<str>,
    /// Values at or before these staged positions were deleted: they are as if never sent.
    pub unreadable_through: Option<Cover>,
    /// How values are converted; the first whose scope holds a row is applied to it, no other.
    pub conversions: Vec<Conversion>,
}

impl Metric {
    /// What a SQL identifier means on this metric: an exact match wins, else a unique match that ignores
    /// case; a quoted one is exact. `seen` are the names that events bore so far.
    ///
    /// Hidden and ruled-out fields are not found by any name.
    pub fn column(&self, identifier: &str, quoted: bool, seen: &SeenNames) -> Found<LogicalColumn> {
        if let Some(column) = self.column_named(identifier, identifier, seen) {
            return Found::One(column);
        }
        let lower = identifier.to_lowercase();
        // The exact name of a hidden field means that field, not one that differs in case.
        let is_exact = quoted || self.field_named(identifier).is_some();
        let candidates = if is_exact { Vec::new() } else { self.names_matching(&lower, seen) };
        // Several names of one field mean one column.
        let mut columns: BTreeMap<(Option<FieldId>, Option<&str>), &str> = BTreeMap::new();
        for candidate in &candidates {
            match self.field_named(candidate) {
                Some(field) => columns.entry((Some(field.id), None)).or_insert(candidate),
                None => columns.entry((None, Some(candidate))).or_insert(candidate),
            };
        }
        let mut distinct = columns.values();
        match (distinct.next(), distinct.next()) {
            (Some(only), None) => match self.column_named(only, identifier, seen) {
                Some(column) => Found::One(column),
                None => Found::None { near: Vec::new() },
            },
            (Some(_), Some(_)) => Found::Ambiguous(candidates.iter().map(|name| name.to_string()).collect()),
            (None, _) => {
                let declared = self.fields().iter().filter(|field| !field.is_hidden()).flat_map(|field| &field.names);
                let undeclared = self.undeclared(seen);
                Found::None { near: name::near(identifier, declared.chain(undeclared).map(|name| &**name)) }
            }
        }
    }

    /// The columns of `*` behind the timestamp: declared visible fields in order of declaration, then
    /// undeclared ones in order of first sight.
    pub fn columns(&self, seen: &SeenNames) -> Vec<LogicalColumn> {
        let declared = self.fields().iter().filter(|field| !field.is_hidden());
        let declared = declared.map(|field| self.declared_column(field, field.name()));
        let undeclared = self.undeclared(seen).filter(|name| !name::is_reserved(name) && &***name != "timestamp");
        declared.chain(undeclared.map(|name| self.undeclared_column(name, name))).collect()
    }

    /// The stored name as a column of text, whether or not anything was seen under it.
    pub fn text_column(&self, stored_name: &str) -> LogicalColumn {
        let name: Arc<str> = stored_name.into();
        self.undeclared_column(&name, &name)
    }

    fn column_named(&self, exact: &str, asked: &str, seen: &SeenNames) -> Option<LogicalColumn> {
        if let Some(field) = self.field_named(exact) {
            return (!field.is_hidden()).then(|| self.declared_column(field, &asked.into()));
        }
        let stored = seen.get(exact).filter(|_| self.is_readable(exact, seen))?;
        Some(self.undeclared_column(stored, &asked.into()))
    }

    fn names_matching(&self, lower: &str, seen: &SeenNames) -> Vec<Arc<str>> {
        let declared = self.fields().iter().filter(|field| !field.is_hidden()).flat_map(|field| &field.names);
        let mut names: Vec<Arc<str>> = declared.filter(|name| name.to_lowercase() == lower).cloned().collect();
        names.extend(seen.matching(lower).filter(|name| self.is_undeclared(name, seen)).cloned());
        names
    }

    /// The undeclared names that can be read, in order of first sight.
    pub fn undeclared<'a>(&'a self, seen: &'a SeenNames) -> impl Iterator<Item = &'a Arc<str>> {
        seen.names().filter(|name| self.is_undeclared(name, seen))
    }

    /// Whether rows may bear the undeclared `name`, where it is not known which names they bear.
    pub fn may_bear(&self, name: &str) -> bool {
        self.slot(name).is_none() && !self.is_closed() && !self.is_field_ruled_out(name)
    }

    fn is_undeclared(&self, name: &str, seen: &SeenNames) -> bool {
        self.slot(name).is_none() && self.is_readable(name, seen)
    }

    /// Whether an undeclared name may be read, and was neither ruled out nor deleted since it was last seen.
    fn is_readable(&self, name: &str, seen: &SeenNames) -> bool {
        if self.is_closed() || self.is_field_ruled_out(name) {
            return false;
        }
        match self.unreadable_through(name) {
            Some(cover) => seen.is_seen_beyond(name, cover),
            None => true,
        }
    }

    fn declared_column(&self, field: &Field, asked: &Arc<str>) -> LogicalColumn {
        let source = |name: &Arc<str>| Source {
            name: Arc::clone(name),
            unreadable_through: self.unreadable_through(name).cloned(),
            conversions: conversions_of(field, name),
        };
        LogicalColumn {
            name: Arc::clone(asked),
            field: Some(field.id),
            field_type: Some(field.field_type),
            sources: field.names.iter().map(source).collect(),
        }
    }

    fn undeclared_column(&self, stored: &Arc<str>, asked: &Arc<str>) -> LogicalColumn {
        let unreadable_through = self.unreadable_through(stored).cloned();
        let source = Source { name: Arc::clone(stored), unreadable_through, conversions: Vec::new() };
        LogicalColumn { name: Arc::clone(asked), field: None, field_type: None, sources: vec![source] }
    }
}

fn conversions_of(field: &Field, name: &Arc<str>) -> Vec<Conversion> {
    let in_scope = field.conversions.iter().filter(|scoped| scoped.name.as_ref().is_none_or(|scope| scope == name));
    in_scope.map(|scoped| scoped.conversion.clone()).collect()
}
