//! What the schema said when an event arrived, and which metric it came for.

use std::{collections::HashMap, sync::Arc};

use fineo_core::{MetricId, Result, TenantId, TimeRange, Timestamp, repo::Version};
use fineo_schema::{SchemaStore, TenantSchema};

use super::ReplayRequest;
use crate::driver::parts::Shared;

/// Tells which schema held at a time. Keeps the last one that was asked for.
pub(super) struct Recorded<'a> {
    store: &'a SchemaStore,
    tenant: &'a TenantId,
    last: Option<(Arc<TenantSchema>, TimeRange)>,
}

impl<'a> Recorded<'a> {
    pub(super) fn new(shared: &'a Shared, request: &'a ReplayRequest) -> Self {
        Self { store: &shared.parts.schemas, tenant: &request.tenant, last: None }
    }

    pub(super) async fn at(&mut self, time: Timestamp) -> Result<Arc<TenantSchema>> {
        if let Some((schema, during)) = &self.last
            && during.contains(time)
        {
            return Ok(Arc::clone(schema));
        }
        let (schema, during) = self.store.at_time(self.tenant, time).await?;
        self.last = Some((Arc::clone(&schema), during));
        Ok(schema)
    }
}

/// Tells which metric had a name. An event that brought its metric in, or waited for it among the errors, belongs to the first
/// metric that got its name.
pub(super) struct Holders<'a> {
    store: &'a SchemaStore,
    tenant: &'a TenantId,
    today: Version,
    /// By name: who had it first after which version, and under which one it had it.
    first: HashMap<Arc<str>, Vec<FirstHolder>>,
}

/// Nobody had a name from one version to before another one.
struct FirstHolder {
    from: Version,
    before: Version,
    holder: Option<MetricId>,
}

impl<'a> Holders<'a> {
    pub(super) fn new(shared: &'a Shared, request: &'a ReplayRequest, today: &TenantSchema) -> Self {
        let (store, tenant) = (&shared.parts.schemas, &request.tenant);
        Self { store, tenant, today: today.version(), first: HashMap::new() }
    }

    /// The metric that has `name` under `schema`, else the first one that got it later.
    pub(super) async fn holder(&mut self, name: &str, schema: &TenantSchema) -> Result<Option<MetricId>> {
        match schema.row_metric(name) {
            Some(holder) => Ok(Some(holder.clone())),
            None => self.first_holder(name, schema.version()).await,
        }
    }

    async fn first_holder(&mut self, name: &str, from: Version) -> Result<Option<MetricId>> {
        let known = self.first.entry(name.into()).or_default();
        if let Some(found) = known.iter().find(|found| found.from <= from && from < found.before) {
            return Ok(found.holder.clone());
        }
        let mut before = from.next();
        let mut holder = None;
        while holder.is_none() && before <= self.today {
            let later = self.store.at(self.tenant, before).await?;
            holder = later.row_metric(name).cloned();
            before = if holder.is_some() { before } else { before.next() };
        }
        known.push(FirstHolder { from, before, holder: holder.clone() });
        Ok(holder)
    }
}
