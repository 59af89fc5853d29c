//! Stage raw: events become records under the tenant's schema.

mod event;
mod refused;
mod tenants;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use fineo_core::{
    Code, ContentHash, EventId, MetricId, Rejection, TenantId, Timestamp,
    stream::{Delivery, Entry},
};
use fineo_schema::{Identity, RecordHead, TenantSchema, UnknownMetric, name};
use foldhash::fast::RandomState;

pub(crate) use self::refused::Tells;
use self::{
    event::{Event, Planned, event_id, ruled_out, time_of},
    tenants::Tenants,
};
use super::{
    identity::{self, NamesDigest},
    payload,
    uses::{Marked, MetricCell, Plan, Uses},
};
use crate::{
    envelope::{self, Envelope, Format},
    errors::{ErrorClass, ErrorRow},
    scan::{
        delimited,
        event::{Fields, Kind},
        names::{Names, Order},
    },
};

/// The schemas that a batch is read under, by tenant.
pub(crate) type Schemas = HashMap<TenantId, Arc<TenantSchema>, RandomState>;

/// Where an event may be a row.
pub(crate) type Place = (MetricId, EventId);

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct RawOutcome {
    /// The records, for the staged stream.
    pub(crate) forward: Vec<Entry>,
    /// Which delivery each of them is, by index.
    pub(crate) passed: Vec<usize>,
    /// When each of them happened.
    pub(crate) times: Vec<Timestamp>,
    /// Where those of them may be rows already whose metric's name was moved from one metric to another, by place in `forward`.
    pub(crate) elsewhere: Vec<(usize, Vec<Place>)>,
    /// The events that go no further.
    pub(crate) errors: Vec<ErrorRow>,
    /// Metrics to be discovered before the events of `deferred` can be read.
    pub(crate) missing_metrics: HashMap<TenantId, Vec<Arc<str>>>,
    /// The deliveries, by index, that wait for them.
    pub(crate) deferred: Vec<usize>,
}

/// Reads events into records. Keeps what it learned about names.
#[derive(Debug)]
pub(crate) struct RawStage {
    tenants: Tenants,
    fields_max: usize,
    /// The most bytes of an entry of the staged stream.
    record_bytes_max: usize,
    scratch: Scratch,
}

/// So many names of metrics are found by comparing, without a hash.
const RECENT_METRICS_MAX: usize = 16;

#[derive(Debug, Default)]
struct Scratch {
    fields: Fields,
    hashing: Hashing,
    plan: Plan,
    out: Vec<u8>,
}

#[derive(Debug, Default)]
struct Hashing {
    /// The cells in the order of their names.
    order: Order,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct TenantState {
    schema: Arc<TenantSchema>,
    names: Names,
    /// The digest of no names.
    digest: NamesDigest,
    uses: Uses,
    /// The metrics that events named lately, by their number among the uses, and how.
    recent_metrics: Vec<(Box<str>, u32)>,
    /// The key that named the tenant, and its number.
    dropped: Option<(Box<str>, u32)>,
    /// How many names of it [`Tenants`] counted.
    counted: usize,
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
    pub(crate) fn new(fields_max: usize, record_bytes_max: usize) -> Self {
        Self { tenants: Tenants::default(), fields_max, record_bytes_max, scratch: Scratch::default() }
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
        outcome.times.reserve(deliveries.len());
        self.scratch.out.clear();
        let mut wanted = wanted.peekable();
        while let Some(first) = wanted.peek().copied() {
            let tenant = &deliveries[first].tenant;
            let Some(schema) = schemas.get(tenant) else {
                unreachable!("the caller brings the schema of every tenant of the batch")
            };
            let state = self.tenants.state_of(tenant, schema);
            while let Some(index) = wanted.next_if(|index| deliveries[*index].tenant == *tenant) {
                let start = self.scratch.out.len();
                let read = state.read(&deliveries[index], &mut self.scratch, self.fields_max, may_discover);
                let bytes = self.scratch.out.len() - start;
                let carried = read.and_then(|read| {
                    check_carried(bytes, self.record_bytes_max)?;
                    Ok(read)
                });
                match carried {
                    Ok((time, elsewhere)) => {
                        if !elsewhere.is_empty() {
                            outcome.elsewhere.push((places.len(), elsewhere));
                        }
                        places.push((index, start..self.scratch.out.len()));
                        outcome.times.push(time);
                    }
                    Err(stop) => {
                        self.scratch.out.truncate(start);
                        let content = state.content_of(&deliveries[index], &mut self.scratch, self.fields_max);
                        let timed = content.filter(|content| content.has_time).map(|content| content.hash);
                        outcome.stopped(stop, &deliveries[index], index, timed);
                    }
                }
            }
            self.tenants.count(tenant);
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

/// Whether the staged stream carries a record: an event may become larger by names that stand once in it and often in the record.
fn check_carried(bytes: usize, bytes_max: usize) -> Result<(), Rejection> {
    if bytes <= bytes_max {
        return Ok(());
    }
    let message = format!(
        "with every name in full the event has {bytes} bytes, at most {bytes_max} are carried: send shorter or fewer names"
    );
    Err(Rejection::new(Code::RecordTooLarge, message))
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

impl TenantState {
    fn new(tenant: &TenantId, schema: &Arc<TenantSchema>) -> Self {
        Self {
            schema: Arc::clone(schema),
            names: Names::new(),
            digest: NamesDigest::of_tenant(tenant),
            uses: Uses::default(),
            recent_metrics: Vec::new(),
            dropped: None,
            counted: 0,
        }
    }

    /// Forgets what it knows of another schema, and names that became too many.
    fn make_fit_for(&mut self, schema: &Arc<TenantSchema>) {
        let has_forgotten = self.names.forget_if_full();
        if !Arc::ptr_eq(&self.schema, schema) || has_forgotten || self.uses.is_full() {
            self.schema = Arc::clone(schema);
            self.uses.clear();
            self.recent_metrics.clear();
            self.dropped = None;
        }
        self.names.rank();
    }

    /// Appends the staged entry of the event to `scratch.out`; answers when it happened, and where else it may be a row.
    fn read(
        &mut self,
        delivery: &Delivery,
        scratch: &mut Scratch,
        fields_max: usize,
        may_discover: bool,
    ) -> Result<(Timestamp, Vec<Place>), Stop> {
        let envelope = envelope::read(&delivery.payload).map_err(|error| {
            Stop::Failed(Rejection::new(Code::Internal, format!("the stored envelope cannot be read: {error}")))
        })?;
        let source = self.read_fields(&envelope, scratch, fields_max)?;
        let Scratch { fields, hashing, plan, out } = scratch;
        let event = Event { fields, source };
        let marked = self.mark(&envelope, event);
        let (alias, is_default) = self.alias(marked, event, &envelope)?;
        let number = self.metric(alias, may_discover)?;
        let content = self.hash(marked, is_default.then_some(alias), event, hashing);
        let Self { schema, names, uses, .. } = self;
        let policy = uses.metric(number).identity_at(schema, envelope.arrived_at);
        uses.plan(number, fields.cells(), names, marked, policy == Identity::Key, plan);
        let metric = uses.metric(number);
        if let Some(rejection) = ruled_out(metric, plan, event, names) {
            return Err(Stop::Rejected(rejection));
        }
        let time = time_of(plan.time, event, metric, envelope.arrived_at)?;
        let key = plan.event_id.map(|cell| event.cell_text(cell));
        let id = event_id(policy, plan.time.is_some(), key, content, envelope.arrival_id, schema.tenant());
        // A key is one event's whatever name its metric is called by, so that all of them stand in one place.
        let row_metric = if policy == Identity::Key { metric.id() } else { uses.row_metric(number) };
        payload::write_head(row_metric, schema.version(), id, envelope.arrived_at, out);
        let head = RecordHead { alias, timestamp: time, written_at: envelope.arrived_at, id, content };
        metric.layout().write(&head, &Planned { cells: &plan.cells, event, names }, out);
        // A key is that of other events, too; and an arrival is no other event's.
        let moved_from = if id.0 == content.0 { schema.moved_from(alias) } else { &[] };
        let elsewhere = moved_from.iter().filter(|metric| *metric != row_metric);
        Ok((time, elsewhere.map(|metric| (metric.clone(), id)).collect()))
    }

    /// Finds the cells that every event may have.
    fn mark(&mut self, envelope: &Envelope<'_>, event: Event<'_>) -> Marked {
        let dropped = envelope.dropped_key.and_then(|key| match &self.dropped {
            Some((known, number)) if **known == *key => Some(*number),
            Some(_) | None => {
                let number = self.names.number(key)?;
                self.dropped = Some((key.into(), number));
                Some(number)
            }
        });
        self.uses.mark(event.fields.cells(), &self.names, dropped, self.schema.settings())
    }

    /// The content hash of an event; `metric` where the envelope had to say it.
    fn hash(&self, marked: Marked, metric: Option<&str>, event: Event<'_>, hashing: &mut Hashing) -> ContentHash {
        let Hashing { order, bytes } = hashing;
        let cells = event.fields.cells();
        self.names.sort(cells.iter().map(|cell| cell.name), marked.dropped, order);
        let mut digest = self.digest;
        for (_, name) in order.iter() {
            digest.add(&self.names.name(name).digest);
        }
        identity::begin_content(&digest, metric, bytes);
        for (place, _) in order.iter() {
            let cell = &cells[place as usize];
            identity::push_value(cell.kind, event.fields.bytes(event.source, cell), bytes);
        }
        identity::content(bytes)
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
        marked: Marked,
        event: Event<'a>,
        envelope: &Envelope<'a>,
    ) -> Result<(&'a str, bool), Rejection> {
        let unreadable =
            |why: &str| Rejection::new(Code::MetricUnreadable, format!("the metric's name cannot be used: {why}"));
        let (alias, is_default) = match marked.metric {
            MetricCell::At(cell) => {
                let cell = &event.fields.cells()[cell as usize];
                match cell.kind {
                    Kind::String | Kind::Number | Kind::Boolean => (event.text(cell), false),
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

    /// The number of the metric called `alias` among the uses.
    fn metric(&mut self, alias: &str, may_discover: bool) -> Result<u32, Stop> {
        if let Some((_, number)) = self.recent_metrics.iter().find(|(recent, _)| **recent == *alias) {
            return Ok(*number);
        }
        if let Some(metric) = self.schema.metric_named(alias) {
            if self.recent_metrics.len() >= RECENT_METRICS_MAX {
                self.recent_metrics.clear();
            }
            let row_metric = self.schema.row_metric(alias).unwrap_or_else(|| metric.id());
            let number = self.uses.metric_number(metric, row_metric);
            self.recent_metrics.push((alias.into(), number));
            return Ok(number);
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
