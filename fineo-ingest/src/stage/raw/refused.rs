//! What an event says that no record tells: a refused one, and which metric one of an archive was sent for.

use std::sync::Arc;

use fineo_core::{ContentHash, EventId, Timestamp, stream::Delivery};
use fineo_schema::TenantSchema;

use super::{Event, RawStage, Scratch, TenantState};
use crate::{
    envelope,
    scan::event::FieldCell,
    stage::{
        identity,
        uses::{EVENT_ID_KEY, TIMESTAMP_KEY},
    },
};

/// What an event tells whatever the schema is.
#[derive(Debug)]
pub(crate) struct Tells {
    pub(crate) arrived_at: Timestamp,
    /// What it says, with the metric that its sender named for all and without.
    pub(crate) contents: [ContentHash; 2],
    /// The ids that it may have beside its content: of its arrival and of its client's key.
    pub(crate) ids: Vec<EventId>,
}

/// What a refused event said.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusedContent {
    pub(super) hash: ContentHash,
    /// Whether it bears a time of its own, readable or not; else it goes by its arrival.
    pub(super) has_time: bool,
}

impl RawStage {
    /// The hash of what an event says, where it can be read at all.
    pub(crate) fn content_of(&mut self, schema: &Arc<TenantSchema>, delivery: &Delivery) -> Option<ContentHash> {
        let state = self.tenants.state_of(&delivery.tenant, schema);
        state.content_of(delivery, &mut self.scratch, self.fields_max).map(|content| content.hash)
    }

    /// What an event tells whatever the schema is; none where it cannot be read.
    pub(crate) fn tells(&mut self, schema: &Arc<TenantSchema>, delivery: &Delivery) -> Option<Tells> {
        let state = self.tenants.state_of(&delivery.tenant, schema);
        let envelope = envelope::read(&delivery.payload).ok()?;
        let source = state.read_fields(&envelope, &mut self.scratch, self.fields_max).ok()?;
        let Scratch { fields, hashing, .. } = &mut self.scratch;
        let event = Event { fields, source };
        let marked = state.mark(&envelope, event);
        let is_key = |cell: &&FieldCell| &*state.names.name(cell.name).text == EVENT_ID_KEY;
        let keys = fields.cells().iter().filter(is_key);
        let of_keys = keys.map(|cell| identity::of_key(&delivery.tenant, event.text(cell)));
        let ids = of_keys.chain([envelope.arrival_id]).collect();
        let contents = [None, envelope.metric].map(|metric| state.hash(marked, metric, event, hashing));
        Some(Tells { arrived_at: envelope.arrived_at, contents, ids })
    }

    /// What an event calls its metric, whether or not there is one of that name.
    pub(crate) fn metric_name_of(&mut self, schema: &Arc<TenantSchema>, delivery: &Delivery) -> Option<Arc<str>> {
        let state = self.tenants.state_of(&delivery.tenant, schema);
        let envelope = envelope::read(&delivery.payload).ok()?;
        let source = state.read_fields(&envelope, &mut self.scratch, self.fields_max).ok()?;
        let event = Event { fields: &self.scratch.fields, source };
        let marked = state.mark(&envelope, event);
        state.alias(marked, event, &envelope).ok().map(|(alias, _)| alias.into())
    }
}

impl TenantState {
    /// What a refused event says: the same for every re-send of it.
    pub(super) fn content_of(
        &mut self,
        delivery: &Delivery,
        scratch: &mut Scratch,
        fields_max: usize,
    ) -> Option<RefusedContent> {
        let envelope = envelope::read(&delivery.payload).ok()?;
        let source = self.read_fields(&envelope, scratch, fields_max).ok()?;
        let Scratch { fields, hashing, .. } = scratch;
        let event = Event { fields, source };
        let marked = self.mark(&envelope, event);
        let named = self.alias(marked, event, &envelope).ok();
        let metric = named.and_then(|(alias, _)| self.schema.metric_named(alias));
        let settings = self.schema.settings();
        let aliases = metric.map_or(settings.timestamp_aliases.as_slice(), |metric| metric.timestamp_aliases());
        let is_time = |name: &str| name == TIMESTAMP_KEY || aliases.iter().any(|alias| **alias == *name);
        let kept = (0_u32..).zip(fields.cells()).filter(|(cell, _)| Some(*cell) != marked.dropped);
        let has_time = kept.map(|(_, cell)| &*self.names.name(cell.name).text).any(is_time);
        let default_metric = named.filter(|(_, is_default)| *is_default).map(|(alias, _)| alias);
        let hash = self.hash(marked, default_metric, event, hashing);
        Some(RefusedContent { hash, has_time })
    }
}
