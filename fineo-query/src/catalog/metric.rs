//! The columns that a metric shows to one statement.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use datafusion::sql::sqlparser::ast::Ident;
use fineo_core::Result;
use fineo_schema::{Found, LogicalColumn, Metric, SeenNames};

use crate::{
    column::{ALIAS, Column, Content, EVENT_ID, INGESTED_AT, SENT_TIMESTAMP, TIMESTAMP},
    error::refused,
    sql::{asked::Asked, is_quoted},
};

/// The columns of one metric.
pub(super) struct MetricColumns {
    /// Those that `*` shows; without a star in the statement, none.
    pub(super) visible: Vec<Column>,
    /// Those that are there because the statement asks for them.
    pub(super) hidden: Vec<Column>,
    /// The asked names that are exactly a column's name or alias.
    pub(super) exact: BTreeSet<String>,
}

/// What `metric` shows to a statement that asks for `asked`.
pub(super) fn columns(metric: &Metric, seen: &SeenNames, asked: &Asked) -> Result<MetricColumns> {
    let mut columns = MetricColumns { visible: Vec::new(), hidden: Vec::new(), exact: BTreeSet::new() };
    if asked.has_star {
        columns.visible = visible(metric, seen);
    }
    let mut known: HashSet<Arc<str>> = columns.visible.iter().map(|column| Arc::clone(&column.name)).collect();
    for (name, is_quoted) in &asked.columns {
        if is_exact(metric, seen, name) {
            columns.exact.insert(name.clone());
        }
        if known.contains(name.as_str()) {
            continue;
        }
        if let Some(column) = asked_column(metric, seen, asked, name, *is_quoted)? {
            known.insert(Arc::clone(&column.name));
            columns.hidden.push(column);
        }
    }
    Ok(columns)
}

fn is_exact(metric: &Metric, seen: &SeenNames, name: &str) -> bool {
    every(metric, name, true).is_some() || metric.field_named(name).is_some() || seen.get(name).is_some()
}

/// The columns of `*`.
pub(crate) fn visible(metric: &Metric, seen: &SeenNames) -> Vec<Column> {
    let timestamp = Column { name: TIMESTAMP.into(), content: Content::Timestamp };
    let fields = metric.columns(seen).into_iter().filter(|column| &*column.name != TIMESTAMP);
    std::iter::once(timestamp).chain(fields.map(of_logical)).collect()
}

fn of_logical(column: LogicalColumn) -> Column {
    Column { name: Arc::clone(&column.name), content: Content::Cells(Arc::new(column)) }
}

/// The column that a name means, where it means one of this metric's.
fn asked_column(
    metric: &Metric,
    seen: &SeenNames,
    asked: &Asked,
    name: &str,
    is_quoted: bool,
) -> Result<Option<Column>> {
    if let Some(content) = system(metric, seen, name, is_quoted) {
        return Ok(Some(Column { name: name.into(), content }));
    }
    match metric.column(name, is_quoted, seen) {
        Found::One(column) => {
            let content = Content::Cells(Arc::new(column));
            Ok(Some(Column { name: name.into(), content }))
        }
        // Another table of the statement may have exactly this name, or the statement gives it.
        Found::Ambiguous(_) if asked.tables.len() > 1 || asked.given.contains(name) => Ok(None),
        Found::Ambiguous(names) => Err(refused("ambiguous_column", "more than one column has a name like this")
            .with("column", name)
            .with("hint", format!("quote the one you mean: {}", names.join(", ")))),
        Found::None { .. }
            if seen.is_full() && metric.may_bear(name) && asked.tables.len() == 1 && !asked.given.contains(name) =>
        {
            let content = Content::Cells(Arc::new(metric.text_column(name)));
            Ok(Some(Column { name: name.into(), content }))
        }
        Found::None { .. } => Ok(None),
    }
}

/// The name as which a metric stores what `ident` means.
pub(super) fn meaning(metric: &Metric, seen: &SeenNames, ident: &Ident) -> Option<Arc<str>> {
    if system(metric, seen, &ident.value, is_quoted(ident)).is_some() {
        return Some(ident.value.to_lowercase().into());
    }
    match metric.column(&ident.value, is_quoted(ident), seen) {
        Found::One(column) => column.sources.first().map(|source| Arc::clone(&source.name)),
        Found::Ambiguous(_) | Found::None { .. } => None,
    }
}

/// The column of every metric that has this name. A field that was sent under exactly it comes before one that has it but for
/// case.
fn system(metric: &Metric, seen: &SeenNames, name: &str, is_quoted: bool) -> Option<Content> {
    let is_there = || metric.field_named(name).is_some() || seen.get(name).is_some();
    let is_field = || is_there() && matches!(metric.column(name, true, seen), Found::One(_));
    every(metric, name, true).or_else(|| every(metric, name, is_quoted).filter(|_| !is_field()))
}

fn every(metric: &Metric, name: &str, is_quoted: bool) -> Option<Content> {
    let is = |known: &str| name == known || (!is_quoted && name.eq_ignore_ascii_case(known));
    if is(TIMESTAMP) {
        return Some(Content::Timestamp);
    }
    if is(ALIAS) {
        return Some(Content::Alias);
    }
    if is(INGESTED_AT) {
        return Some(Content::IngestedAt);
    }
    // An id is a hash of all that was sent, by which whoever may not read it could tell whether a guess is right.
    if metric.is_closed() {
        return None;
    }
    if is(EVENT_ID) {
        return Some(Content::EventId);
    }
    // Among an event's cells `timestamp` is the key that was sent and did not give the time.
    is(SENT_TIMESTAMP).then(|| Column::text(TIMESTAMP).content)
}
