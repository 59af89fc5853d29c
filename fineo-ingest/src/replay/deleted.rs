//! Events of metrics that were deleted since they arrived: a replay brings none of them back.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use fineo_core::{MetricId, Result, TenantId, TimeRange};
use fineo_schema::{SchemaStore, TenantSchema};

use super::{ReplayRequest, recorded::Holders};
use crate::{
    ArchivedRecord,
    driver::parts::Shared,
    stage::{payload, raw::RawStage},
};

/// Tells which events belong to deleted metrics: those that arrived before the deletion for a metric that then had their name.
pub(super) struct Deleted<'a> {
    store: &'a SchemaStore,
    tenant: &'a TenantId,
    today: Arc<TenantSchema>,
    /// The metrics whose deletion reached some rows, by the names under which their events came.
    by_name: HashMap<Arc<str>, Vec<MetricId>>,
    raw: RawStage,
    recorded: Option<Recorded>,
    holders: Holders<'a>,
}

/// The schema of a time.
struct Recorded {
    schema: Arc<TenantSchema>,
    during: TimeRange,
    /// The metrics that were deleted since.
    deleted_since: HashSet<MetricId>,
}

impl<'a> Deleted<'a> {
    pub(super) fn new(shared: &'a Shared, request: &'a ReplayRequest, today: &Arc<TenantSchema>) -> Self {
        let mut by_name: HashMap<Arc<str>, Vec<MetricId>> = HashMap::new();
        // A deletion that reached nothing deleted no event.
        for deleted in today.deleted_metrics().iter().filter(|deleted| !deleted.through.is_empty()) {
            for name in &deleted.names {
                by_name.entry(Arc::clone(name)).or_default().push(deleted.id.clone());
            }
        }
        Self {
            store: &shared.parts.schemas,
            tenant: &request.tenant,
            today: Arc::clone(today),
            by_name,
            raw: shared.raw_stage(),
            recorded: None,
            holders: Holders::new(shared, request, today),
        }
    }

    /// Whether a record of the archive of stage staged is a row of a deleted metric.
    pub(super) fn has_record(&self, record: &ArchivedRecord) -> bool {
        !self.today.deleted_metrics().is_empty()
            && payload::read(&record.delivery.payload)
                .is_ok_and(|entry| MetricId::new(entry.metric).is_ok_and(|metric| self.today.is_deleted(&metric)))
    }

    /// What an event of the archive of stage raw calls its metric, if it belongs to a deleted one.
    pub(super) async fn name_of(&mut self, record: &ArchivedRecord) -> Result<Option<Arc<str>>> {
        if self.by_name.is_empty() {
            return Ok(None);
        }
        self.look_up(record).await?;
        let Self { recorded: Some(recorded), raw, today, .. } = self else { return Ok(None) };
        if recorded.deleted_since.is_empty() {
            return Ok(None);
        }
        let schema = Arc::clone(&recorded.schema);
        if let Some(name) = raw.metric_name_of(&schema, &record.delivery) {
            if !self.is_of_deleted(&name) {
                return Ok(None);
            }
            let holder = self.holders.holder(&name, &schema).await?;
            let is_deleted = holder.is_some_and(|holder| self.today.is_deleted(&holder));
            return Ok(Some(name).filter(|_| is_deleted));
        }
        // Nothing named its metric then: only a replay under a later schema can have made it a row.
        let name = raw.metric_name_of(today, &record.delivery);
        Ok(name.filter(|name| self.is_of_deleted(name)))
    }

    /// Whether events under `name` came for a metric that was deleted since the recorded schema.
    fn is_of_deleted(&self, name: &str) -> bool {
        let deleted_since = self.recorded.as_ref().map(|recorded| &recorded.deleted_since);
        let ids = self.by_name.get(name).into_iter().flatten();
        deleted_since.is_some_and(|since| ids.into_iter().any(|id| since.contains(id)))
    }

    /// Has the schema that held when the event arrived.
    async fn look_up(&mut self, record: &ArchivedRecord) -> Result<()> {
        if self.recorded.as_ref().is_some_and(|recorded| recorded.during.contains(record.arrived_at)) {
            return Ok(());
        }
        let (schema, during) = self.store.at_time(self.tenant, record.arrived_at).await?;
        let ids = self.by_name.values().flatten();
        let deleted_since = ids.filter(|id| !schema.is_deleted(id)).cloned().collect();
        self.recorded = Some(Recorded { schema, during, deleted_since });
        Ok(())
    }
}
