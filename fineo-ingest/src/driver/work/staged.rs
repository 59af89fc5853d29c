//! Stage staged in a driver: records in, rows out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use fineo_core::{
    Error, ErrorKind, EventId, MetricId, Result, ShardId, TenantId,
    archive::Stage,
    nearline::{Row, Written},
    stream::Delivery,
};
use fineo_schema::RecordLayout;
use foldhash::fast::RandomState;
use futures::{StreamExt, TryStreamExt, stream};

use super::{Passed, write_errors, write_rows};
use crate::{
    driver::parts::Shared,
    stage::staged::{self, Group, LayoutKey, Layouts, Runs, StagedOutcome},
};

/// More layouts than this are not kept, unless half of them are of the open segment.
const LAYOUTS_MAX: usize = 10_000;
/// Of so many rows that are met again it is known whether they were met before: a crash leaves no more than a segment has.
const MET_AGAIN_MAX: usize = 1 << 18;
/// The names of so many tenants are loaded at a time.
const LOADS_AT_ONCE: usize = 64;

#[derive(Debug)]
pub(crate) struct StagedWork {
    shared: Arc<Shared>,
    shard: ShardId,
    layouts: Layouts,
    /// Their Avro schemas as JSON, of those that a segment needed: many tenants have the same devices, and so the same layouts.
    schemas: HashMap<Arc<RecordLayout>, Arc<str>, RandomState>,
    /// The layouts used since the last segment.
    used: HashSet<LayoutKey>,
    /// The tenants whose discovered names are loaded.
    loaded: HashSet<TenantId>,
    /// The rows that somebody else may have stored, as far as they were met.
    met_again: HashSet<(MetricId, EventId)>,
}

impl StagedWork {
    pub(crate) fn new(shared: Arc<Shared>, shard: ShardId) -> Self {
        Self {
            shared,
            shard,
            layouts: Layouts::default(),
            schemas: HashMap::default(),
            used: HashSet::new(),
            loaded: HashSet::new(),
            met_again: HashSet::new(),
        }
    }

    pub(crate) async fn pass(&mut self, batch: &[Delivery]) -> Result<Passed> {
        let outcome = self.read(batch).await?;
        let mut errors = outcome.errors;
        self.load_names(&outcome.groups).await?;
        for group in &outcome.groups {
            let written = write_rows(&self.shared, &group.tenant, &group.metric, &group.rows).await?;
            let is_new = self.new_ones(group, &written);
            let is_new = |row: usize| is_new.get(row).copied().unwrap_or_default();
            self.shared.parts.discovery.observe(&group.tenant, &group.metric, &group.rows, &is_new);
            self.count(group, &written);
            for (row, _) in written.iter().enumerate().filter(|(_, written)| **written == Written::Conflict) {
                let delivery = group.deliveries.get(row).and_then(|index| batch.get(*index as usize));
                errors.extend(delivery.and_then(|delivery| staged::conflict(group, row, delivery)));
            }
        }
        if batch.last().map(|last| last.position) >= self.shared.progress.before(&self.shard) {
            self.met_again = HashSet::new();
        }
        write_errors(&self.shared, Stage::Staged, &self.shard, &errors, batch.len()).await?;
        Ok(Passed { errors, ..Passed::default() })
    }

    /// Writes the rows of `metric` in `batch` again that the store cannot read any more. Their names were counted before.
    pub(crate) async fn write_again(&mut self, batch: &[Delivery], metric: &MetricId) -> Result<()> {
        let outcome = self.read(batch).await?;
        for group in outcome.groups.iter().filter(|group| group.metric == *metric) {
            write_rows(&self.shared, &group.tenant, metric, &group.rows).await?;
        }
        Ok(())
    }

    /// Which rows of `group` are to be counted. Who had the shard before may have stored rows without saving that their names
    /// were counted, so that what is met again counts, once; positions that were counted are not counted again.
    fn new_ones(&mut self, group: &Group, written: &[Written]) -> Vec<bool> {
        let before = self.shared.progress.before(&self.shard);
        let rows = group.rows.iter().zip(written);
        let is_new = |(row, written): (Row<'_>, &Written)| {
            let head = row.head();
            let is_met_again = Some(head.position) <= before;
            let is_known = is_met_again
                && self.met_again.len() < MET_AGAIN_MAX
                && !self.met_again.insert((group.metric.clone(), head.id));
            match written {
                Written::New => true,
                Written::Duplicate => is_met_again && !is_known,
                Written::Conflict => false,
            }
        };
        rows.map(is_new).collect()
    }

    fn count(&self, group: &Group, written: &[Written]) {
        let count = |wanted| written.iter().filter(|written| **written == wanted).count() as u64;
        let (new, duplicate, conflict) = (count(Written::New), count(Written::Duplicate), count(Written::Conflict));
        self.shared.counters.add(&group.tenant, |counts| {
            counts.rows += new;
            counts.duplicates += duplicate;
            counts.conflicts += conflict;
        });
    }

    /// Loads the names of the tenants that come for the first time.
    async fn load_names(&mut self, groups: &[Group]) -> Result<()> {
        let new = groups.iter().map(|group| &group.tenant).filter(|tenant| !self.loaded.contains(*tenant));
        let new: BTreeSet<TenantId> = new.cloned().collect();
        let (discovery, retry, shard) = (&self.shared.parts.discovery, &self.shared.retry, &self.shard);
        let is_alone = self.shared.options.is_alone;
        let load = |tenant: TenantId| async move {
            match is_alone {
                true => discovery.load(&tenant).await,
                false => discovery.load_for(&tenant, shard).await,
            }
        };
        let loads = stream::iter(new).map(|tenant| async move {
            retry.until_done(|| load(tenant.clone())).await?;
            Ok::<_, Error>(tenant)
        });
        let loaded: Vec<TenantId> = loads.buffer_unordered(LOADS_AT_ONCE).try_collect().await?;
        self.loaded.extend(loaded);
        Ok(())
    }

    /// Reads `batch` into rows.
    async fn read(&mut self, batch: &[Delivery]) -> Result<StagedOutcome> {
        let runs = Runs::of(batch);
        self.load_layouts(runs.layouts(batch)).await?;
        Ok(staged::apply(&self.layouts, &self.shard, batch, &runs))
    }

    async fn load_layouts(&mut self, needed: Vec<LayoutKey>) -> Result<()> {
        // Between batches, and not those of the open segment: their schemas are archived with it.
        if self.layouts.len() >= LAYOUTS_MAX.max(2 * self.used.len()) {
            let used = &self.used;
            self.layouts.retain(|key, _| used.contains(key));
            self.schemas.clear();
        }
        for key in needed {
            if !self.used.contains(&key) {
                self.used.insert(key.clone());
            }
            if self.layouts.contains_key(&key) {
                continue;
            }
            let store = &self.shared.parts.schemas;
            let found = self.shared.retry.until_done(|| async { store.at(&key.tenant, key.schema).await }).await;
            let layout = match found {
                Ok(schema) => schema.metric(&key.metric).map(|metric| Arc::clone(metric.layout())),
                // A record of a version that never was: its own error, not the store's.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid) => None,
                Err(error) => return Err(error),
            };
            self.layouts.insert(key, layout);
        }
        Ok(())
    }

    pub(crate) fn take_record_schemas(&mut self) -> BTreeMap<String, Arc<str>> {
        let mut taken = BTreeMap::new();
        for key in std::mem::take(&mut self.used) {
            let Some(Some(layout)) = self.layouts.get(&key) else { continue };
            let schema =
                self.schemas.entry(Arc::clone(layout)).or_insert_with(|| layout.avro_schema().to_string().into());
            taken.insert(format!("{}/{}/{}", key.tenant, key.metric, key.schema), Arc::clone(schema));
        }
        taken
    }
}
