//! Makes a change: thinks it out on the latest schema and appends it if that still is the latest.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use fineo_core::{
    Error, ErrorKind, MetricId, Outcome, Result, TenantId, Timestamp,
    repo::{Compared, Keep, Subject, Version, Write},
};

use super::{
    ATTEMPTS_MAX, SchemaStore, load,
    load::{metric_subject, tenant_subject},
    plan,
};
use crate::{
    Applied, Change, ChangeId, ChangeRequest, HistoryEntry, TenantSchema,
    document::State,
    edit::{Edit, NAMES_MAX},
    undo,
    wire::{ChangeRecord, METADATA_SCHEMA, METRIC_SCHEMA, TenantVersion, encode_metric},
};

/// Makes the change, anew on each later version that others make, until it happened or is refused.
///
/// The first attempt is made on `known`, where that is given, without a look at what stands: the append itself compares the receipt
/// and the version. Whatever keeps it from being made, the next attempt looks.
pub(super) async fn run(
    store: &SchemaStore,
    tenant: &TenantId,
    request: &ChangeRequest,
    known: Option<Arc<TenantSchema>>,
) -> Result<Applied> {
    prepare(store).await?;
    let mut is_unknown = false;
    let result = attempts(store, tenant, request, known, &mut is_unknown).await;
    // An append whose outcome was unknown may have been made, and a refusal may be of its own second try.
    result.map_err(|error| if is_unknown { error.and_may_have_applied() } else { error })
}

async fn attempts(
    store: &SchemaStore,
    tenant: &TenantId,
    request: &ChangeRequest,
    mut known: Option<Arc<TenantSchema>>,
    is_unknown: &mut bool,
) -> Result<Applied> {
    for _ in 0..ATTEMPTS_MAX {
        let known = known.take();
        if known.is_none()
            && let Some(version) = version_made_by(store, tenant, &request.id).await?
        {
            return repeated(store, tenant, version, *is_unknown).await;
        }
        let is_known = known.is_some();
        let schema = match known {
            Some(known) => known,
            None => store.refresh(tenant).await?,
        };
        let draft = drafted(store, tenant, request, &schema).await;
        if is_known && draft.as_ref().map_or(true, Draft::deltas_is_empty) {
            continue;
        }
        // What refuses the change, or leaves nothing of it, may be the same change: another's retry made it meanwhile.
        if draft.as_ref().map_or(true, Draft::deltas_is_empty)
            && let Some(version) = version_made_by(store, tenant, &request.id).await?
        {
            return repeated(store, tenant, version, *is_unknown).await;
        }
        let draft = draft?;
        if draft.deltas_is_empty() {
            return Ok(made(request, Vec::new(), schema));
        }
        let writes = draft.writes(store, tenant)?;
        match store.0.repo.append(writes, draft.version.change.at).await {
            Outcome::Done(Compared::Written) => {
                let summary = draft.version.change.summary.clone();
                let schema = store.remember(Arc::new(draft.into_schema(tenant, &schema)?));
                return Ok(made(request, summary, schema));
            }
            Outcome::Done(Compared::Conflict { .. }) => {}
            Outcome::NotDone(error) => return Err(error),
            // It happened whole or not at all; the receipt of the next round says which.
            Outcome::Unknown(error) => {
                *is_unknown = true;
                tracing::debug!(%tenant, %error, "whether the schema changed is unknown yet");
            }
        }
    }
    Err(Error::unavailable("the schema keeps changing, or the repository does not say whether it changed"))
}

/// The change on `schema`, unless it was meant for another version.
async fn drafted(
    store: &SchemaStore,
    tenant: &TenantId,
    request: &ChangeRequest,
    schema: &TenantSchema,
) -> Result<Draft> {
    if let Some(base) = request.base.filter(|base| *base != schema.version()) {
        return Err(Error::invalid("the schema changed since; look at it again")
            .with("code", "schema_conflict")
            .with("base", base)
            .with("current", schema.version()));
    }
    let edit = think_out(store, tenant, request, schema).await?;
    Draft::new(tenant, request, schema, edit)
}

async fn think_out(
    store: &SchemaStore,
    tenant: &TenantId,
    request: &ChangeRequest,
    schema: &TenantSchema,
) -> Result<Edit> {
    let now = store.0.clock.now().max(schema.changed_at());
    let [Change::Undo { change }] = request.changes.as_slice() else {
        return plan::edited(schema, &request.changes, now);
    };
    let made = version_made_by(store, tenant, change).await?;
    let made = made.ok_or_else(|| Error::not_found("there is no such change").with("change", change))?;
    let history = load::history(&*store.0.repo, tenant, made).await?;
    match history.split_first() {
        Some((entry, later)) if entry.id == *change => {
            // What was made after `schema` is the next attempt's matter.
            let known = later.iter().take_while(|later| later.version <= schema.version()).count();
            plan::undone(schema, entry, &later[..known], now)
        }
        Some(_) | None => Err(Error::corrupt("the receipt of a change names another one").with("change", change)),
    }
}

/// The subject that says which version a change made.
fn receipt_subject(tenant: &TenantId, change: &ChangeId) -> Result<Subject> {
    Subject::tenant(tenant, &format!("schema/change/{change}"), Keep::Latest)
}

async fn version_made_by(store: &SchemaStore, tenant: &TenantId, change: &ChangeId) -> Result<Option<Version>> {
    let Some(receipt) = store.0.repo.latest(&receipt_subject(tenant, change)?).await? else { return Ok(None) };
    let version = std::str::from_utf8(&receipt.body).ok().and_then(|text| text.parse().ok());
    let version =
        version.ok_or_else(|| Error::corrupt("the receipt of a change names no version").with("change", change))?;
    Ok(Some(Version(version)))
}

async fn repeated(store: &SchemaStore, tenant: &TenantId, version: Version, is_ours: bool) -> Result<Applied> {
    let entry = load::history(&*store.0.repo, tenant, version).await?.into_iter().next();
    let entry = entry.ok_or_else(|| Error::corrupt("the version of a change is missing").with("version", version))?;
    let schema = store.refresh(tenant).await?;
    let HistoryEntry { id, changes, summary, .. } = entry;
    Ok(Applied { id, version, changes, summary, is_repeated: !is_ours, schema })
}

/// What became of `request` now: `schema` is the one with it.
fn made(request: &ChangeRequest, summary: Vec<String>, schema: Arc<TenantSchema>) -> Applied {
    let (id, changes, version) = (request.id, request.changes.clone(), schema.version());
    Applied { id, version, changes, summary, is_repeated: false, schema }
}

/// The id of a discovery: of the same names on the same version it is the same.
pub(super) fn id_of_discovery(tenant: &TenantId, version: Version, names: &[Arc<str>]) -> ChangeId {
    let mut hash = blake3::Hasher::new();
    hash.update(b"discovery");
    for text in std::iter::once(tenant.as_str()).chain(names.iter().map(|name| &**name)) {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.update(&version.0.to_le_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    ChangeId::of_bytes(id)
}

/// A change that is thought out and not yet made.
struct Draft {
    base: Version,
    version: TenantVersion,
    state: State,
    /// The metrics whose documents change, with the versions that they stand at.
    touched: Vec<(u64, Version)>,
}

impl Draft {
    fn new(tenant: &TenantId, request: &ChangeRequest, schema: &TenantSchema, edit: Edit) -> Result<Self> {
        let Edit { mut state, now, summary, .. } = edit;
        let before = schema.state();
        let deltas = undo::deltas(before, &state)?;
        remember_lost_names(schema, &mut state)?;
        let mut touched = Vec::new();
        for (number, document) in &state.metrics {
            if before.metrics.get(number).is_some_and(|old| **old == **document) {
                continue;
            }
            let entry = state.tenant.metrics.get_mut(number);
            let entry =
                entry.ok_or_else(|| Error::internal("a metric's document has no entry").with("tenant", tenant))?;
            touched.push((*number, entry.version));
            entry.version = entry.version.next();
        }
        let change = ChangeRecord {
            id: request.id,
            at: now,
            author: request.author.clone(),
            changes: request.changes.clone(),
            summary,
            deltas,
        };
        let document = state.tenant.clone();
        let version = TenantVersion { version: schema.version().next(), document, change };
        Ok(Self { base: schema.version(), version, state, touched })
    }

    fn deltas_is_empty(&self) -> bool {
        self.version.change.deltas.is_empty()
    }

    /// The receipt first: a conflict there is found before one of versions.
    fn writes(&self, store: &SchemaStore, tenant: &TenantId) -> Result<Vec<Write>> {
        let receipt = Write {
            subject: receipt_subject(tenant, &self.version.change.id)?,
            expected: Version::NONE,
            body: Some(self.version.version.to_string().into()),
        };
        let body = Some(self.version.encode(tenant)?);
        let mut writes = vec![receipt, Write { subject: tenant_subject(tenant)?, expected: self.base, body }];
        for (number, version) in &self.touched {
            let id = MetricId::numbered(*number);
            let Some(document) = self.state.metrics.get(number) else { continue };
            let body = Some(encode_metric(&id, version.next(), document)?);
            writes.push(Write { subject: metric_subject(tenant, &id)?, expected: *version, body });
        }
        let capabilities = store.0.repo.capabilities();
        if writes.len() > capabilities.writes_max {
            return Err(Error::new(ErrorKind::LimitExceeded, "the change touches too many metrics; make it in parts")
                .with("metrics", self.touched.len())
                .with("max", capabilities.writes_max.saturating_sub(2)));
        }
        let largest = writes.iter().filter_map(|write| write.body.as_ref().map(Bytes::len)).max().unwrap_or(0);
        if largest > capabilities.body_bytes_max {
            return Err(Error::new(ErrorKind::LimitExceeded, "the schema document would be too large")
                .with("bytes", largest)
                .with("max", capabilities.body_bytes_max));
        }
        Ok(writes)
    }

    fn into_schema(self, tenant: &TenantId, previous: &TenantSchema) -> Result<TenantSchema> {
        TenantSchema::of_state(tenant, self.version.version, self.version.change.at, self.state, Some(previous))
    }
}

/// Keeps, by metric, the names that it loses with the change and under which its events were stored.
fn remember_lost_names(schema: &TenantSchema, state: &mut State) -> Result<()> {
    for (number, old) in &schema.state().tenant.metrics {
        let Some(entry) = state.tenant.metrics.get_mut(number) else { continue };
        let id = MetricId::numbered(*number);
        for name in old.names.iter().filter(|name| schema.row_metric(name) == Some(&id)) {
            if !entry.names.contains(name) && !entry.former_names.contains(name) {
                entry.former_names.push(Arc::clone(name));
            }
        }
        if entry.former_names.len() > NAMES_MAX {
            return Err(Error::new(ErrorKind::LimitExceeded, "the metric lost too many names")
                .with("metric", &entry.names[0])
                .with("max", NAMES_MAX));
        }
    }
    Ok(())
}

/// Puts the schemas of schemas into the repository, once.
async fn prepare(store: &SchemaStore) -> Result<()> {
    if store.0.is_prepared.load(Ordering::Relaxed) {
        return Ok(());
    }
    for (name, schema) in [("_fineo-metadata", METADATA_SCHEMA), ("_fineo-metric", METRIC_SCHEMA.as_str())] {
        let subject = Subject::system(name, Keep::History)?;
        let latest = store.0.repo.latest(&subject).await?;
        if latest.as_ref().is_some_and(|latest| latest.body == schema.as_bytes()) {
            continue;
        }
        let expected = latest.map_or(Version::NONE, |latest| latest.version);
        let write = Write { subject, expected, body: Some(Bytes::from_static(schema.as_bytes())) };
        let now: Timestamp = store.0.clock.now();
        match store.0.repo.append(vec![write], now).await {
            // A conflict means that another process just did the same.
            Outcome::Done(_) => {}
            Outcome::NotDone(error) => return Err(error),
            // The next change looks again.
            Outcome::Unknown(_) => return Ok(()),
        }
    }
    store.0.is_prepared.store(true, Ordering::Relaxed);
    Ok(())
}
