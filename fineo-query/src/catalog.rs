//! The tables that one statement may see: those it names, of its one tenant, and no others.
//!
//! There is no catalog behind this one. What another tenant has is not hidden here, it is absent.

mod metric;

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{catalog::TableProvider, sql::sqlparser::ast::Ident};
use fineo_core::{NearlineStore, Result};
use fineo_schema::{Discovery, Found, Metric, SeenNames, TenantSchema};

use crate::{
    column::Column,
    error::refused,
    pins::Pins,
    reader::{Granted, Reader},
    sql::{asked::Asked, is_quoted, joined, matching},
    table::{RowTable, Rows},
    view::{self, View},
};

/// The name of the catalog that three-part names begin with.
const CATALOG: &str = "fineo";
/// The schema of metrics and of the views on them.
pub(crate) const PUBLIC: &str = "public";
/// The schema of error rows.
pub(crate) const ERRORS: &str = "errors";
/// From so many names the number of rows is told.
const NAMES_COUNTED: usize = 256;
/// The schema that lists tables and columns.
pub(crate) const INFORMATION_SCHEMA: &str = "information_schema";

pub(crate) use metric::visible as visible_columns;

/// Where a catalog finds what it shows.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) nearline: Arc<dyn NearlineStore>,
    pub(crate) discovery: Arc<Discovery>,
    /// As far as the reader may see it.
    pub(crate) schema: Arc<TenantSchema>,
    pub(crate) reader: Reader,
    /// What he was granted, where that is not everything.
    pub(crate) granted: Option<Granted>,
    /// The states of tables that the statement reads, where there are tables.
    pub(crate) pins: Option<Arc<Pins>>,
}

impl Sources {
    /// The names that the rows of `metric` bore so far, as far as the reader may know them.
    pub(crate) fn seen(&self, metric: &Metric) -> Arc<SeenNames> {
        let seen = self.discovery.seen(self.schema.tenant(), metric.row_metrics());
        if !metric.is_closed() {
            return seen;
        }
        let granted = metric.fields().iter().flat_map(|field| &field.names);
        Arc::new(seen.only(granted.map(|name| &**name)))
    }

    /// The rows of `metric`.
    pub(crate) fn rows(&self, metric: &Metric) -> Rows {
        Rows {
            store: Arc::clone(&self.nearline),
            tenant: self.schema.tenant().clone(),
            title: Arc::clone(metric.name()),
            metrics: metric.row_metrics().to_vec(),
            pins: self.pins.clone(),
        }
    }

    /// The metrics that are tables, in order of creation.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = &Arc<Metric>> {
        self.schema.metrics().filter(|metric| !metric.is_ruled_out())
    }
}

/// The tables of one statement.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    /// Its name as the statement writes it, part by part.
    parts: Vec<String>,
    /// Its name in one part, where the statement wrote a dotted one.
    dotted: Option<String>,
    provider: Arc<dyn TableProvider>,
    /// The same, where it is nothing but rows of the nearline store.
    rows: Option<Arc<RowTable>>,
    visible: Vec<String>,
    exposed: BTreeSet<String>,
    /// Those of the exposed names that are exactly a column's name or alias.
    exact: BTreeSet<String>,
    /// The metric behind it.
    metric: Option<(Arc<Metric>, Arc<SeenNames>)>,
}

/// The columns of a table.
pub(crate) struct Columns {
    /// Those that `*` shows.
    pub(crate) visible: Vec<String>,
    /// Whether the table exposes others.
    pub(crate) has_more: bool,
}

/// What a table's name means.
enum Meaning {
    Metric(Arc<Metric>),
    View(View),
}

impl Catalog {
    /// The tables that `asked` names.
    ///
    /// # Errors
    ///
    /// `unknown_table`, `ambiguous_table`, `ambiguous_column`, `not_allowed`.
    pub(crate) fn of(sources: &Sources, asked: &Asked) -> Result<Self> {
        let mut catalog = Self::default();
        for parts in &asked.tables {
            if let Some(table) = table(sources, asked, parts)? {
                catalog.tables.push(table);
            }
        }
        Ok(catalog)
    }

    /// The same, for a plan that is to be kept: scans of its tables stay open.
    ///
    /// # Errors
    ///
    /// As [`Catalog::of`].
    pub(crate) fn opened(sources: &Sources, asked: &Asked) -> Result<Self> {
        let mut catalog = Self::of(sources, asked)?;
        for (number, table) in catalog.tables.iter_mut().enumerate() {
            if let Some(rows) = table.rows.take() {
                let rows = Arc::new(rows.opened(number));
                table.provider = Arc::clone(&rows) as Arc<dyn TableProvider>;
                table.rows = Some(rows);
            }
        }
        Ok(catalog)
    }

    /// The same without what was seen in the tables, to be kept for long.
    pub(crate) fn without_seen(mut self) -> Self {
        self.tables.iter_mut().for_each(|table| table.metric = None);
        self
    }

    /// Whether statements that ask for the same mean the same by these tables.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let is_like = |(one, other): (&Table, &Table)| {
            let is_one = match (&one.rows, &other.rows) {
                (Some(one), Some(other)) => one.is_like(other),
                (Some(_) | None, _) => false,
            };
            is_one
                && (&one.parts, &one.dotted, &one.visible) == (&other.parts, &other.dotted, &other.visible)
                && (&one.exposed, &one.exact) == (&other.exposed, &other.exact)
        };
        self.tables.len() == other.tables.len() && self.tables.iter().zip(&other.tables).all(is_like)
    }

    /// The table of this number.
    pub(crate) fn numbered(&self, number: usize) -> Option<&dyn TableProvider> {
        self.tables.get(number).map(|table| &*table.provider)
    }

    /// About how many rows the tables have at most, as far as the names that came first tell.
    pub(crate) fn rows_expected(&self) -> u64 {
        let seen = self.tables.iter().filter_map(|table| table.metric.as_ref());
        seen.map(|(_, seen)| seen.stats().iter().take(NAMES_COUNTED).map(|stats| stats.count).max().unwrap_or(0)).sum()
    }

    /// The table that the planner asks for.
    pub(crate) fn provider(&self, parts: &[&str]) -> Option<Arc<dyn TableProvider>> {
        let table = self.tables.iter().find(|table| match (&table.dotted, parts) {
            (Some(dotted), [only]) => dotted == only,
            (Some(_), _) => false,
            (None, _) => table.parts == parts,
        });
        table.map(|table| Arc::clone(&table.provider))
    }

    fn table(&self, spelled: &[Ident]) -> Option<&Table> {
        let is_it = |table: &&Table| {
            let is_spelled = table.parts.len() == spelled.len()
                && table.parts.iter().zip(spelled).all(|(known, part)| *known == part.value);
            let is_dotted = matches!((&table.dotted, spelled), (Some(dotted), [only]) if *dotted == only.value);
            is_spelled || is_dotted
        };
        self.tables.iter().find(is_it)
    }

    /// Whether a table is written like this.
    pub(crate) fn has(&self, spelled: &[Ident]) -> bool {
        self.table(spelled).is_some()
    }

    /// The one-part name of a metric whose own name has dots.
    pub(crate) fn dotted(&self, spelled: &[Ident]) -> Option<&str> {
        self.table(spelled).and_then(|table| table.dotted.as_deref())
    }

    /// All one-part names of metrics whose own names have dots.
    pub(crate) fn dotted_names(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().filter_map(|table| table.dotted.as_deref())
    }

    /// The columns of views: their names are ours, so any case will do.
    pub(crate) fn fixed_names(&self) -> impl Iterator<Item = &str> {
        let views = self.tables.iter().filter(|table| table.metric.is_none());
        views.flat_map(|table| table.visible.iter().map(String::as_str))
    }

    /// Whether some table has a column that is called exactly this.
    pub(crate) fn exposes(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table.exposed.contains(name))
    }

    /// Whether some table has a column whose name or alias is exactly this.
    pub(crate) fn is_exact(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table.exact.contains(name))
    }

    /// Whether two names mean one column wherever they mean one at all.
    pub(crate) fn is_one_column(&self, one: &Ident, other: &Ident) -> bool {
        let mut is_known = false;
        for table in &self.tables {
            let Some((metric, seen)) = &table.metric else {
                let is_own = |known: &String| [one, other].iter().any(|name| known.eq_ignore_ascii_case(&name.value));
                if table.visible.iter().any(is_own) {
                    return false;
                }
                continue;
            };
            match (metric::meaning(metric, seen, one), metric::meaning(metric, seen, other)) {
                (None, None) => {}
                (Some(left), Some(right)) if left == right => is_known = true,
                (_, _) => return false,
            }
        }
        is_known
    }

    /// The columns of the table that is written like this.
    pub(crate) fn columns(&self, spelled: &[Ident]) -> Option<Columns> {
        self.table(spelled).map(|table| Columns {
            visible: table.visible.clone(),
            has_more: table.exposed.len() > table.visible.len(),
        })
    }

    /// Columns whose names are like `name`.
    pub(crate) fn near(&self, name: &str) -> Vec<String> {
        let mut near: Vec<String> = Vec::new();
        for table in &self.tables {
            match &table.metric {
                Some((metric, seen)) => match metric.column(name, false, seen) {
                    Found::None { near: similar } => near.extend(similar),
                    // As it is spelled, not as it was asked for.
                    Found::One(column) => {
                        let is_meant = |known: &&str| known.to_lowercase() == name.to_lowercase();
                        near.extend(
                            column.sources.iter().map(|source| &*source.name).find(is_meant).map(str::to_owned),
                        );
                    }
                    Found::Ambiguous(names) => near.extend(names),
                },
                None => near.extend(table.visible.iter().filter(|known| known.eq_ignore_ascii_case(name)).cloned()),
            }
        }
        near.sort();
        near.dedup();
        near
    }
}

/// The table that `parts` means; none where it may be a name that the statement gives itself.
fn table(sources: &Sources, asked: &Asked, parts: &[Ident]) -> Result<Option<Table>> {
    if parts.iter().any(|part| part.quote_style == Some('\'')) {
        let error = refused("not_allowed", "a table has a name; files are not read").with("table", joined(parts));
        return Err(error.with("hint", "a name stands in double quotes, or in none; fineo ingest takes files in"));
    }
    let names = || parts.iter().map(|part| part.value.clone()).collect();
    let (meaning, dotted) = match meaning(sources, parts)? {
        Some(meaning) => (meaning, None),
        None if parts.len() > 1 => match metric_named(sources, &Ident::new(joined(parts)))? {
            Some(metric) => (Meaning::Metric(metric), Some(joined(parts))),
            None => return Err(unknown(sources, parts)),
        },
        None => {
            let is_given = parts.iter().any(|only| matching(only, asked.given.iter().map(String::as_str)).is_some());
            return if is_given { Ok(None) } else { Err(unknown(sources, parts)) };
        }
    };
    Ok(Some(match meaning {
        Meaning::Metric(metric) => {
            let seen = sources.seen(&metric);
            let columns = metric::columns(&metric, &seen, asked)?;
            let exact = columns.exact;
            let visible: Vec<String> = columns.visible.iter().map(|column| column.name.to_string()).collect();
            let all: Vec<Column> = columns.visible.into_iter().chain(columns.hidden).collect();
            let exposed = all.iter().map(|column| column.name.to_string()).collect();
            let rows = sources.rows(&metric);
            let rows = Arc::new(RowTable::new(Arc::new(rows), all));
            let (provider, rows) = (Arc::clone(&rows) as Arc<dyn TableProvider>, Some(rows));
            Table { parts: names(), dotted, provider, rows, visible, exposed, exact, metric: Some((metric, seen)) }
        }
        Meaning::View(view) => {
            let rows = view::rows(view, sources).map(Arc::new);
            let provider = match &rows {
                Some(rows) => Arc::clone(rows) as Arc<dyn TableProvider>,
                None => view::provider(view, sources),
            };
            let visible: Vec<String> = provider.schema().fields().iter().map(|field| field.name().clone()).collect();
            let exposed: BTreeSet<String> = visible.iter().cloned().collect();
            let exact = exposed.clone();
            Table { parts: names(), dotted, provider, rows, visible, exposed, exact, metric: None }
        }
    }))
}

fn unknown(sources: &Sources, parts: &[Ident]) -> fineo_core::Error {
    let error = refused("unknown_table", "no such table").with("table", joined(parts));
    let near = match parts {
        [only] => match sources.schema.find_metric(&only.value, false) {
            Found::None { near } => near,
            Found::One(metric) if metric.is_ruled_out() => Vec::new(),
            // As it is spelled, which is not as it was asked for between quotes.
            Found::One(metric) => {
                let is_meant = |known: &&Arc<str>| known.to_lowercase() == only.value.to_lowercase();
                metric.names().iter().filter(is_meant).map(|known| known.to_string()).collect()
            }
            Found::Ambiguous(names) => names,
        },
        _ => Vec::new(),
    };
    if near.is_empty() { error } else { error.with("hint", format!("did you mean {}?", near.join(", "))) }
}

fn meaning(sources: &Sources, parts: &[Ident]) -> Result<Option<Meaning>> {
    let is =
        |part: &Ident, name: &str| part.value == name || (!is_quoted(part) && part.value.eq_ignore_ascii_case(name));
    match parts {
        [catalog, rest @ ..] if rest.len() == 2 && is(catalog, CATALOG) => meaning(sources, rest),
        [schema, table] if is(schema, PUBLIC) => meaning(sources, std::slice::from_ref(table)),
        [schema, table] if is(schema, ERRORS) && is(table, "stream") && sources.schema.has_errors() => {
            Ok(Some(Meaning::View(View::Errors)))
        }
        [schema, table] if is(schema, INFORMATION_SCHEMA) => {
            let views = [View::Tables, View::Columns, View::Schemata];
            Ok(views.into_iter().find(|view| is(table, view.name())).map(Meaning::View))
        }
        [table] => {
            let views = [View::Conflicts, View::Discovered];
            if let Some(view) = views.into_iter().find(|view| is(table, view.name())) {
                return Ok(Some(Meaning::View(view)));
            }
            Ok(metric_named(sources, table)?.map(Meaning::Metric))
        }
        _ => Ok(None),
    }
}

fn metric_named(sources: &Sources, ident: &Ident) -> Result<Option<Arc<Metric>>> {
    match sources.schema.find_metric(&ident.value, is_quoted(ident)) {
        Found::One(metric) if metric.is_ruled_out() => Ok(None),
        Found::One(metric) => Ok(Some(Arc::clone(metric))),
        Found::Ambiguous(names) => Err(refused("ambiguous_table", "more than one table has a name like this")
            .with("table", &ident.value)
            .with("hint", format!("quote the one you mean: {}", names.join(", ")))),
        Found::None { .. } => Ok(None),
    }
}
