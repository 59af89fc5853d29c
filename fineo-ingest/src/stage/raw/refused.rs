//! What a refused event says, so that its re-send is told from another event.

use std::sync::Arc;

use fineo_core::{ContentHash, stream::Delivery};
use fineo_schema::TenantSchema;

use super::{RawStage, Scratch, TenantState, hash_of, state_of};
use crate::{envelope, stage::plan::TIMESTAMP_KEY};

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
        let state = state_of(&mut self.tenants, &delivery.tenant, schema);
        state.content_of(delivery, &mut self.scratch, self.fields_max).map(|content| content.hash)
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
        let Scratch { fields, hashed, .. } = scratch;
        let cells = fields.cells();
        let shape = self.plans.shape_of(cells, &self.names, envelope.dropped_key, &self.schema);
        let named = self.alias(shape, fields, source, &envelope).ok();
        let metric = named.and_then(|(alias, _)| self.schema.metric_named(alias));
        let settings = self.schema.settings();
        let aliases = metric.map_or(settings.timestamp_aliases.as_slice(), |metric| metric.timestamp_aliases());
        let is_time = |name: &str| name == TIMESTAMP_KEY || aliases.iter().any(|alias| **alias == *name);
        let shape = self.plans.shape(shape);
        let has_time = shape.sorted.iter().any(|cell| is_time(&self.names.name(cells[*cell as usize].name).text));
        let default_metric = named.filter(|(_, is_default)| *is_default).map(|(alias, _)| alias);
        let hash = hash_of(shape, default_metric, fields, source, hashed);
        Some(RefusedContent { hash, has_time })
    }
}
