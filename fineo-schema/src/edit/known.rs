//! Tells fast that a name is free. A change may add a hundred thousand names, and each is compared with all others.

use std::collections::{HashMap, HashSet};

use super::Edit;
use crate::document::Name;

/// Every name that metrics, and the fields of a metric, have or had since the change began: what is not in here is free.
#[derive(Debug, Default)]
pub(super) struct Known {
    metrics: Option<HashSet<Name>>,
    fields: HashMap<u64, HashSet<Name>>,
}

impl Edit {
    /// The live metric that has the name `wanted`.
    pub(super) fn holder_of_claimed_metric_name(&mut self, wanted: &str) -> Option<u64> {
        let live = self.state.tenant.metrics.values().filter(|entry| entry.is_live());
        let known =
            self.known.metrics.get_or_insert_with(|| live.flat_map(|entry| entry.names.iter().cloned()).collect());
        if known.contains(wanted) { self.holder_of_metric_name(wanted) } else { None }
    }

    /// The declared field of `metric` that has the name `wanted`.
    pub(super) fn holder_of_claimed_field_name(&mut self, metric: u64, wanted: &str) -> Option<u32> {
        if self.field_names(metric).contains(wanted) { self.holder_of_field_name(metric, wanted) } else { None }
    }

    /// The most names that the fields of `metric` may have now.
    pub(super) fn field_names_at_most(&mut self, metric: u64) -> usize {
        self.field_names(metric).len()
    }

    /// Notes that a metric got a name.
    pub(super) fn know_metric(&mut self, name: &Name) {
        if let Some(known) = &mut self.known.metrics {
            known.insert(Name::clone(name));
        }
    }

    /// Notes that a field of `metric` got a name.
    pub(super) fn know_field(&mut self, metric: u64, name: &Name) {
        if let Some(known) = self.known.fields.get_mut(&metric) {
            known.insert(Name::clone(name));
        }
    }

    fn field_names(&mut self, metric: u64) -> &HashSet<Name> {
        let document = self.state.metrics.get(&metric);
        self.known.fields.entry(metric).or_insert_with(|| {
            let fields = document.into_iter().flat_map(|document| document.fields.values());
            fields.flat_map(|field| field.names.iter().cloned()).collect()
        })
    }
}
