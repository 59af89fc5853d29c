//! Which stored names get which columns: the one decision that makes a table of a metric's cells.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use fineo_schema::{FieldId, FieldType, Metric};
use fineo_table::{ColumnLayout, TableColumn, column_name};

use crate::{
    names::Names,
    profile::{NameProfile, Profile},
};

/// Rows per value that a column needs for rows to be kept together by it.
const ROWS_PER_KEY_MIN: f64 = 4.0;
/// So many records must bear a name for a new column where the table has half of what it may have.
const CELLS_MIN: u64 = 100;

/// Limits of shredding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shredding {
    /// The share of records that must bear an undeclared name for it to get a column.
    pub(crate) presence_min: f64,
    /// The most columns of undeclared names, of the table and of the records.
    pub(crate) columns_max: usize,
}

/// A column of the files to be written, where they have cells for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedColumn {
    /// Its name.
    pub(crate) column: Arc<str>,
    /// The declared field; none for an undeclared name.
    pub(crate) field: Option<FieldId>,
    /// What its values are.
    pub(crate) value_type: FieldType,
    /// The stored names whose cells it takes, best first.
    pub(crate) names: Vec<Arc<str>>,
}

/// Where the cells of a stored name go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The column.
    pub(crate) column: u32,
    /// The rank of the name among the column's.
    pub(crate) rank: u32,
}

/// The columns of a metric's new files.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plan {
    /// The columns: declared fields in order of declaration, then undeclared names in order of names.
    pub(crate) columns: Vec<PlannedColumn>,
    /// The column by which rows are kept together.
    pub(crate) key: Option<u32>,
    targets: HashMap<Arc<str>, Target>,
}

/// What a plan is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// The metric under the schema of the run; none for one that is gone.
    pub(crate) metric: Option<&'a Metric>,
    /// The names of the records.
    pub(crate) names: &'a Names,
    /// What was found under them.
    pub(crate) profile: &'a Profile,
    /// The columns that the table has.
    pub(crate) table: &'a [TableColumn],
    /// The columns of the table that other programs added, of types that we do not have.
    pub(crate) foreign: &'a [Arc<str>],
    /// The columns of the files whose rows are written anew.
    pub(crate) rewritten: &'a [ColumnLayout],
}

impl Plan {
    /// Decides. The order of records and files does not matter.
    pub(crate) fn new(evidence: &Evidence<'_>, shredding: Shredding) -> Self {
        let mut planning = Planning::new(evidence);
        for field in evidence.metric.iter().flat_map(|metric| metric.fields()) {
            planning.declare(field.id, field.field_type, &field.names);
        }
        let declared = planning.columns.len();
        for name in wanted(&planning, shredding) {
            planning.shred(&name);
        }
        // The order in which names took their columns is that of frequency; the columns stand by name.
        planning.columns[declared..].sort_by(|one, other| one.column.cmp(&other.column));
        let columns = planning.columns;
        let mut targets = HashMap::new();
        for (column, planned) in (0_u32..).zip(&columns) {
            for (rank, name) in (0_u32..).zip(&planned.names) {
                targets.insert(Arc::clone(name), Target { column, rank });
            }
        }
        let key = key_of(&columns, evidence);
        Self { columns, key, targets }
    }

    /// Where the cells of `name` go; none for the rest.
    pub(crate) fn target(&self, name: &str) -> Option<Target> {
        self.targets.get(name).copied()
    }
}

/// The undeclared names that should have a column, in order of first sight.
fn wanted(planning: &Planning<'_>, shredding: Shredding) -> Vec<Arc<str>> {
    let evidence = planning.evidence;
    let is_undeclared = |name: &str| evidence.metric.is_none_or(|metric| metric.slot(name).is_none());
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
    let is_frequent =
        |profile: &NameProfile| profile.cells as f64 >= shredding.presence_min * evidence.profile.records as f64;
    // What had a column keeps it when its rows are written anew.
    let rewritten = evidence.rewritten.iter().filter(|layout| layout.field.is_none()).flat_map(|layout| &layout.names);
    let kept: HashSet<&str> = rewritten.map(|name| &**name).filter(|name| is_undeclared(name)).collect();
    let mut wanted: BTreeMap<(Reverse<u64>, i64, Arc<str>), ()> = BTreeMap::new();
    for (name, profile) in evidence.names.iter().zip(&evidence.profile.names) {
        if profile.cells > 0 && is_undeclared(name) && (is_frequent(profile) || kept.contains(&**name)) {
            wanted.insert((Reverse(profile.cells), profile.first, Arc::clone(name)), ());
        }
    }
    let seen: HashSet<Arc<str>> = wanted.keys().map(|(.., name)| Arc::clone(name)).collect();
    for name in kept.into_iter().filter(|name| !seen.contains(*name)) {
        wanted.insert((Reverse(0), i64::MAX, name.into()), ());
    }
    // The most frequent have a column; of those that want the same one the first seen has it.
    let mut room = Room { columns_max: shredding.columns_max, columns: planning.undeclared() };
    let with_column =
        wanted.into_keys().filter(|(Reverse(cells), _, name)| !planning.is_new(name) || room.take(*cells));
    let mut wanted: Vec<(i64, Arc<str>)> =
        with_column.take(shredding.columns_max).map(|(_, first, name)| (first, name)).collect();
    wanted.sort();
    wanted.into_iter().map(|(_, name)| name).collect()
}

/// How many columns of undeclared names a table may still get: none is ever removed, so that names that come and go would fill it.
struct Room {
    columns_max: usize,
    columns: usize,
}

impl Room {
    /// Whether there is one for a name that so many records bear.
    fn take(&mut self, cells: u64) -> bool {
        let is_half_full = self.columns * 2 > self.columns_max;
        let has_room = self.columns < self.columns_max && (cells >= CELLS_MIN || !is_half_full);
        self.columns += usize::from(has_room);
        has_room
    }
}

/// A plan in the making.
struct Planning<'a> {
    evidence: &'a Evidence<'a>,
    by_name: HashMap<&'a str, usize>,
    /// The columns of the table, by their names in lower case.
    table: HashMap<String, &'a TableColumn>,
    /// The columns that are taken, in lower case.
    taken: HashSet<String>,
    columns: Vec<PlannedColumn>,
}

impl<'a> Planning<'a> {
    fn new(evidence: &'a Evidence<'a>) -> Self {
        let by_name = evidence.names.iter().enumerate().map(|(number, name)| (&**name, number)).collect();
        let table = evidence.table.iter().map(|column| (column.name.to_lowercase(), column)).collect();
        // What would stand there goes to the rest.
        let taken = evidence.foreign.iter().map(|name| name.to_lowercase()).collect();
        Self { evidence, by_name, table, taken, columns: Vec::new() }
    }

    fn declare(&mut self, field: FieldId, value_type: FieldType, names: &[Arc<str>]) {
        let Some(place) = names.first().and_then(|name| self.place(name, value_type, true)) else { return };
        let column = self.take(place);
        self.columns.push(PlannedColumn { column, field: Some(field), value_type, names: names.to_vec() });
    }

    fn shred(&mut self, name: &Arc<str>) {
        let value_type = self.shredded_type(name);
        let Some(place) = self.place(name, value_type, false) else { return };
        let (column, names) = (self.take(place), vec![Arc::clone(name)]);
        self.columns.push(PlannedColumn { column, field: None, value_type, names });
    }

    /// Whether an undeclared name would have a column that the table does not have.
    fn is_new(&self, name: &str) -> bool {
        self.place(name, self.shredded_type(name), false).is_some_and(|place| place.is_new)
    }

    /// How many columns the table has that are neither ours nor of declared fields.
    fn undeclared(&self) -> usize {
        let is_undeclared = |lower: &&String| column_name(lower).is_some() && !self.taken.contains(*lower);
        self.table.keys().filter(is_undeclared).count()
    }

    /// The type that the name had, where it suits the values still, else the narrowest.
    fn shredded_type(&self, name: &str) -> FieldType {
        let profile = self.by_name.get(name).and_then(|number| self.evidence.profile.names.get(*number));
        let of_files = self.evidence.rewritten.iter().filter(|layout| layout.field.is_none());
        let had =
            of_files.filter(|layout| layout.names.iter().any(|known| **known == *name)).map(|layout| layout.value_type);
        let in_table = column_name(name).and_then(|column| self.table.get(&column.to_lowercase()).copied());
        let in_table = in_table.map(|column| column.value_type);
        let Some(profile) = profile.filter(|profile| profile.cells > 0) else {
            return had.min_by_key(ToString::to_string).or(in_table).unwrap_or(FieldType::String);
        };
        in_table.filter(|known| profile.suits(*known)).unwrap_or_else(|| profile.narrowest())
    }

    /// Where a name may stand under a type; none when nothing is free.
    fn place(&self, name: &str, value_type: FieldType, is_declared: bool) -> Option<Place> {
        let plain = column_name(name)?;
        let wanted = plain.to_lowercase();
        if self.taken.contains(&wanted) {
            return None;
        }
        let typed = format!("{plain}_{}", type_suffix(value_type));
        for column in [plain, typed] {
            let lower = column.to_lowercase();
            let is_free = !self.taken.contains(&lower);
            match self.table.get(&lower) {
                None if is_free => return Some(Place { wanted, column: column.into(), is_new: true }),
                // A column of the table keeps its spelling: of what differs in case only, a declared field alone may have it.
                Some(known) if *known.name != *column && !is_declared => return None,
                Some(known) if is_free && known.holds(value_type) => {
                    return Some(Place { wanted, column: Arc::clone(&known.name), is_new: false });
                }
                // And it keeps its type.
                None | Some(_) => {}
            }
        }
        None
    }

    fn take(&mut self, place: Place) -> Arc<str> {
        self.taken.insert(place.column.to_lowercase());
        self.taken.insert(place.wanted);
        place.column
    }
}

/// A column that is free.
struct Place {
    /// What the name would have if no type stood against it, in lower case.
    wanted: String,
    column: Arc<str>,
    /// Whether the table does not have it.
    is_new: bool,
}

fn type_suffix(value_type: FieldType) -> String {
    match value_type {
        FieldType::Decimal { precision, scale } => format!("decimal_{precision}_{scale}"),
        FieldType::String
        | FieldType::Boolean
        | FieldType::Int
        | FieldType::Long
        | FieldType::Float
        | FieldType::Double
        | FieldType::Timestamp
        | FieldType::Date
        | FieldType::Bytes
        | FieldType::Json => value_type.to_string(),
    }
}

/// The column that looks most like the name of a device: words, in most rows, each in several of them, and the most
/// different ones.
fn key_of(columns: &[PlannedColumn], evidence: &Evidence<'_>) -> Option<u32> {
    let numbers: HashMap<&str, usize> =
        evidence.names.iter().enumerate().map(|(number, name)| (&**name, number)).collect();
    let mut best: Option<(f64, u32)> = None;
    for (index, column) in (0_u32..).zip(columns) {
        let mut merged = NameProfile::default();
        let profiles = column.names.iter().filter_map(|name| numbers.get(&**name));
        profiles.filter_map(|number| evidence.profile.names.get(*number)).for_each(|found| merged.merge(found));
        if merged.cells.saturating_mul(2) < evidence.profile.records {
            continue;
        }
        let Some(distinct) = merged.distinct_words() else { continue };
        #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more digits")]
        let rows = merged.cells as f64;
        let is_better = best.is_none_or(|(most, _)| distinct > most * 1.01);
        if distinct * ROWS_PER_KEY_MIN <= rows && is_better {
            best = Some((distinct, index));
        }
    }
    best.map(|(_, index)| index)
}

#[cfg(test)]
mod tests;
