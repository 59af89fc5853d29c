//! Events of the tail that are in a file already: sent again after their first copy was compacted.
//!
//! A position tells which rows the files cover, but a second copy has a later one. So rows of a day that has
//! files are looked up there by event id.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use datafusion::arrow::{
    array::{AsArray, BooleanArray, RecordBatch},
    buffer::BooleanBuffer,
    compute::filter_record_batch,
    datatypes::TimestampMicrosecondType,
};
use fineo_core::{Error, EventId, Result};
use fineo_table::Snapshot;

use super::sixteen;
use crate::pins::Pins;

const DAY_MICROS: i64 = 86_400_000_000;

/// Looks rows up in the files of their day.
pub(super) struct Resent {
    pins: Arc<Pins>,
    snapshot: Arc<Snapshot>,
    /// In order, each day that has files, with those.
    days: Vec<(i64, Vec<usize>)>,
}

impl Resent {
    /// A look-up in the files of `snapshot`; none when it has none.
    pub(super) fn of(pins: &Arc<Pins>, snapshot: &Arc<Snapshot>) -> Option<Self> {
        if snapshot.files.is_empty() {
            return None;
        }
        let mut days: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (index, file) in snapshot.files.iter().enumerate() {
            days.entry(file.day.into()).or_default().push(index);
        }
        Some(Self { pins: Arc::clone(pins), snapshot: Arc::clone(snapshot), days: days.into_iter().collect() })
    }

    /// `batch`, whose ids are its column `ids`, without the rows that are in a file.
    pub(super) async fn without(&self, batch: RecordBatch, ids: usize) -> Result<RecordBatch> {
        let mut found: HashSet<EventId> = HashSet::new();
        for ((_, files), wanted) in self.days.iter().zip(self.by_day(&batch, ids)?) {
            for index in files.iter().filter(|_| !wanted.is_empty()) {
                let reader = self.pins.tables.reader(&self.snapshot, &self.snapshot.files[*index]).await?;
                found.extend(reader.find(&wanted).await?);
            }
        }
        if found.is_empty() {
            return Ok(batch);
        }
        let column = batch.column(ids).as_fixed_size_binary();
        let is_kept = |row| sixteen(column.value(row)).is_none_or(|id| !found.contains(&EventId(id)));
        let kept = BooleanArray::new(BooleanBuffer::collect_bool(batch.num_rows(), is_kept), None);
        filter_record_batch(&batch, &kept)
            .map_err(|source| Error::internal("cannot leave out rows").with_source(source))
    }

    /// For each day that has files, the ids of its rows.
    fn by_day(&self, batch: &RecordBatch, ids: usize) -> Result<Vec<Vec<EventId>>> {
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
        let column = batch.column(ids).as_fixed_size_binary();
        let mut by_day: Vec<Vec<EventId>> = vec![Vec::new(); self.days.len()];
        // Rows of one day stand side by side.
        let (mut day, mut place) = (0..0, None);
        for (row, time) in times.iter().enumerate() {
            if !day.contains(time) {
                let number = time.div_euclid(DAY_MICROS);
                day = number.saturating_mul(DAY_MICROS)..number.saturating_add(1).saturating_mul(DAY_MICROS);
                place = self.days.binary_search_by_key(&number, |(day, _)| *day).ok();
            }
            if let Some(place) = place {
                let id = sixteen(column.value(row)).ok_or_else(|| Error::internal("an id has sixteen bytes"))?;
                by_day[place].push(EventId(id));
            }
        }
        Ok(by_day)
    }
}

impl fmt::Debug for Resent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resent({} files)", self.snapshot.files.len())
    }
}
