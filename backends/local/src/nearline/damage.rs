//! What is damaged is set aside: told, never answered, and let go once its rows are there again.

use std::sync::{Arc, PoisonError};

use fineo_core::{
    Error, Result, ShardId,
    nearline::{Damage, ScanRequest},
};

use super::{
    manifest::{Change, SegmentEntry},
    merge::Replacement,
    store::Store,
    table::Stored,
};

/// Whether rows of `entry` may be among those that `request` wants.
pub(super) fn is_asked_for(entry: &SegmentEntry, request: &ScanRequest) -> bool {
    let is_beyond = || {
        let positions = entry.positions().unwrap_or_default();
        let is_covered = |(shard, _, last): &(&str, _, _)| {
            ShardId::new(shard).is_ok_and(|shard| request.beyond.contains(&shard, *last))
        };
        positions.is_empty() || !positions.iter().all(is_covered)
    };
    request.time.overlaps(entry.time_min, entry.time_max) && is_beyond()
}

impl Store {
    /// What is set aside.
    pub(super) fn damages(&self) -> Result<Vec<Damage>> {
        let mut damages = Vec::new();
        for table in self.tables() {
            for stored in &table.state().segments {
                if let Some(error) = stored.damage() {
                    damages.push(damage_of(stored.entry(), error.clone())?);
                }
            }
        }
        Ok(damages)
    }

    /// Sets aside what the journal, which is damaged, may have held of each table. What could be read of it goes to
    /// segments, and the journal begins anew.
    pub(super) fn set_journal_aside(&self, error: &Error) -> Result<()> {
        let reaches = self.reaches.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tracing::error!(%error, tables = reaches.len(), "the journal is damaged: what it had is set aside");
        let mut added = Vec::new();
        for (key, reach) in &reaches {
            let entry = SegmentEntry::of_journal(self.number(), key, reach);
            let is_known =
                |stored: &Stored| stored.entry().is_of_journal() && stored.entry().positions == entry.positions;
            let table = self.table_or_new(&key.0, &key.1);
            if !table.state().segments.iter().any(is_known) {
                added.push((table, entry));
            }
        }
        let entries = added.iter().map(|(_, entry)| entry.clone()).collect();
        self.commit(&Change { added: entries, ..Change::default() })?;
        for (table, entry) in added {
            table.state().segments.push(Stored::Damaged(Arc::new(entry), error.clone()));
        }
        if let Err(error) = self.restart_journal(&self.tables()) {
            // The next start finds the same and does the same.
            tracing::warn!(%error, "the damaged journal stays for now");
        }
        Ok(())
    }

    /// Lets go of the segment that `damage` tells of.
    pub(super) fn mended(&self, damage: &Damage) -> Result<()> {
        self.root.check_writable()?;
        let Some(table) = self.table(&damage.tenant, &damage.metric) else { return Ok(()) };
        let is_meant = |stored: &&Stored| stored.entry().number == damage.unit && stored.damage().is_some();
        let found = table.state().segments.iter().find(is_meant).cloned();
        match found {
            Some(stored) => self.replace(vec![Replacement { table, old: vec![stored], new: Vec::new() }]),
            None => Ok(()),
        }
    }
}

fn damage_of(entry: &SegmentEntry, error: fineo_core::Error) -> Result<Damage> {
    let (tenant, metric) = entry.key()?;
    let mut positions = Vec::new();
    for (shard, first, last) in entry.positions()? {
        positions.push((ShardId::new(shard)?, first, last));
    }
    Ok(Damage { tenant, metric, unit: entry.number, rows: u64::from(entry.rows), positions, error })
}
