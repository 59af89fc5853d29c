//! What each name of a tenant's events is for: which names the metric, which is the time, where every other one goes.
//!
//! Decided once per name, not per combination of names: fields may come and go from event to event.

use std::{collections::HashMap, sync::Arc};

use fineo_core::MetricId;
use fineo_schema::{Metric, Settings, Slot};

use crate::scan::{event::FieldCell, names::Names};

/// Names the metric where no metric key does.
const METRIC_KEY: &str = "metrictype";
/// Bears the time where no alias does.
pub(crate) const TIMESTAMP_KEY: &str = "timestamp";
/// Bears the client's key under the identity `key`.
pub(crate) const EVENT_ID_KEY: &str = "event_id";
/// Beyond so many uses of a tenant's names they are forgotten: a tenant may send a new name with every event.
const USES_MAX: usize = 1 << 18;
/// The rank of a name that is not one of those that are ranked.
const NO_RANK: u32 = u32::MAX;
/// That of a name that was not looked at yet.
const UNKNOWN: u32 = u32::MAX - 1;

/// Which cell names the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricCell {
    At(u32),
    Missing,
    /// An object stands where a name should.
    Unreadable,
}

/// What an event's cells are, before its metric is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marked {
    pub(crate) metric: MetricCell,
    /// The cell of the key that named the tenant.
    pub(crate) dropped: Option<u32>,
}

/// A field of the record: which cell, and where it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedCell {
    pub(crate) cell: u32,
    pub(crate) slot: Option<Slot>,
}

/// What is done with an event's cells under its metric. Its buffer serves every event.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) time: Option<u32>,
    pub(crate) event_id: Option<u32>,
    /// The last cell that was ruled an error.
    pub(crate) ruled_out: Option<u32>,
    pub(crate) cells: Vec<PlannedCell>,
}

/// A name under a metric.
#[derive(Debug, Clone, Copy)]
struct Use {
    slot: Option<Slot>,
    /// Its place among the keys that may bear the time.
    time: u32,
    is_event_id: bool,
    is_ruled_out: bool,
}

const UNKNOWN_USE: Use = Use { slot: None, time: UNKNOWN, is_event_id: false, is_ruled_out: false };

#[derive(Debug)]
struct OfMetric {
    metric: Arc<Metric>,
    /// The id under which its events are stored that bear the name in question.
    row_metric: MetricId,
    /// By number of the name.
    uses: Vec<Use>,
}

/// The uses of a tenant's names under one version of its schema.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// By number of the name twice its place among the metric keys, and one more for a name inside such a key.
    metric_keys: Vec<u32>,
    metrics: Vec<OfMetric>,
    by_id: HashMap<MetricId, u32>,
    count: usize,
}

impl Uses {
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Whether there are so many that they must be cleared.
    pub(crate) fn is_full(&self) -> bool {
        self.count > USES_MAX
    }

    /// The number here of `metric` for events that are stored under `row_metric`. A metric lives as long as the schema whose
    /// uses these are.
    pub(crate) fn metric_number(&mut self, metric: &Arc<Metric>, row_metric: &MetricId) -> u32 {
        if let Some(number) = self.by_id.get(row_metric) {
            return *number;
        }
        let number = u32::try_from(self.metrics.len()).expect("metrics are bounded");
        let of_metric = OfMetric { metric: Arc::clone(metric), row_metric: row_metric.clone(), uses: Vec::new() };
        self.metrics.push(of_metric);
        self.by_id.insert(row_metric.clone(), number);
        number
    }

    /// The metric of a number.
    pub(crate) fn metric(&self, number: u32) -> &Arc<Metric> {
        &self.metrics[number as usize].metric
    }

    /// The id under which events of the metric of a number are stored.
    pub(crate) fn row_metric(&self, number: u32) -> &MetricId {
        &self.metrics[number as usize].row_metric
    }

    /// Finds the cell that names the metric, and that of `dropped`, the name of the key that named the tenant.
    pub(crate) fn mark(
        &mut self,
        cells: &[FieldCell],
        names: &Names,
        dropped: Option<u32>,
        settings: &Settings,
    ) -> Marked {
        let mut best = NO_RANK;
        let mut marked = Marked { metric: MetricCell::Missing, dropped: None };
        for (number, cell) in (0_u32..).zip(cells) {
            let is_dropped = Some(cell.name) == dropped;
            if is_dropped {
                marked.dropped = Some(number);
            }
            let rank = match self.metric_keys.get(cell.name as usize) {
                Some(rank) if *rank != UNKNOWN => *rank,
                Some(_) | None => self.metric_key(cell.name, names, settings),
            };
            let is_inside = rank & 1 == 1;
            if rank < best && (is_inside || !is_dropped) {
                best = rank;
                marked.metric = if is_inside { MetricCell::Unreadable } else { MetricCell::At(number) };
            }
        }
        marked
    }

    fn metric_key(&mut self, name: u32, names: &Names, settings: &Settings) -> u32 {
        let text = &*names.name(name).text;
        let keys = settings.metric_keys.iter().map(|key| &**key).chain([METRIC_KEY]);
        let rank = (0_u32..).step_by(2).zip(keys).find_map(|(rank, key)| match text.strip_prefix(key) {
            Some("") => Some(rank),
            Some(rest) if rest.starts_with('.') => Some(rank + 1),
            Some(_) | None => None,
        });
        let rank = rank.unwrap_or(NO_RANK);
        self.count += put(&mut self.metric_keys, name, UNKNOWN, rank);
        rank
    }

    /// Decides what is done with the cells of an event of the metric `number`.
    pub(crate) fn plan(
        &mut self,
        number: u32,
        cells: &[FieldCell],
        names: &Names,
        marked: Marked,
        by_key: bool,
        plan: &mut Plan,
    ) {
        plan.cells.clear();
        (plan.time, plan.event_id, plan.ruled_out) = (None, None, None);
        let Self { metrics, count, .. } = self;
        let OfMetric { metric, uses, .. } = &mut metrics[number as usize];
        let mut best_time = NO_RANK;
        for (number, cell) in (0_u32..).zip(cells) {
            let its = match uses.get(cell.name as usize) {
                Some(its) if its.time != UNKNOWN => *its,
                Some(_) | None => {
                    let its = use_of(&names.name(cell.name).text, metric);
                    *count += put(uses, cell.name, UNKNOWN_USE, its);
                    its
                }
            };
            if Some(number) == marked.dropped {
                continue;
            }
            if its.time < best_time {
                (best_time, plan.time) = (its.time, Some(number));
            }
            if its.is_event_id && by_key {
                plan.event_id = Some(number);
            }
            plan.cells.push(PlannedCell { cell: number, slot: its.slot });
        }
        let metric_cell = match marked.metric {
            MetricCell::At(cell) => Some(cell),
            MetricCell::Missing | MetricCell::Unreadable => None,
        };
        let left_out = [plan.time, plan.event_id, metric_cell];
        plan.cells.retain(|planned| !left_out.contains(&Some(planned.cell)));
        if metric.ruled_out_fields().next().is_some() {
            let is_ruled_out = |planned: &&PlannedCell| uses[cells[planned.cell as usize].name as usize].is_ruled_out;
            plan.ruled_out = plan.cells.iter().rfind(is_ruled_out).map(|planned| planned.cell);
        }
    }
}

fn use_of(name: &str, metric: &Metric) -> Use {
    let aliases = metric.timestamp_aliases().iter().map(|alias| &**alias).chain([TIMESTAMP_KEY]);
    let time = (0_u32..).zip(aliases).find(|(_, alias)| *alias == name).map(|(rank, _)| rank);
    Use {
        slot: metric.slot(name),
        time: time.unwrap_or(NO_RANK),
        is_event_id: name == EVENT_ID_KEY,
        is_ruled_out: metric.is_field_ruled_out(name),
    }
}

/// Puts `value` at `name`; answers by how much `values` grew.
fn put<T: Clone>(values: &mut Vec<T>, name: u32, unknown: T, value: T) -> usize {
    let before = values.len();
    let place = name as usize;
    if place >= before {
        values.resize(place + 1, unknown);
    }
    values[place] = value;
    values.len() - before
}
