//! How a column of SQL is made of what one file has: decided here, without reading a byte of it.
//!
//! A cell stands in exactly one place of a file: in a value column, with its text beside it where printing the
//! value does not give it back, or in the rest. So a column is the file's own column where that says the same
//! ([`Made::Column`]), or it is put together of pieces in rank order ([`Merged`]), which always gives what the
//! nearline conversion makes of the texts.

mod adapter;
mod evaluate;
mod hint;
mod numbers;
mod rest;
mod texts;

use std::sync::Arc;

use fineo_core::{Cover, Error, Result, Timestamp};
use fineo_schema::{Conversion, FieldType, LogicalColumn, Source};
use fineo_table::{ColumnLayout, FileLayout};

use crate::convert::is_unconditional;

pub(super) use adapter::{FilePlan, Plans, hinted};

/// The columns that every file has, as it names them.
pub(super) const TIMESTAMP: &str = "timestamp";
/// Which event a row is.
pub(super) const EVENT_ID: &str = "_fineo_event_id";
/// The metric's name as sent.
pub(super) const ALIAS: &str = "_fineo_alias";
/// When the event arrived.
pub(super) const INGESTED_AT: &str = "_fineo_ingested_at";
/// The cells that have no column of their own.
pub(super) const REST: &str = "_fineo_rest";

/// What is known of a file beside its layout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// The least and greatest time of its rows.
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    /// The highest position per shard.
    pub(super) positions: &'a Cover,
}

/// How a logical column is made of a file's columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Made {
    /// No row has a value.
    Absent,
    /// The file's column as it is.
    Column(Arc<str>),
    /// Put together.
    Merged(Merged),
}

/// Pieces in rank order: the first that has a cell answers a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Merged {
    /// What the values are read as; none for text.
    pub(super) field_type: Option<FieldType>,
    pub(super) pieces: Vec<Piece>,
}

/// Cells of some stored names that stand in one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) place: Place,
    /// Of the conversions of these names, those that may hold for a row of the file, in their order.
    pub(super) conversions: Vec<Conversion>,
}

/// Where cells stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// In a value column.
    Column(Typed),
    /// Among the cells of the rest, under this name.
    Rest(Arc<str>),
}

/// A value column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Typed {
    pub(super) value: Arc<str>,
    pub(super) value_type: FieldType,
    /// The column of texts that printing the values does not give back.
    pub(super) text: Option<Arc<str>>,
    /// The column that says which stored name a row's cell had, and the names that are meant; none for all.
    pub(super) only: Option<(Arc<str>, Vec<Arc<str>>)>,
}

/// How `column` is made of a file.
///
/// # Errors
///
/// `Corrupt` when the layout does not say which of a column's names a row has.
pub(super) fn made(column: &LogicalColumn, layout: &FileLayout, bounds: Bounds<'_>) -> Result<Made> {
    let is_readable = |source: &&Source| match &source.unreadable_through {
        Some(cover) => !cover.includes(bounds.positions),
        None => true,
    };
    let sources: Vec<&Source> = column.sources.iter().filter(is_readable).collect();
    let is_number = column.field_type.is_some_and(FieldType::is_number);
    let mut pieces = Vec::new();
    for group in groups(&sources, layout) {
        let source = sources[group.first];
        let conversions = if is_number { holding(&source.conversions, bounds) } else { Vec::new() };
        let place = match group.stand {
            Stand::Column(layout) => Place::Column(typed(layout, &group.names)?),
            Stand::Rest => Place::Rest(Arc::clone(&source.name)),
        };
        pieces.push(Piece { place, conversions });
    }
    Ok(simplest(Merged { field_type: column.field_type, pieces }))
}

/// Where the cells of a name stand.
#[derive(Clone, Copy)]
enum Stand<'a> {
    Column(&'a ColumnLayout),
    Rest,
}

/// Names whose cells are read together.
struct Group<'a> {
    /// The index of the best source.
    first: usize,
    names: Vec<Arc<str>>,
    stand: Stand<'a>,
}

/// The places of `sources` in rank order, neighbours of one column joined.
fn groups<'a>(sources: &[&Source], layout: &'a FileLayout) -> Vec<Group<'a>> {
    let stands: Vec<Vec<&ColumnLayout>> = sources
        .iter()
        .map(|source| layout.columns.iter().filter(|known| known.names.contains(&source.name)).collect())
        .collect();
    let in_rest = |index: &usize| layout.rest_names.contains(&sources[*index].name);
    let is_anywhere = |index: &usize| !stands[*index].is_empty() || in_rest(index);
    let present: Vec<usize> = (0..sources.len()).filter(is_anywhere).collect();
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut rest = present.as_slice();
    while let [first, ..] = rest {
        let run = run(sources, &stands, rest);
        for known in &stands[*first] {
            let names = run.iter().map(|index| Arc::clone(&sources[*index].name)).collect();
            groups.push(Group { first: *first, names, stand: Stand::Column(known) });
        }
        let beside = run.iter().copied().filter(|index| in_rest(index));
        groups.extend(beside.map(|index| {
            let names = vec![Arc::clone(&sources[index].name)];
            Group { first: index, names, stand: Stand::Rest }
        }));
        rest = &rest[run.len()..];
    }
    groups
}

/// How many of the first of `present` stand in one column alone, in the order of rank that its writer knew.
///
/// Of several names that one event bears, the writer gave the best the column and the others the rest: so the
/// column goes before the rest for all of them, as long as query and writer rank them alike.
fn run<'b>(sources: &[&Source], stands: &[Vec<&ColumnLayout>], present: &'b [usize]) -> &'b [usize] {
    let [first, ..] = present else { return present };
    let [column] = stands[*first].as_slice() else { return &present[..1] };
    let place = |index: usize| column.names.iter().position(|name| *name == sources[index].name);
    let continues = |pair: &[usize]| {
        let (before, after) = (pair[0], pair[1]);
        matches!(stands[after].as_slice(), [other] if std::ptr::eq(*other, *column))
            && place(before) < place(after)
            && sources[before].conversions == sources[after].conversions
    };
    let more = present.windows(2).take_while(|pair| continues(pair)).count();
    &present[..=more]
}

fn typed(layout: &ColumnLayout, names: &[Arc<str>]) -> Result<Typed> {
    let is_all = layout.names.iter().all(|name| names.contains(name));
    let only = match (&layout.name, is_all) {
        (_, true) => None,
        (Some(column), false) => Some((Arc::clone(column), names.to_vec())),
        (None, false) => {
            return Err(Error::corrupt("a file does not say which name its cells had").with("column", &layout.column));
        }
    };
    Ok(Typed { value: Arc::clone(&layout.column), value_type: layout.value_type, text: layout.text.clone(), only })
}

/// The conversions that may hold for a row between the bounds: the first that surely holds ends the list.
fn holding(conversions: &[Conversion], bounds: Bounds<'_>) -> Vec<Conversion> {
    let mut holding = Vec::new();
    for conversion in conversions {
        let begins_after = conversion.from.is_some_and(|from| bounds.last < from);
        let ends_before = conversion.to.is_some_and(|to| to <= bounds.first);
        if begins_after || ends_before {
            continue;
        }
        let from = conversion.from.filter(|from| bounds.first < *from);
        let to = conversion.to.filter(|to| *to <= bounds.last);
        holding.push(Conversion { from, to, ..conversion.clone() });
        if holding.last().is_some_and(is_unconditional) {
            break;
        }
    }
    holding
}

/// `merged` in its cheapest form that gives the same values.
fn simplest(merged: Merged) -> Made {
    match merged.pieces.as_slice() {
        [] => Made::Absent,
        [Piece { place: Place::Column(typed), conversions }] if conversions.is_empty() && typed.only.is_none() => {
            let wanted = merged.field_type.unwrap_or(FieldType::String);
            // A value is there exactly where its text is one of the type, so the texts beside it say nothing new.
            let is_same = wanted == typed.value_type && (merged.field_type.is_some() || typed.text.is_none());
            if is_same { Made::Column(Arc::clone(&typed.value)) } else { Made::Merged(merged) }
        }
        _ => Made::Merged(merged),
    }
}

impl Merged {
    /// The file's columns that are read, each once.
    pub(super) fn columns(&self) -> Vec<Arc<str>> {
        let mut columns: Vec<Arc<str>> = Vec::new();
        let mut add = |name: &str| {
            if !columns.iter().any(|known| &**known == name) {
                columns.push(name.into());
            }
        };
        for piece in &self.pieces {
            match &piece.place {
                Place::Column(typed) => {
                    add(&typed.value);
                    typed.text.iter().for_each(|text| add(text));
                    typed.only.iter().for_each(|(name, _)| add(name));
                }
                Place::Rest(_) => add(REST),
            }
            for conversion in &piece.conversions {
                if conversion.from.is_some() || conversion.to.is_some() {
                    add(TIMESTAMP);
                }
                if conversion.metric_name.is_some() {
                    add(ALIAS);
                }
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests;
