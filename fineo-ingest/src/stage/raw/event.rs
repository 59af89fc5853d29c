//! An event that was read, and what is told from it under its metric.

use fineo_core::{Code, ContentHash, EventId, Rejection, TenantId, Timestamp};
use fineo_schema::{Cell, Cells, Identity, Metric, MissingTimestamp, Slot};

use crate::{
    scan::{
        event::{FieldCell, Fields, Kind},
        names::Names,
    },
    stage::{
        identity,
        uses::{Plan, PlannedCell},
    },
};

/// An event that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    pub(super) fields: &'a Fields,
    pub(super) source: &'a str,
}

impl<'a> Event<'a> {
    pub(super) fn text(&self, cell: &FieldCell) -> &'a str {
        self.fields.text(self.source, cell)
    }

    pub(super) fn cell_text(&self, cell: u32) -> &'a str {
        self.text(&self.fields.cells()[cell as usize])
    }
}

/// Why the schema rules an event out, if it does.
pub(super) fn ruled_out(metric: &Metric, plan: &Plan, event: Event<'_>, names: &Names) -> Option<Rejection> {
    let message = if metric.is_ruled_out() {
        format!("the metric {:?} was ruled an error in the schema", metric.name())
    } else {
        let name = &names.name(event.fields.cells()[plan.ruled_out? as usize].name).text;
        format!("the field {name:?} was ruled an error in the schema")
    };
    Some(Rejection::new(Code::RuledOut, message))
}

pub(super) fn time_of(
    cell: Option<u32>,
    event: Event<'_>,
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
    let cell = &event.fields.cells()[cell as usize];
    let text = event.text(cell);
    let time = match cell.kind {
        Kind::String | Kind::Number => metric.time_parser().parse(text),
        Kind::Boolean | Kind::Array | Kind::EmptyObject => None,
    };
    time.ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        Rejection::new(Code::TimestampUnreadable, format!("the time fits no format: {shown:?}"))
    })
}

pub(super) fn event_id(
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
pub(super) struct Planned<'a> {
    pub(super) cells: &'a [PlannedCell],
    pub(super) event: Event<'a>,
    pub(super) names: &'a Names,
}

impl Cells for Planned<'_> {
    #[inline]
    fn slots(&self) -> impl Iterator<Item = Option<Slot>> {
        self.cells.iter().map(|planned| planned.slot)
    }

    #[inline]
    fn cell(&self, number: usize) -> Cell<'_> {
        let planned = &self.cells[number];
        let cell = &self.event.fields.cells()[planned.cell as usize];
        Cell { name: &self.names.name(cell.name).text, text: self.event.text(cell), slot: planned.slot }
    }
}
