//! Which segments are live, and how much of the journal they make needless: two tables in the repository's file.

use std::{collections::BTreeMap, sync::Arc};

use fineo_core::{Error, MetricId, Position, Result, TenantId};
use redb::{ReadableTable, TableDefinition};

use super::{image::Section, journal_reach::JournalReach};
use crate::{failure::database_error, repo::database::SharedDatabase};

/// Number of a segment to its entry.
const SEGMENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("nearline_segments");
/// Tenant, 0, metric to the place in the journal up to which the segments hold everything.
const CUTS: TableDefinition<'_, &[u8], (u64, u64)> = TableDefinition::new("nearline_cuts");

/// Tenant, 0, metric to where the table's rows in the journal begin.
const REACHES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("nearline_reaches");

/// The numbers of the journal's files.
const JOURNAL: TableDefinition<'_, u64, ()> = TableDefinition::new("nearline_journal");

/// A place in the journal: number of the file, offset in it.
pub(super) type Cut = (u64, u64);
/// Whose rows.
pub(super) type TableKey = (TenantId, MetricId);

/// What the manifest knows of a segment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct SegmentEntry {
    pub(super) number: u64,
    pub(super) tenant: String,
    pub(super) metric: String,
    pub(super) pack: u64,
    /// Where the image begins in the pack.
    pub(super) start: u64,
    pub(super) rows: u32,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    pub(super) blocks: usize,
    pub(super) footer: Section,
    pub(super) tail: Section,
    pub(super) tail_checksum: u32,
    /// Per shard the first and last position, in hexadecimal digits.
    pub(super) positions: BTreeMap<String, (String, String)>,
}

impl SegmentEntry {
    /// An entry of no segment: what a damaged journal had of a table.
    pub(super) fn of_journal(number: u64, key: &TableKey, reach: &JournalReach) -> Self {
        let last = Position::MAX.to_string();
        let positions = reach.iter().map(|(shard, first)| (shard.to_owned(), (first.to_string(), last.clone())));
        Self {
            number,
            tenant: key.0.as_str().to_owned(),
            metric: key.1.as_str().to_owned(),
            pack: number,
            start: 0,
            rows: 0,
            time_min: i64::MIN,
            time_max: i64::MAX,
            blocks: 0,
            footer: Section::default(),
            tail: Section::default(),
            tail_checksum: 0,
            positions: positions.collect(),
        }
    }

    /// Whether it stands for what a damaged journal had, and for no segment.
    pub(super) fn is_of_journal(&self) -> bool {
        self.blocks == 0
    }

    /// Whose rows.
    pub(super) fn key(&self) -> Result<TableKey> {
        Ok((TenantId::new(&self.tenant)?, MetricId::new(&self.metric)?))
    }

    /// Per shard the first and last position.
    pub(super) fn positions(&self) -> Result<Vec<(&str, Position, Position)>> {
        let mut found = Vec::new();
        for (shard, (first, last)) in &self.positions {
            found.push((shard.as_str(), first.parse()?, last.parse()?));
        }
        Ok(found)
    }
}

/// The live segments.
#[derive(Clone)]
pub(super) struct Manifest {
    database: Arc<SharedDatabase>,
}

impl std::fmt::Debug for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Manifest")
    }
}

/// One atomic change of the manifest.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) added: Vec<SegmentEntry>,
    pub(super) removed: Vec<u64>,
    /// Up to where the segments hold all of a table; the journal then has nothing of it.
    pub(super) cuts: Vec<(TableKey, Cut)>,
    /// Where the rows of a table in the journal begin.
    pub(super) reaches: Vec<(TableKey, JournalReach)>,
}

/// What [`Manifest::load`] found.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) segments: Vec<SegmentEntry>,
    pub(super) cuts: BTreeMap<Vec<u8>, Cut>,
    pub(super) reaches: BTreeMap<TableKey, JournalReach>,
    /// The numbers of the journal's files, as far as they were noted.
    pub(super) journal: Vec<u64>,
}

impl Loaded {
    /// The least number of a file of the journal that is behind every cut and every file that was ever noted.
    pub(super) fn journal_next(&self) -> u64 {
        // The files that the cuts are of may be gone.
        let behind_cuts = self.cuts.values().map(|(file, _)| file + 1).max().unwrap_or(1);
        behind_cuts.max(self.journal.last().map_or(1, |last| last + 1))
    }
}

/// The key of a table's cut.
pub(super) fn cut_key(tenant: &str, metric: &str) -> Vec<u8> {
    [tenant.as_bytes(), &[0], metric.as_bytes()].concat()
}

/// Reads what [`cut_key`] made.
fn key_of(bytes: &[u8]) -> Result<TableKey> {
    let damaged = || Error::corrupt("a key of the nearline manifest is damaged");
    let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
    let (tenant, metric) = text.split_once('\0').ok_or_else(damaged)?;
    Ok((TenantId::new(tenant)?, MetricId::new(metric)?))
}

impl Manifest {
    /// The manifest in `database`.
    pub(super) fn open(database: &Arc<SharedDatabase>) -> Result<Self> {
        let transaction = database.begin_write()?;
        transaction.open_table(SEGMENTS).map_err(database_error)?;
        transaction.open_table(CUTS).map_err(database_error)?;
        transaction.open_table(REACHES).map_err(database_error)?;
        transaction.open_table(JOURNAL).map_err(database_error)?;
        transaction.commit().map_err(database_error)?;
        Ok(Self { database: Arc::clone(database) })
    }

    /// Everything in it.
    pub(super) fn load(&self) -> Result<Loaded> {
        let transaction = self.database.begin_read()?;
        let mut loaded = Loaded::default();
        for found in transaction.open_table(SEGMENTS).map_err(database_error)?.iter().map_err(database_error)? {
            let (number, entry) = found.map_err(database_error)?;
            let entry = serde_json::from_slice(entry.value()).map_err(|source| {
                Error::corrupt("entry of the nearline manifest is damaged")
                    .with("segment", number.value())
                    .with_source(source)
            })?;
            loaded.segments.push(entry);
        }
        for found in transaction.open_table(CUTS).map_err(database_error)?.iter().map_err(database_error)? {
            let (key, cut) = found.map_err(database_error)?;
            loaded.cuts.insert(key.value().to_vec(), cut.value());
        }
        for found in transaction.open_table(REACHES).map_err(database_error)?.iter().map_err(database_error)? {
            let (key, reach) = found.map_err(database_error)?;
            loaded.reaches.insert(key_of(key.value())?, JournalReach::decode(reach.value())?);
        }
        for found in transaction.open_table(JOURNAL).map_err(database_error)?.iter().map_err(database_error)? {
            loaded.journal.push(found.map_err(database_error)?.0.value());
        }
        Ok(loaded)
    }

    /// Notes that the journal has the files `numbers`, too.
    pub(super) fn note_journal(&self, numbers: &[u64]) -> Result<()> {
        let transaction = self.database.begin_write()?;
        let mut journal = transaction.open_table(JOURNAL).map_err(database_error)?;
        for number in numbers {
            journal.insert(number, ()).map_err(database_error)?;
        }
        drop(journal);
        transaction.commit().map_err(database_error)
    }

    /// Notes that nothing needs the files of the journal any more.
    pub(super) fn forget_journal(&self) -> Result<()> {
        let transaction = self.database.begin_write()?;
        let mut journal = transaction.open_table(JOURNAL).map_err(database_error)?;
        journal.retain(|_, ()| false).map_err(database_error)?;
        drop(journal);
        transaction.commit().map_err(database_error)
    }

    /// Makes `change`, durably and at once. A failure may have made it.
    pub(super) fn commit(&self, change: &Change) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut segments = transaction.open_table(SEGMENTS).map_err(database_error)?;
            for number in &change.removed {
                segments.remove(number).map_err(database_error)?;
            }
            for entry in &change.added {
                let bytes = serde_json::to_vec(entry).expect("numbers and texts make JSON");
                segments.insert(entry.number, &*bytes).map_err(database_error)?;
            }
            let mut cuts = transaction.open_table(CUTS).map_err(database_error)?;
            for ((tenant, metric), cut) in &change.cuts {
                cuts.insert(&*cut_key(tenant.as_str(), metric.as_str()), *cut).map_err(database_error)?;
            }
            let mut reaches = transaction.open_table(REACHES).map_err(database_error)?;
            for ((tenant, metric), _) in &change.cuts {
                reaches.remove(&*cut_key(tenant.as_str(), metric.as_str())).map_err(database_error)?;
            }
            for ((tenant, metric), reach) in &change.reaches {
                let (key, bytes) = (cut_key(tenant.as_str(), metric.as_str()), reach.encode());
                reaches.insert(&*key, &*bytes).map_err(database_error)?;
            }
        }
        transaction.commit().map_err(|error| database_error(error).and_may_have_applied())
    }
}
