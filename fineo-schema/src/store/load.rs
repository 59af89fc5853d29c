//! Reads schemas from the repository.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use fineo_core::{
    Error, MetricId, Result, SchemaRepo, TenantId, TimeRange, Timestamp,
    repo::{Keep, Subject, Version, Versioned},
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    HistoryEntry, TenantSchema,
    document::{MetricDocument, State},
    wire::{TenantState, TenantVersion, decode_metric},
};

/// How many documents are read at a time.
const READS_AT_ONCE: usize = 16;
/// How many versions of a tenant's document are read at a time.
const VERSIONS_AT_ONCE: usize = 64;

/// The subject of a tenant's document: its version is the version of the schema.
pub(super) fn tenant_subject(tenant: &TenantId) -> Result<Subject> {
    Subject::tenant(tenant, "schema/tenant", Keep::History)
}

/// The subject of a metric's document.
pub(super) fn metric_subject(tenant: &TenantId, metric: &MetricId) -> Result<Subject> {
    Subject::tenant(tenant, &format!("schema/metric/{metric}"), Keep::History)
}

/// The latest schema, or `known` when that is as late or the repository answers an older one.
pub(super) async fn latest(
    repo: &dyn SchemaRepo,
    tenant: &TenantId,
    known: Option<&Arc<TenantSchema>>,
) -> Result<Arc<TenantSchema>> {
    let found = repo.latest(&tenant_subject(tenant)?).await?;
    let version = found.as_ref().map_or(Version::NONE, |found| found.version);
    if let Some(known) = known.filter(|known| known.version() >= version) {
        if known.version() > version {
            tracing::warn!(%tenant, cached = %known.version(), found = %version, "the repository went backward");
        }
        return Ok(Arc::clone(known));
    }
    match found {
        Some(found) => Ok(Arc::new(of_version(repo, tenant, &found, known.map(|known| &**known)).await?)),
        None => Ok(Arc::new(TenantSchema::empty(tenant))),
    }
}

/// The schema under `version`.
pub(super) async fn at(
    repo: &dyn SchemaRepo,
    tenant: &TenantId,
    version: Version,
    known: Option<&TenantSchema>,
) -> Result<TenantSchema> {
    if version == Version::NONE {
        return Ok(TenantSchema::empty(tenant));
    }
    let found = exactly(repo, &tenant_subject(tenant)?, version).await?;
    let found = found.ok_or_else(|| Error::not_found("the schema has no such version").with("version", version))?;
    of_version(repo, tenant, &found, known).await
}

async fn exactly(repo: &dyn SchemaRepo, subject: &Subject, version: Version) -> Result<Option<Versioned>> {
    let found = repo.history(subject, version, 1).await?;
    Ok(found.into_iter().next().filter(|found| found.version == version))
}

async fn of_version(
    repo: &dyn SchemaRepo,
    tenant: &TenantId,
    found: &Versioned,
    known: Option<&TenantSchema>,
) -> Result<TenantSchema> {
    let stands =
        TenantState::decode(&found.body, tenant, found.version).map_err(|error| error.with("tenant", tenant))?;
    let mut metrics: BTreeMap<u64, Arc<MetricDocument>> = BTreeMap::new();
    let mut missing = Vec::new();
    for (number, entry) in stands.document.metrics.iter().filter(|(_, entry)| entry.version > Version::NONE) {
        let known = known.map(TenantSchema::state);
        let same =
            known.filter(|state| state.tenant.metrics.get(number).is_some_and(|old| old.version == entry.version));
        match same.and_then(|state| state.metrics.get(number)) {
            Some(document) => {
                metrics.insert(*number, Arc::clone(document));
            }
            None => missing.push((*number, entry.version)),
        }
    }
    let reads = missing.into_iter().map(|(number, version)| async move {
        let id = MetricId::numbered(number);
        let body = metric_body(repo, tenant, &id, version).await?;
        let document =
            decode_metric(&body, &id, version).map_err(|error| error.with("tenant", tenant).with("metric", &id))?;
        Ok::<_, Error>((number, document))
    });
    let read: Vec<_> = stream::iter(reads).buffer_unordered(READS_AT_ONCE).try_collect().await?;
    metrics.extend(read);
    let state = State { tenant: stands.document, metrics };
    // What is stored was legal when it was written; if it is not now, it is not what was written.
    let schema = TenantSchema::of_state(tenant, found.version, stands.changed_at, state, known);
    schema.map_err(|source| Error::corrupt("a stored schema is illegal").with("tenant", tenant).with_source(source))
}

async fn metric_body(repo: &dyn SchemaRepo, tenant: &TenantId, id: &MetricId, version: Version) -> Result<Bytes> {
    let found = exactly(repo, &metric_subject(tenant, id)?, version).await?;
    let found = found.ok_or_else(|| {
        Error::corrupt("a metric's document is missing")
            .with("tenant", tenant)
            .with("metric", id)
            .with("version", version)
    })?;
    Ok(found.body)
}

/// Every change from the one that made `first` on, oldest first.
pub(super) async fn history(repo: &dyn SchemaRepo, tenant: &TenantId, first: Version) -> Result<Vec<HistoryEntry>> {
    let subject = tenant_subject(tenant)?;
    let mut entries = Vec::new();
    let mut next = first;
    loop {
        let found = repo.history(&subject, next, VERSIONS_AT_ONCE).await?;
        let Some(last) = found.last() else { return Ok(entries) };
        next = last.version.next();
        for version in &found {
            entries.push(TenantVersion::decode(&version.body, tenant, version.version)?.into_history());
        }
    }
}

/// The last version, up to `latest`, that was made at or before `time`, and until when no other one was made. Times of
/// versions never decrease.
pub(super) async fn version_at(
    repo: &dyn SchemaRepo,
    tenant: &TenantId,
    latest: Version,
    time: Timestamp,
) -> Result<(Version, TimeRange)> {
    let subject = tenant_subject(tenant)?;
    let (mut known, mut beyond) = (0, latest.0 + 1);
    let mut during = TimeRange::ALL;
    while known + 1 < beyond {
        let middle = known + (beyond - known) / 2;
        let found = exactly(repo, &subject, Version(middle)).await?;
        let found = found.ok_or_else(|| Error::corrupt("a version of a schema is missing").with("version", middle))?;
        let made_at = TenantState::decode(&found.body, tenant, found.version)?.changed_at;
        if made_at <= time {
            (known, during.from) = (middle, made_at.micros());
        } else {
            (beyond, during.to) = (middle, made_at.micros());
        }
    }
    Ok((Version(known), during))
}
