//! Which metrics had a name before: where events that bear it may be rows.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use fineo_core::MetricId;

use super::{TenantSchema, root_of};
use crate::document::MetricEntry;

/// The metrics that had names before, by name.
#[derive(Debug, Default)]
pub(super) struct Holders {
    /// The one that had it last before it was merged, where what it was merged into still has it.
    pub(super) last: HashMap<Arc<str>, MetricId>,
    /// All under whose ids its events were stored, where the name was moved from one to another.
    pub(super) moved: HashMap<Arc<str>, Vec<MetricId>>,
}

impl Holders {
    pub(super) fn of(schema: &TenantSchema) -> Self {
        let metrics = &schema.state.tenant.metrics;
        let is_kept =
            |number: u64| metrics.get(&root_of(&schema.state, number)).is_some_and(|root| root.deleted.is_none());
        let kept = || metrics.iter().filter(|(number, _)| is_kept(**number));
        // What is merged into a metric brings its names along, which were not that one's before.
        let mut brought: HashSet<(u64, &Arc<str>)> = HashSet::new();
        for (_, entry) in kept() {
            brought.extend(entry.merged_into.iter().flat_map(|into| entry.names.iter().map(|name| (*into, name))));
        }
        let own = |number: u64, entry: &MetricEntry| {
            let names = entry.names.iter().filter(|name| !brought.contains(&(number, *name)));
            names.cloned().collect::<Vec<_>>()
        };
        let mut last: HashMap<Arc<str>, MetricId> = HashMap::new();
        let mut moved: HashMap<Arc<str>, Vec<MetricId>> = HashMap::new();
        for (number, entry) in kept() {
            if entry.merged_into.is_some() {
                // One that was discovered anew after the name was taken away has the higher number.
                last.extend(own(*number, entry).into_iter().map(|name| (name, MetricId::numbered(*number))));
            }
            moved.extend(entry.former_names.iter().map(|name| (Arc::clone(name), Vec::new())));
        }
        moved.extend(last.keys().map(|name| (Arc::clone(name), Vec::new())));
        // Where no name was ever moved there is no more to look for.
        let none_moved = moved.is_empty();
        for (number, entry) in kept().take_while(|_| !none_moved) {
            let id = MetricId::numbered(*number);
            for name in own(*number, entry).iter().chain(&entry.former_names) {
                if let Some(ids) = moved.get_mut(name).filter(|ids| ids.last() != Some(&id)) {
                    ids.push(id.clone());
                }
            }
        }
        last.retain(|name, id| schema.metric_named(name).is_some_and(|holder| holder.row_metrics().contains(id)));
        // A name that nobody has is discovered before its events are read.
        moved.retain(|name, ids| ids.len() > 1 && schema.metric_named(name).is_some());
        Self { last, moved }
    }
}
