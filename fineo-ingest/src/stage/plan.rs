//! What is done with events of one shape, decided once: which key names the metric, which is the time, where
//! every other one goes.

use std::{collections::HashMap, sync::Arc};

use fineo_core::{Code, Rejection};
use fineo_schema::{Identity, Metric, Settings, Slot, TenantSchema};

use super::identity::names_digest;
use crate::scan::{event::FieldCell, names::Names};

/// Names the metric where no metric key does.
const METRIC_KEY: &str = "metrictype";
/// Bears the time where no alias does.
pub(crate) const TIMESTAMP_KEY: &str = "timestamp";
/// Bears the client's key under the identity `key`.
const EVENT_ID_KEY: &str = "event_id";
/// Beyond so many shapes or plans they are forgotten: a tenant may send a new one with every event.
const SHAPES_MAX: usize = 10_000;
const PLANS_MAX: usize = 10_000;

/// Which cell names the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricCell {
    At(u32),
    Missing,
    /// An object stands where a name should.
    Unreadable,
}

/// A sequence of names.
#[derive(Debug)]
pub(crate) struct Shape {
    names: Box<[u32]>,
    /// The cells in order of their names, without the dropped one.
    pub(crate) sorted: Box<[u32]>,
    pub(crate) digest: [u8; 32],
    pub(crate) metric: MetricCell,
    /// The cell of the key that named the tenant.
    dropped: Option<u32>,
}

/// A field of the record: which cell, and where it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedCell {
    pub(crate) cell: u32,
    pub(crate) slot: Option<Slot>,
}

/// A shape under a metric and an identity.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) time: Option<u32>,
    pub(crate) event_id: Option<u32>,
    pub(crate) cells: Box<[PlannedCell]>,
    pub(crate) ruled_out: Option<Rejection>,
}

/// The shapes of a tenant under one schema version.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    shapes: Vec<Shape>,
    by_names: HashMap<u64, u32>,
    plans: Vec<Plan>,
    by_use: HashMap<(u32, usize, bool), u32>,
    /// What the last event used.
    last_use: Option<((u32, usize, bool), u32)>,
}

impl Plans {
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn shape(&self, shape: u32) -> &Shape {
        &self.shapes[shape as usize]
    }

    pub(crate) fn plan(&self, plan: u32) -> &Plan {
        &self.plans[plan as usize]
    }

    /// The number of the shape of `cells`.
    pub(crate) fn shape_of(
        &mut self,
        cells: &[FieldCell],
        names: &Names,
        dropped_key: Option<&str>,
        schema: &TenantSchema,
    ) -> u32 {
        let dropped = dropped_key.and_then(|key| names.number(key));
        let hash = hash_names(cells, dropped);
        if let Some(shape) = self.by_names.get(&hash) {
            let known = &self.shapes[*shape as usize];
            let same = known.names.len() == cells.len()
                && known.names.iter().zip(cells).all(|(name, cell)| *name == cell.name)
                && known.dropped == dropped.and_then(|name| position(cells, name));
            if same {
                return *shape;
            }
        }
        if self.shapes.len() >= SHAPES_MAX {
            self.clear();
        }
        let number = u32::try_from(self.shapes.len()).expect("shapes are bounded");
        let dropped = dropped.and_then(|name| position(cells, name));
        self.shapes.push(Shape::new(cells, names, dropped, schema));
        self.by_names.insert(hash, number);
        number
    }

    /// The number of the plan of `shape` under `metric`.
    pub(crate) fn plan_of(
        &mut self,
        shape: u32,
        metric: &Arc<Metric>,
        identity: Identity,
        cells: &[FieldCell],
        names: &Names,
    ) -> u32 {
        // A metric lives as long as the schema whose plans these are.
        let by_key = identity == Identity::Key;
        let used = (shape, Arc::as_ptr(metric).addr(), by_key);
        if let Some((last, plan)) = self.last_use
            && last == used
        {
            return plan;
        }
        let plan = match self.by_use.get(&used) {
            Some(plan) => *plan,
            None => {
                if self.plans.len() >= PLANS_MAX {
                    self.plans.clear();
                    self.by_use.clear();
                }
                let number = u32::try_from(self.plans.len()).expect("plans are bounded");
                self.plans.push(Plan::new(self.shape(shape), metric, by_key, cells, names));
                self.by_use.insert(used, number);
                number
            }
        };
        self.last_use = Some((used, plan));
        plan
    }
}

fn hash_names(cells: &[FieldCell], dropped: Option<u32>) -> u64 {
    let seed = u64::from(dropped.map_or(0, |name| name + 1));
    cells
        .iter()
        .fold(seed, |hash, cell| (hash.rotate_left(5) ^ u64::from(cell.name)).wrapping_mul(0x517c_c1b7_2722_0a95))
}

fn position(cells: &[FieldCell], name: u32) -> Option<u32> {
    let index = cells.iter().position(|cell| cell.name == name)?;
    u32::try_from(index).ok()
}

impl Shape {
    fn new(cells: &[FieldCell], names: &Names, dropped: Option<u32>, schema: &TenantSchema) -> Self {
        let text = |cell: u32| &*names.name(cells[cell as usize].name).text;
        let count = u32::try_from(cells.len()).expect("fields are bounded");
        let mut sorted: Vec<u32> = (0..count).filter(|cell| Some(*cell) != dropped).collect();
        sorted.sort_unstable_by_key(|cell| text(*cell));
        let digest = names_digest(schema.tenant(), sorted.iter().map(|cell| text(*cell)));
        let names_of_cells: Vec<&str> = (0..count).map(text).collect();
        Self {
            names: cells.iter().map(|cell| cell.name).collect(),
            metric: metric_cell(&names_of_cells, dropped, schema.settings()),
            sorted: sorted.into(),
            digest,
            dropped,
        }
    }
}

fn metric_cell(names: &[&str], dropped: Option<u32>, settings: &Settings) -> MetricCell {
    let keys = settings.metric_keys.iter().map(|key| &**key).chain([METRIC_KEY]);
    for key in keys {
        let found = names.iter().position(|name| *name == key).and_then(|index| u32::try_from(index).ok());
        if let Some(index) = found.filter(|index| Some(*index) != dropped) {
            return MetricCell::At(index);
        }
        let is_inside = |name: &&str| name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        if names.iter().any(is_inside) {
            return MetricCell::Unreadable;
        }
    }
    MetricCell::Missing
}

impl Plan {
    fn new(shape: &Shape, metric: &Metric, by_key: bool, cells: &[FieldCell], names: &Names) -> Self {
        let text = |cell: &FieldCell| &*names.name(cell.name).text;
        let find = |name: &str| {
            let index = cells.iter().position(|cell| text(cell) == name)?;
            u32::try_from(index).ok().filter(|index| Some(*index) != shape.dropped)
        };
        let aliases = metric.timestamp_aliases().iter().map(|alias| &**alias).chain([TIMESTAMP_KEY]);
        let time = aliases.into_iter().find_map(find);
        let event_id = if by_key { find(EVENT_ID_KEY) } else { None };
        let metric_cell = match shape.metric {
            MetricCell::At(cell) => Some(cell),
            MetricCell::Missing | MetricCell::Unreadable => None,
        };
        let left_out = [time, event_id, metric_cell, shape.dropped];
        let mut planned = Vec::with_capacity(cells.len());
        let mut ruled_out = None;
        for (index, cell) in (0_u32..).zip(cells) {
            if left_out.contains(&Some(index)) {
                continue;
            }
            let name = text(cell);
            if metric.is_field_ruled_out(name) {
                let message = format!("the field {name:?} was ruled an error in the schema");
                ruled_out = Some(Rejection::new(Code::RuledOut, message));
            }
            planned.push(PlannedCell { cell: index, slot: metric.slot(name) });
        }
        if metric.is_ruled_out() {
            let message = format!("the metric {:?} was ruled an error in the schema", metric.name());
            ruled_out = Some(Rejection::new(Code::RuledOut, message));
        }
        Self { time, event_id, cells: planned.into(), ruled_out }
    }
}
