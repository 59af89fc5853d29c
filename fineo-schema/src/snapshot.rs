//! A tenant's schema under one version: immutable, prepared for look-ups.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fineo_core::{Cover, Error, MetricId, Result, TenantId, Timestamp, repo::Version};

mod holders;

use self::holders::Holders;
use crate::{
    Found, Identity, Metric, MissingTimestamp, RetainDays, Role, TimeFormat, UnknownMetric,
    document::{IdentityEntry, RoleDocument, State, metric_number},
    name,
    role::{Readable, readable},
};

/// What holds for all metrics of a tenant that do not say otherwise.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The keys of an event that may name its metric, in order; `metrictype` after them.
    pub metric_keys: Vec<Arc<str>>,
    /// The keys of an event that may bear its time, in order, after the metric's own.
    pub timestamp_aliases: Vec<Arc<str>>,
    /// How times are read, after the metric's own formats.
    pub timestamp_formats: Vec<TimeFormat>,
    /// What becomes of an event of an unknown metric.
    pub unknown_metric: UnknownMetric,
    /// What becomes of an event without a time.
    pub missing_timestamp: MissingTimestamp,
    /// For how long rows are kept, where their metric does not say.
    pub retain_days: RetainDays,
    pub(crate) identity: Vec<IdentityEntry>,
}

impl Settings {
    /// What makes events that arrived at `arrival` the same, where their metric does not say.
    pub fn identity_at(&self, arrival: Timestamp) -> Identity {
        identity_in(&self.identity, arrival).unwrap_or_default()
    }
}

/// The entry of a history that is in force at `arrival`.
pub(crate) fn identity_in(history: &[IdentityEntry], arrival: Timestamp) -> Option<Identity> {
    history.iter().rev().find(|entry| entry.from <= arrival.micros())?.identity
}

/// A metric that was deleted: its rows up to some positions are unreadable, to be collected.
#[derive(Debug, Clone, PartialEq)]
pub struct DeletedMetric {
    /// Which one.
    pub id: MetricId,
    /// The names under which its events came.
    pub names: Vec<Arc<str>>,
    /// The positions up to which its rows are gone for ever.
    pub through: Cover,
}

/// A tenant's schema under one version.
#[derive(Debug)]
pub struct TenantSchema {
    tenant: TenantId,
    version: Version,
    changed_at: Timestamp,
    settings: Settings,
    metrics: Vec<Arc<Metric>>,
    by_id: HashMap<MetricId, usize>,
    by_name: HashMap<Arc<str>, usize>,
    by_lower_name: HashMap<String, Vec<usize>>,
    holders: Holders,
    deleted: Vec<DeletedMetric>,
    roles: BTreeMap<Arc<str>, Role>,
    has_errors: bool,
    state: State,
}

impl TenantSchema {
    /// The schema of a tenant that never changed anything.
    pub fn empty(tenant: &TenantId) -> Self {
        Self::of_state(tenant, Version::NONE, Timestamp::MIN, State::default(), None)
            .expect("an empty schema has nothing illegal")
    }

    /// Prepares `state`, taking over what did not change from `previous`.
    pub(crate) fn of_state(
        tenant: &TenantId,
        version: Version,
        changed_at: Timestamp,
        state: State,
        previous: Option<&Self>,
    ) -> Result<Self> {
        let mut schema = Self::of_state_in(None, tenant, version, changed_at, state, previous)?;
        let roles = schema.state.tenant.roles.iter();
        schema.roles = roles.map(|(name, document)| (Arc::clone(name), Role::new(name, document))).collect();
        Ok(schema)
    }

    /// As [`TenantSchema::of_state`], as far as `role` may read it.
    fn of_state_in(
        role: Option<&RoleDocument>,
        tenant: &TenantId,
        version: Version,
        changed_at: Timestamp,
        state: State,
        previous: Option<&Self>,
    ) -> Result<Self> {
        let settings = prepare_settings(&state)?;
        let rows = row_metrics(&state);
        // A metric holds what the settings say about times.
        let is_same = |old: &&Self| {
            old.settings.timestamp_formats == settings.timestamp_formats
                && old.settings.timestamp_aliases == settings.timestamp_aliases
                && old.settings.missing_timestamp == settings.missing_timestamp
        };
        let reusable = previous.filter(is_same);
        let mut schema = Self {
            tenant: tenant.clone(),
            version,
            changed_at,
            settings,
            metrics: Vec::new(),
            by_id: HashMap::new(),
            by_name: HashMap::new(),
            by_lower_name: HashMap::new(),
            holders: Holders::default(),
            deleted: Vec::new(),
            roles: BTreeMap::new(),
            has_errors: role.is_none_or(|role| role.is_for_errors),
            state,
        };
        for (number, entry) in &schema.state.tenant.metrics {
            let id = MetricId::numbered(*number);
            let root = schema.state.tenant.metrics.get(&root_of(&schema.state, *number)).unwrap_or(entry);
            if let Some(through) = &root.deleted {
                let names = entry.names.iter().chain(&entry.former_names).cloned().collect();
                schema.deleted.push(DeletedMetric { id, names, through: through.0.clone() });
                continue;
            }
            if entry.merged_into.is_some() {
                continue;
            }
            let document = schema.state.metrics.get(number).cloned().unwrap_or_default();
            let Some(Readable { document, is_closed }) = readable(role, *number, document) else { continue };
            let row_metrics = rows.get(number).cloned().unwrap_or_default();
            let reused =
                reusable.and_then(|old| old.metric(&id)).filter(|old| old.is_of(entry, &document, &row_metrics));
            let metric = match reused {
                Some(old) => Arc::clone(old),
                None => {
                    let metric = Metric::of_documents(id.clone(), entry, document, row_metrics, &schema.settings)?;
                    Arc::new(if is_closed { metric.closed() } else { metric })
                }
            };
            let index = schema.metrics.len();
            schema.by_id.insert(id, index);
            for name in metric.names() {
                schema.by_name.insert(Arc::clone(name), index);
                let same = schema.by_lower_name.entry(name.to_lowercase()).or_default();
                if !same.contains(&index) {
                    same.push(index);
                }
            }
            schema.metrics.push(metric);
        }
        schema.holders = Holders::of(&schema);
        Ok(schema)
    }

    /// Whose schema it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Its version: every change, also of one metric alone, has its own.
    pub fn version(&self) -> Version {
        self.version
    }

    /// When this version was made; never before an earlier version.
    pub fn changed_at(&self) -> Timestamp {
        self.changed_at
    }

    /// What holds for all metrics.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The metrics in order of creation, without those that were merged away or deleted.
    pub fn metrics(&self) -> impl Iterator<Item = &Arc<Metric>> {
        self.metrics.iter()
    }

    /// The metric with this canonical id. A merged one answers as the one that it was merged into.
    pub fn metric(&self, id: &MetricId) -> Option<&Arc<Metric>> {
        if let Some(index) = self.by_id.get(id) {
            return self.metrics.get(*index);
        }
        let number = metric_number(id)?;
        let root = root_of(&self.state, number);
        let index = self.by_id.get(&MetricId::numbered(root)).filter(|_| root != number)?;
        self.metrics.get(*index)
    }

    /// The metric that has exactly this name or alias.
    pub fn metric_named(&self, name: &str) -> Option<&Arc<Metric>> {
        self.by_name.get(name).and_then(|index| self.metrics.get(*index))
    }

    /// The id under which events that call their metric `name` are stored; none where no metric has that name.
    ///
    /// A merge does not change it: an event that is sent or replayed again is found where it was stored before.
    pub fn row_metric(&self, name: &str) -> Option<&MetricId> {
        self.holders.last.get(name).or_else(|| self.metric_named(name).map(|metric| metric.id()))
    }

    /// The ids under which events that call their metric `name` may be stored already, where they are several because the
    /// name was moved from one metric to another; among them that of [`TenantSchema::row_metric`], if it was used.
    pub fn moved_from(&self, name: &str) -> &[MetricId] {
        self.holders.moved.get(name).map_or(&[], Vec::as_slice)
    }

    /// The metric that a SQL identifier means: an exact match wins, else a unique match that ignores case;
    /// a quoted one is exact.
    pub fn find_metric(&self, identifier: &str, quoted: bool) -> Found<&Arc<Metric>> {
        if let Some(metric) = self.metric_named(identifier) {
            return Found::One(metric);
        }
        let lower = identifier.to_lowercase();
        let matches = self.by_lower_name.get(&lower).filter(|_| !quoted).map_or(&[][..], Vec::as_slice);
        match matches {
            [] => Found::None { near: name::near(identifier, self.by_name.keys().map(|name| &**name)) },
            [index] => Found::One(&self.metrics[*index]),
            several => {
                let names = several.iter().flat_map(|index| self.metrics[*index].names());
                Found::Ambiguous(
                    names.filter(|name| name.to_lowercase() == lower).map(|name| name.to_string()).collect(),
                )
            }
        }
    }

    /// The metrics whose rows are gone for ever, for whoever collects them.
    pub fn deleted_metrics(&self) -> &[DeletedMetric] {
        &self.deleted
    }

    /// Whether the metric was deleted, or what it was merged into: nobody reads its rows any more.
    pub fn is_deleted(&self, id: &MetricId) -> bool {
        self.deleted.iter().any(|deleted| deleted.id == *id)
    }

    /// The role of this name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    /// The roles by name.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// What of this schema may be read in `role`: the metrics and fields that are granted, and nothing that tells of others.
    ///
    /// # Errors
    ///
    /// `NotFound` with the code `role_missing` when there is no such role.
    pub fn seen_in(&self, role: &str) -> Result<Arc<Self>> {
        let missing = || Error::not_found("there is no such role").with("code", "role_missing").with("role", role);
        self.role(role).ok_or_else(missing)?.view(|document| {
            Self::of_state_in(Some(document), &self.tenant, self.version, self.changed_at, self.state.clone(), None)
        })
    }

    /// Whether errors may be read, which hold events as they were sent.
    pub fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// Whether some metric's rows are not kept for ever.
    pub fn has_retention(&self) -> bool {
        self.metrics.iter().any(|metric| metric.retain_days(self) != RetainDays::Forever)
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }
}

fn prepare_settings(state: &State) -> Result<Settings> {
    let document = &state.tenant.settings;
    let formats: Result<Vec<TimeFormat>> =
        document.timestamp_formats.iter().map(|text| TimeFormat::parse(text)).collect();
    Ok(Settings {
        metric_keys: document.metric_keys.clone(),
        timestamp_aliases: document.timestamp_aliases.clone(),
        timestamp_formats: formats?,
        unknown_metric: document.unknown_metric,
        missing_timestamp: document.missing_timestamp,
        retain_days: document.retain_days.unwrap_or_default(),
        identity: document.identity.clone(),
    })
}

/// The metric that `number` was merged into, or itself.
pub(crate) fn root_of(state: &State, number: u64) -> u64 {
    let mut root = number;
    // Merges never form a ring; the bound keeps a corrupt document from making one.
    for _ in 0..state.tenant.metrics.len() {
        match state.tenant.metrics.get(&root).and_then(|entry| entry.merged_into) {
            Some(next) => root = next,
            None => break,
        }
    }
    root
}

/// For each live metric the ids whose rows answer under it: its own first.
fn row_metrics(state: &State) -> BTreeMap<u64, Vec<MetricId>> {
    let mut rows: BTreeMap<u64, Vec<MetricId>> = BTreeMap::new();
    for number in state.tenant.metrics.keys() {
        let root = root_of(state, *number);
        let ids = rows.entry(root).or_insert_with(|| vec![MetricId::numbered(root)]);
        if root != *number {
            ids.push(MetricId::numbered(*number));
        }
    }
    rows
}
