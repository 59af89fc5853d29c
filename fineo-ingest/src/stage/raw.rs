//! Stage raw: events become records under the tenant's schema.

mod refused;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use fineo_core::{
    Code, ContentHash, EventId, Rejection, TenantId, Timestamp,
    stream::{Delivery, Entry},
};
use fineo_schema::{Cell, Identity, Metric, MissingTimestamp, RecordHead, TenantSchema, UnknownMetric, name};

use super::{
    identity, payload,
    plan::{MetricCell, PlannedCell, Plans, Shape},
};
use crate::{
    envelope::{self, Envelope, Format},
    errors::{ErrorClass, ErrorRow},
    scan::{
        delimited,
        event::{FieldCell, Fields, Kind},
        names::Names,
    },
};

/// The schemas that a batch is read under, by tenant.
pub(crate) type Schemas = HashMap<TenantId, Arc<TenantSchema>>;

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct RawOutcome {
    /// The records, for the staged stream.
    pub(crate) forward: Vec<Entry>,
    /// Which delivery each of them is, by index.
    pub(crate) passed: Vec<usize>,
    /// The events that go no further.
    pub(crate) errors: Vec<ErrorRow>,
    /// Metrics to be discovered before the events of `deferred` can be read.
    pub(crate) missing_metrics: HashMap<TenantId, Vec<Arc<str>>>,
    /// The deliveries, by index, that wait for them.
    pub(crate) deferred: Vec<usize>,
}

/// Reads events into records. Keeps what it learned about names and shapes.
#[derive(Debug)]
pub(crate) struct RawStage {
    tenants: HashMap<TenantId, TenantState>,
    fields_max: usize,
    scratch: Scratch,
}

/// More tenants than this are not remembered.
const TENANTS_MAX: usize = 256;
/// So many names of metrics are found by comparing, without a hash.
const RECENT_METRICS_MAX: usize = 16;

#[derive(Debug, Default)]
struct Scratch {
    fields: Fields,
    hashed: Vec<u8>,
    out: Vec<u8>,
}

#[derive(Debug)]
struct TenantState {
    schema: Arc<TenantSchema>,
    names: Names,
    plans: Plans,
    /// The metric that the last event named, and how.
    recent_metrics: Vec<(Box<str>, Arc<Metric>)>,
}

/// Why an event was not forwarded.
enum Stop {
    Rejected(Rejection),
    Failed(Rejection),
    Undiscovered(Arc<str>),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl RawStage {
    pub(crate) fn new(fields_max: usize) -> Self {
        Self { tenants: HashMap::new(), fields_max, scratch: Scratch::default() }
    }

    /// Reads those of `deliveries` that `wanted` names. `key` is the key of the entries to forward;
    /// `may_discover` whether an unknown metric may be asked for.
    pub(crate) fn apply(
        &mut self,
        schemas: &Schemas,
        deliveries: &[Delivery],
        wanted: impl Iterator<Item = usize>,
        key: u64,
        may_discover: bool,
    ) -> RawOutcome {
        let mut outcome = RawOutcome::default();
        let mut places: Vec<(usize, std::ops::Range<usize>)> = Vec::with_capacity(deliveries.len());
        self.scratch.out.clear();
        let mut wanted = wanted.peekable();
        while let Some(first) = wanted.peek().copied() {
            let tenant = &deliveries[first].tenant;
            let Some(schema) = schemas.get(tenant) else {
                unreachable!("the caller brings the schema of every tenant of the batch")
            };
            let state = state_of(&mut self.tenants, tenant, schema);
            while let Some(index) = wanted.next_if(|index| deliveries[*index].tenant == *tenant) {
                let start = self.scratch.out.len();
                let read = state.read(&deliveries[index], &mut self.scratch, self.fields_max, may_discover);
                match read {
                    Ok(()) => places.push((index, start..self.scratch.out.len())),
                    Err(stop) => {
                        self.scratch.out.truncate(start);
                        let content = state.content_of(&deliveries[index], &mut self.scratch, self.fields_max);
                        let timed = content.filter(|content| content.has_time).map(|content| content.hash);
                        outcome.stopped(stop, &deliveries[index], index, timed);
                    }
                }
            }
        }
        // One allocation for all records of the batch.
        let records = Bytes::copy_from_slice(&self.scratch.out);
        outcome.passed.extend(places.iter().map(|(index, _)| *index));
        outcome.forward.extend(places.into_iter().map(|(index, range)| Entry {
            tenant: deliveries[index].tenant.clone(),
            key,
            payload: records.slice(range),
        }));
        outcome
    }
}

/// Each name once, in the order of first sight: that is the order in which metrics are discovered.
pub(crate) fn distinct(names: Vec<Arc<str>>) -> Vec<Arc<str>> {
    let mut known = HashSet::new();
    names.into_iter().filter(|name| known.insert(Arc::clone(name))).collect()
}

impl RawOutcome {
    fn stopped(&mut self, stop: Stop, delivery: &Delivery, index: usize, content: Option<ContentHash>) {
        let (class, rejection) = match stop {
            Stop::Undiscovered(metric) => {
                self.missing_metrics.entry(delivery.tenant.clone()).or_default().push(metric);
                self.deferred.push(index);
                return;
            }
            Stop::Rejected(rejection) => (ErrorClass::Malformed, rejection),
            Stop::Failed(rejection) => (ErrorClass::Commit, rejection),
        };
        self.errors.push(ErrorRow::of_raw(delivery, class, rejection, content));
    }
}

fn state_of<'a>(
    tenants: &'a mut HashMap<TenantId, TenantState>,
    tenant: &TenantId,
    schema: &Arc<TenantSchema>,
) -> &'a mut TenantState {
    if tenants.len() >= TENANTS_MAX && !tenants.contains_key(tenant) {
        tenants.clear();
    }
    let state = tenants.entry(tenant.clone()).or_insert_with(|| TenantState {
        schema: Arc::clone(schema),
        names: Names::new(),
        plans: Plans::default(),
        recent_metrics: Vec::new(),
    });
    if !Arc::ptr_eq(&state.schema, schema) {
        state.schema = Arc::clone(schema);
        state.plans.clear();
        state.recent_metrics.clear();
    }
    if state.names.forget_if_full() {
        state.plans.clear();
    }
    state
}

impl TenantState {
    /// Appends the staged entry of the event to `scratch.out`.
    fn read(
        &mut self,
        delivery: &Delivery,
        scratch: &mut Scratch,
        fields_max: usize,
        may_discover: bool,
    ) -> Result<(), Stop> {
        let envelope = envelope::read(&delivery.payload).map_err(|error| {
            Stop::Failed(Rejection::new(Code::Internal, format!("the stored envelope cannot be read: {error}")))
        })?;
        let source = self.read_fields(&envelope, scratch, fields_max)?;
        let Scratch { fields, hashed, out } = scratch;
        let cells = fields.cells();
        let shape = self.plans.shape_of(cells, &self.names, envelope.dropped_key, &self.schema);
        let (alias, is_default) = self.alias(shape, fields, source, &envelope)?;
        let metric = self.metric(alias, may_discover)?;
        let policy = metric.identity_at(&self.schema, envelope.arrived_at);
        let plan = self.plans.plan_of(shape, &metric, policy, cells, &self.names);
        let (shape, plan) = (self.plans.shape(shape), self.plans.plan(plan));
        if let Some(rejection) = &plan.ruled_out {
            return Err(Stop::Rejected(rejection.clone()));
        }
        let time = time_of(plan.time.map(|cell| &cells[cell as usize]), fields, source, &metric, envelope.arrived_at)?;
        let content = hash_of(shape, is_default.then_some(alias), fields, source, hashed);
        let key = plan.event_id.map(|cell| fields.text(source, &cells[cell as usize]));
        let has_time = plan.time.is_some();
        let id = event_id(policy, has_time, key, content, envelope.arrival_id, self.schema.tenant());
        payload::write_head(metric.id(), self.schema.version(), id, envelope.arrived_at, out);
        let head = RecordHead { alias, timestamp: time, written_at: envelope.arrived_at, id, content };
        let walk = Walk { planned: plan.cells.iter(), cells, fields, source, names: &self.names };
        metric.layout().write(&head, walk, out);
        Ok(())
    }

    /// Fills `scratch.fields`; answers the text that they borrow from.
    fn read_fields<'e>(
        &mut self,
        envelope: &Envelope<'e>,
        scratch: &mut Scratch,
        fields_max: usize,
    ) -> Result<&'e str, Rejection> {
        match envelope.format {
            Format::Json => {
                let source = std::str::from_utf8(envelope.event)
                    .map_err(|_| Rejection::new(Code::BadUtf8, "the event is not UTF-8"))?;
                scratch.fields.read(&mut self.names, source, fields_max)?;
                Ok(source)
            }
            Format::Csv => {
                delimited::read(&mut scratch.fields, &mut self.names, envelope.event, fields_max)?;
                Ok("")
            }
        }
    }

    /// The metric's name as sent, and whether the envelope had to say it.
    fn alias<'a>(
        &self,
        shape: u32,
        fields: &'a Fields,
        source: &'a str,
        envelope: &Envelope<'a>,
    ) -> Result<(&'a str, bool), Rejection> {
        let unreadable =
            |why: &str| Rejection::new(Code::MetricUnreadable, format!("the metric's name cannot be used: {why}"));
        let (alias, is_default) = match self.plans.shape(shape).metric {
            MetricCell::At(cell) => {
                let cell = &fields.cells()[cell as usize];
                match cell.kind {
                    Kind::String | Kind::Number | Kind::Boolean => (fields.text(source, cell), false),
                    Kind::Array | Kind::EmptyObject => return Err(unreadable("it is an array or an object")),
                }
            }
            MetricCell::Unreadable => return Err(unreadable("it is an object")),
            MetricCell::Missing => match envelope.metric {
                Some(metric) => (metric, true),
                None => {
                    let keys: Vec<&str> = self.schema.settings().metric_keys.iter().map(|key| &**key).collect();
                    let keys = if keys.is_empty() { "metrictype".to_owned() } else { keys.join(", ") };
                    let message = format!("no metric key is present: send {keys}");
                    return Err(Rejection::new(Code::MetricMissing, message));
                }
            },
        };
        Ok((alias, is_default))
    }

    fn metric(&mut self, alias: &str, may_discover: bool) -> Result<Arc<Metric>, Stop> {
        if let Some((_, metric)) = self.recent_metrics.iter().find(|(recent, _)| **recent == *alias) {
            return Ok(Arc::clone(metric));
        }
        if let Some(metric) = self.schema.metric_named(alias) {
            if self.recent_metrics.len() >= RECENT_METRICS_MAX {
                self.recent_metrics.clear();
            }
            self.recent_metrics.push((alias.into(), Arc::clone(metric)));
            return Ok(Arc::clone(metric));
        }
        if !name::is_legal_metric(alias) {
            let shown: String = alias.chars().take(60).collect();
            let message = format!("not the name of a metric: {shown:?}");
            return Err(Stop::Rejected(Rejection::new(Code::MetricUnreadable, message)));
        }
        match self.schema.settings().unknown_metric {
            UnknownMetric::Discover if may_discover => Err(Stop::Undiscovered(alias.into())),
            UnknownMetric::Discover | UnknownMetric::Reject => {
                let message = format!("no metric or alias is called {alias:?}: declare it");
                Err(Stop::Rejected(Rejection::new(Code::MetricUnknown, message)))
            }
        }
    }
}

/// The content hash of an event of `shape`.
fn hash_of(shape: &Shape, metric: Option<&str>, fields: &Fields, source: &str, hashed: &mut Vec<u8>) -> ContentHash {
    identity::begin_content(&shape.digest, metric, hashed);
    for cell in &shape.sorted {
        let cell = &fields.cells()[*cell as usize];
        identity::push_value(cell.kind, fields.text(source, cell), hashed);
    }
    identity::content(hashed)
}

fn time_of(
    cell: Option<&FieldCell>,
    fields: &Fields,
    source: &str,
    metric: &Metric,
    arrived_at: Timestamp,
) -> Result<Timestamp, Rejection> {
    let Some(cell) = cell else {
        return match metric.missing_timestamp() {
            MissingTimestamp::Arrival => Ok(arrived_at),
            MissingTimestamp::Reject => {
                Err(Rejection::new(Code::TimestampMissing, "the event has no time: send timestamp"))
            }
        };
    };
    let text = fields.text(source, cell);
    let time = match cell.kind {
        Kind::String | Kind::Number => metric.time_parser().parse(text),
        Kind::Boolean | Kind::Array | Kind::EmptyObject => None,
    };
    time.ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        Rejection::new(Code::TimestampUnreadable, format!("the time fits no format: {shown:?}"))
    })
}

fn event_id(
    policy: Identity,
    has_time: bool,
    key: Option<&str>,
    content: ContentHash,
    arrival: EventId,
    tenant: &TenantId,
) -> EventId {
    match (policy, key) {
        (Identity::Key, Some(key)) if has_time => identity::of_key(tenant, key),
        (Identity::Content | Identity::Key, _) if has_time => EventId(content.0),
        (Identity::Content | Identity::Key | Identity::Arrival, _) => arrival,
    }
}

/// The cells of a record, by plan.
#[derive(Clone)]
struct Walk<'a> {
    planned: std::slice::Iter<'a, PlannedCell>,
    cells: &'a [FieldCell],
    fields: &'a Fields,
    source: &'a str,
    names: &'a Names,
}

impl<'a> Walk<'a> {
    fn cell(&self, planned: &PlannedCell) -> Cell<'a> {
        let cell = &self.cells[planned.cell as usize];
        let name = &*self.names.name(cell.name).text;
        Cell { name, text: self.fields.text(self.source, cell), slot: planned.slot }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let planned = self.planned.next()?;
        Some(self.cell(planned))
    }

    fn nth(&mut self, count: usize) -> Option<Cell<'a>> {
        let planned = self.planned.nth(count)?;
        Some(self.cell(planned))
    }
}
