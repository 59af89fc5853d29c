//! Events that may be rows already, elsewhere: where another schema reads another time, metric or identity from an event, neither
//! the nearline store nor compaction meets the row that it is. A replay adds what is missing; it moves nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fineo_core::{
    Cover, EventId, MetricId, Result, ShardId, TimeRange, Timestamp,
    stream::{Delivery, Entry},
};
use fineo_schema::TenantSchema;

use super::{ROUNDS_MAX, ReplayMode, ReplayRequest, first_that_knows};
use crate::{
    FiledEvents, Pipeline, envelope,
    errors::ErrorRow,
    filed,
    stage::{
        payload,
        raw::{Place, RawOutcome, RawStage, Schemas, distinct},
    },
};

/// How long the stages may take for what came before.
const DRAINED_WITHIN: Duration = Duration::from_secs(600);
/// So many doubts are settled together, or so many bytes of records: rows are looked through once for all of them.
const HELD_MAX: usize = 65_536;
const HELD_BYTES_MAX: usize = 64 << 20;

/// A record that is passed on unless the event is a row at one of these places.
#[derive(Debug)]
pub(super) struct Doubt {
    entry: Entry,
    places: Vec<Place>,
}

/// The error of an event, and those that it had before and are not repaired.
#[derive(Debug)]
pub(super) struct RefusedAgain {
    pub(super) error: ErrorRow,
    pub(super) open: Vec<EventId>,
}

/// An error that is written unless its event is a row at one of these places.
#[derive(Debug)]
struct Refused {
    shard: ShardId,
    again: RefusedAgain,
    places: Vec<Place>,
}

/// What became of what was held.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Records of events that are no rows.
    pub(super) entries: Vec<Entry>,
    /// How many events are rows.
    pub(super) known: u64,
    /// Errors of events that are no rows.
    pub(super) refused: Vec<(ShardId, ErrorRow)>,
    /// The open errors of each refused event that is a row.
    pub(super) stands: Vec<Vec<EventId>>,
}

/// An event as a schema reads it.
#[derive(Debug, Clone)]
struct Reading {
    schema: Arc<TenantSchema>,
    /// The staged entry.
    entry: Bytes,
    time: Timestamp,
    /// Where else it may be a row.
    elsewhere: Vec<Place>,
}

impl Reading {
    fn place(&self) -> Result<Place> {
        let entry = payload::read(&self.entry)?;
        Ok((MetricId::new(entry.metric)?, entry.id))
    }

    /// Whether the row of `other` is looked for where that of this one is.
    fn stands_with(&self, other: &Self) -> Result<bool> {
        let (one, two) = (payload::read(&self.entry)?, payload::read(&other.entry)?);
        Ok(self.time == other.time && one.metric == two.metric && one.id == two.id)
    }
}

/// What `schema` made of the events that it passed on, each with its index.
fn readings(schema: &Arc<TenantSchema>, outcome: &RawOutcome) -> impl Iterator<Item = (usize, Reading)> {
    let mut elsewhere = outcome.elsewhere.iter().peekable();
    let passed = outcome.passed.iter().zip(&outcome.forward).zip(&outcome.times).enumerate();
    passed.map(move |(place, ((index, entry), time))| {
        let moved = elsewhere.next_if(|(of, _)| *of == place).map(|(_, places)| places.clone()).unwrap_or_default();
        let (schema, entry) = (Arc::clone(schema), entry.payload.clone());
        (*index, Reading { schema, entry, time: *time, elsewhere: moved })
    })
}

/// How the other schema reads an event.
#[derive(Debug, Clone)]
enum Other {
    /// It is the same schema.
    Alike,
    Refused,
    Read(Reading),
}

/// Finds the events of a replay that may be rows already, and then those that are.
pub(super) struct Doubts<'a> {
    pipeline: &'a Pipeline,
    files: &'a dyn FiledEvents,
    request: &'a ReplayRequest,
    today: Arc<TenantSchema>,
    /// Reads events as the replay does not: as they were recorded, or as today.
    raw: RawStage,
    /// The schema that was asked for last, and when it held.
    recorded: Option<(Arc<TenantSchema>, TimeRange)>,
    held: Vec<Doubt>,
    refused: Vec<Refused>,
    held_bytes: usize,
}

impl<'a> Doubts<'a> {
    pub(super) fn new(
        pipeline: &'a Pipeline,
        files: &'a dyn FiledEvents,
        request: &'a ReplayRequest,
        today: &Arc<TenantSchema>,
    ) -> Self {
        let raw = pipeline.shared().raw_stage();
        Self {
            pipeline,
            files,
            request,
            today: Arc::clone(today),
            raw,
            recorded: None,
            held: Vec::new(),
            refused: Vec::new(),
            held_bytes: 0,
        }
    }

    /// Where each event that `outcome` passes on may be a row already that its record would double, in the order of
    /// `outcome.passed`: nowhere, for one that both modes read alike under `schema`: it is known where it stands.
    pub(super) async fn places(
        &mut self,
        deliveries: &[Delivery],
        schema: &Arc<TenantSchema>,
        outcome: &RawOutcome,
    ) -> Result<Vec<Vec<Place>>> {
        let others = self.others(deliveries, schema, &outcome.passed).await?;
        let mut places = Vec::with_capacity(others.len());
        for ((index, reading), other) in readings(schema, outcome).zip(others) {
            let delivery = &deliveries[index];
            let mut of_event = match &other {
                Other::Alike => Vec::new(),
                Other::Read(other) if reading.stands_with(other)? => Vec::new(),
                Other::Read(other) => {
                    let mut places = self.places_of(delivery, &reading)?;
                    places.append(&mut self.places_of(delivery, other)?);
                    places
                }
                // It may have been read since, by a replay.
                Other::Refused => self.places_of(delivery, &reading)?,
            };
            let mut elsewhere = reading.elsewhere;
            if let Other::Read(other) = other {
                elsewhere.extend(other.elsewhere);
            }
            of_event.extend(elsewhere.into_iter().filter(|(metric, _)| self.today.metric(metric).is_some()));
            places.push(of_event);
        }
        Ok(places)
    }

    /// Where the event may be a row if it was read like `reading`, whatever its time was said to be: an event without one
    /// goes by its arrival. None under a client's key, which is that of other events, too, and none of what was deleted.
    fn places_of(&mut self, delivery: &Delivery, reading: &Reading) -> Result<Vec<Place>> {
        let (metric, id) = reading.place()?;
        let content = self.raw.content_of(&reading.schema, delivery).map(|content| EventId(content.0));
        let ids = [content, Some(envelope::read(&delivery.payload)?.arrival_id)];
        let is_own = ids.contains(&Some(id)) && self.today.metric(&metric).is_some();
        let ids = ids.into_iter().flatten().filter(|_| is_own);
        Ok(ids.map(|id| (metric.clone(), id)).collect())
    }

    /// Keeps `entry` until it is known whether its event is a row at one of `places`.
    pub(super) fn hold(&mut self, entry: Entry, places: Vec<Place>) {
        self.held_bytes += entry.payload.len();
        self.held.push(Doubt { entry, places });
    }

    /// Keeps those of `errors` whose events the other mode reads until it is known whether they are rows; answers the others.
    pub(super) async fn hold_refused(
        &mut self,
        shard: &ShardId,
        schema: &Arc<TenantSchema>,
        deliveries: &[Delivery],
        errors: Vec<RefusedAgain>,
    ) -> Result<Vec<ErrorRow>> {
        let is_read = |error: &&ErrorRow| !error.is_ours();
        let refused = errors.iter().map(|again| &again.error).filter(is_read);
        let refused: HashSet<_> = refused.map(|error| error.position).collect();
        let wanted: Vec<usize> =
            (0..deliveries.len()).filter(|index| refused.contains(&deliveries[*index].position)).collect();
        let mut places = HashMap::new();
        for (index, other) in wanted.iter().zip(self.others(deliveries, schema, &wanted).await?) {
            let Other::Read(other) = other else { continue };
            let mut of_event = self.places_of(&deliveries[*index], &other)?;
            let elsewhere = other.elsewhere.into_iter();
            of_event.extend(elsewhere.filter(|(metric, _)| self.today.metric(metric).is_some()));
            places.insert(deliveries[*index].position, of_event);
        }
        let mut rest = Vec::new();
        for again in errors {
            match places.remove(&again.error.position).filter(|places| !places.is_empty()) {
                Some(places) => {
                    self.held_bytes += again.error.raw.len();
                    self.refused.push(Refused { shard: shard.clone(), again, places });
                }
                None => rest.push(again.error),
            }
        }
        Ok(rest)
    }

    /// Whether so much is held that it is to be settled now.
    pub(super) fn are_many(&self) -> bool {
        self.held.len() + self.refused.len() >= HELD_MAX || self.held_bytes >= HELD_BYTES_MAX
    }

    /// What became of what was held; `forwarded` is what this replay has sent on.
    pub(super) async fn settle(&mut self, forwarded: &Cover) -> Result<Settled> {
        let refused = std::mem::take(&mut self.refused);
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        if held.is_empty() && refused.is_empty() {
            return Ok(Settled::default());
        }
        // What is under way to the stores is not there to be found.
        self.pipeline.drain(DRAINED_WITHIN).await?;
        if !forwarded.is_empty() {
            self.pipeline.wait_until_staged(forwarded, DRAINED_WITHIN).await?;
        }
        let mut wanted: BTreeMap<&MetricId, HashSet<EventId>> = BTreeMap::new();
        for (metric, id) in
            held.iter().map(|doubt| &doubt.places).chain(refused.iter().map(|refused| &refused.places)).flatten()
        {
            wanted.entry(metric).or_default().insert(*id);
        }
        let (nearline, tenant) = (&*self.pipeline.shared().parts.nearline, &self.request.tenant);
        let mut found: HashSet<Place> = HashSet::new();
        for (metric, ids) in wanted {
            let rows = filed::rows(nearline, self.files, tenant, metric, &[TimeRange::ALL], ids).await?;
            found.extend(rows.into_iter().map(|id| (metric.clone(), id)));
        }
        let count = held.len();
        let mut missing = Vec::new();
        for doubt in held {
            if doubt.places.iter().all(|place| !found.contains(place)) {
                // From now on it is a row there, and nowhere else that it might have been one: others share such a place.
                let staged = payload::read(&doubt.entry.payload)?;
                found.insert((MetricId::new(staged.metric)?, staged.id));
                missing.push(doubt.entry);
            }
        }
        let mut settled = Settled { known: (count - missing.len()) as u64, entries: missing, ..Settled::default() };
        for Refused { shard, again, places } in refused {
            if places.iter().any(|place| found.contains(place)) {
                settled.known += 1;
                settled.stands.push(again.open);
            } else {
                settled.refused.push((shard, again.error));
            }
        }
        Ok(settled)
    }

    /// How the other mode reads each of the events that `wanted` names.
    async fn others(
        &mut self,
        deliveries: &[Delivery],
        schema: &Arc<TenantSchema>,
        wanted: &[usize],
    ) -> Result<Vec<Other>> {
        let mut others = Vec::with_capacity(wanted.len());
        let mut rest = wanted;
        while let Some(first) = rest.first() {
            let (other, during) = match self.request.mode {
                ReplayMode::AsRecorded => (Arc::clone(&self.today), TimeRange::ALL),
                ReplayMode::ReDerive => self.recorded_at(arrival(&deliveries[*first])?).await?,
            };
            let mut count = 1;
            while let Some(next) = rest.get(count)
                && during.contains(arrival(&deliveries[*next])?)
            {
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            match other.version() == schema.version() {
                true => others.extend(now.iter().map(|_| Other::Alike)),
                false => others.extend(self.read(deliveries, other, now).await?),
            }
            rest = later;
        }
        Ok(others)
    }

    /// The schema that held when an event arrived, and when it held.
    async fn recorded_at(&mut self, arrival: Timestamp) -> Result<(Arc<TenantSchema>, TimeRange)> {
        match &self.recorded {
            Some((schema, during)) if during.contains(arrival) => Ok((Arc::clone(schema), *during)),
            _ => {
                let schemas = &self.pipeline.shared().parts.schemas;
                let found = schemas.at_time(&self.request.tenant, arrival).await?;
                self.recorded = Some(found.clone());
                Ok(found)
            }
        }
    }

    /// Reads under `schema`, or under the first later one that knows an event's metric: its arrival brought that about.
    async fn read(
        &mut self,
        deliveries: &[Delivery],
        schema: Arc<TenantSchema>,
        wanted: &[usize],
    ) -> Result<impl Iterator<Item = Other> + use<>> {
        let tenant = &self.request.tenant;
        let mut read: Vec<(usize, Other)> = wanted.iter().map(|index| (*index, Other::Refused)).collect();
        let mut version = schema.version();
        let mut schemas = Schemas::from_iter([(tenant.clone(), schema)]);
        let mut open = wanted.to_vec();
        for _ in 0..ROUNDS_MAX {
            let outcome = self.raw.apply(&schemas, deliveries, open.iter().copied(), 0, true);
            let schema = &schemas[tenant];
            for (index, reading) in readings(schema, &outcome) {
                // They come in their order.
                if let Ok(place) = read.binary_search_by_key(&index, |(index, _)| *index) {
                    read[place].1 = Other::Read(reading);
                }
            }
            let names = outcome.missing_metrics.into_values().next().unwrap_or_default();
            let mut names = distinct(names);
            // What nobody knows any more is no row.
            names.retain(|name| self.today.metric_named(name).is_some());
            if names.is_empty() {
                break;
            }
            let store = &self.pipeline.shared().parts.schemas;
            let knows = first_that_knows(store, tenant, &names, version, &self.today).await?;
            let Some(knows) = knows else { break };
            version = knows.version();
            schemas.insert(tenant.clone(), knows);
            open = outcome.deferred;
        }
        Ok(read.into_iter().map(|(_, other)| other))
    }
}

fn arrival(delivery: &Delivery) -> Result<Timestamp> {
    Ok(envelope::read(&delivery.payload)?.arrived_at)
}
