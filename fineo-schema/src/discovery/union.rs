//! The names of several trackers as one list.

use std::{collections::HashMap, sync::Arc};

use super::names::Names;
use crate::{NameStats, SeenNames};

/// The names in order of first sight; the statistics of a name that several have are added.
pub(super) fn union(trackers: &[Names], is_full: bool) -> SeenNames {
    if let [only] = trackers {
        return SeenNames::new(only.iter().map(|tracked| tracked.stats.clone()), is_full);
    }
    let mut all: Vec<NameStats> = Vec::new();
    let mut by_name: HashMap<Arc<str>, usize> = HashMap::new();
    for tracked in trackers.iter().flat_map(Names::iter) {
        let stats = &tracked.stats;
        match by_name.get(&stats.name).and_then(|index| all.get_mut(*index)) {
            Some(sum) => add(sum, stats),
            None => {
                by_name.insert(Arc::clone(&stats.name), all.len());
                all.push(stats.clone());
            }
        }
    }
    all.sort_by_key(|stats| stats.first);
    SeenNames::new(all, is_full)
}

fn add(sum: &mut NameStats, other: &NameStats) {
    sum.count += other.count;
    if other.last >= sum.last {
        sum.last_position.clone_from(&other.last_position);
    }
    sum.first = sum.first.min(other.first);
    sum.last = sum.last.max(other.last);
    sum.tried = sum.tried.saturating_add(other.tried);
    for (fits, more) in sum.fits.iter_mut().zip(other.fits) {
        *fits = fits.saturating_add(more);
    }
    let samples = sum.samples.iter().chain(other.samples.iter().filter(|sample| !sum.samples.contains(sample)));
    sum.samples = samples.take(NameStats::SAMPLES_MAX).cloned().collect();
    sum.range = match (sum.range, other.range) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, another) => one.or(another),
    };
}
