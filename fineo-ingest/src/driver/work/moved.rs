//! Events whose metric's name was moved from one metric to another: one that is sent again and is a row of the former is no
//! second row of the latter.

use std::collections::{BTreeMap, HashSet};

use fineo_core::{ErrorKind, EventId, MetricId, Result, TenantId, TimeRange};

use crate::{driver::parts::Shared, filed, retry::Retry, stage::raw::RawOutcome};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The rows of one metric of a tenant.
type Part<'a> = (&'a TenantId, &'a MetricId);

/// The ids that are looked for among a metric's rows.
#[derive(Debug, Default)]
struct Wanted {
    ids: HashSet<EventId>,
    /// By day the first and the last of their times.
    days: BTreeMap<i64, (i64, i64)>,
}

/// Takes out of `outcome` the events that are rows of a metric which had their name before.
pub(super) async fn leave_out_rows(shared: &Shared, outcome: &mut RawOutcome) -> Result<()> {
    let elsewhere = std::mem::take(&mut outcome.elsewhere);
    if elsewhere.is_empty() {
        return Ok(());
    }
    let mut wanted: BTreeMap<Part<'_>, Wanted> = BTreeMap::new();
    for (place, (metric, id)) in elsewhere.iter().flat_map(|(of, places)| places.iter().map(move |place| (of, place))) {
        let micros = outcome.times[*place].micros();
        let of_part = wanted.entry((&outcome.forward[*place].tenant, metric)).or_default();
        of_part.ids.insert(*id);
        let (first, last) = of_part.days.entry(micros.div_euclid(MICROS_PER_DAY)).or_insert((micros, micros));
        (*first, *last) = ((*first).min(micros), (*last).max(micros));
    }
    let mut found: HashSet<(&TenantId, EventId)> = HashSet::new();
    for ((tenant, metric), wanted) in &wanted {
        let rows = rows(shared, tenant, metric, wanted).await?;
        found.extend(rows.into_iter().map(|id| (*tenant, id)));
    }
    let is_row = |place: usize, id: &EventId| found.contains(&(&outcome.forward[place].tenant, *id));
    let known = elsewhere.iter().filter(|(of, places)| places.iter().any(|(_, id)| is_row(*of, id)));
    let known: HashSet<usize> = known.map(|(of, _)| *of).collect();
    for place in &known {
        shared.counters.add(&outcome.forward[*place].tenant, |counts| counts.duplicates += 1);
    }
    keep(&mut outcome.forward, &known);
    keep(&mut outcome.passed, &known);
    keep(&mut outcome.times, &known);
    Ok(())
}

async fn rows(shared: &Shared, tenant: &TenantId, metric: &MetricId, wanted: &Wanted) -> Result<HashSet<EventId>> {
    let during: Vec<TimeRange> =
        wanted.days.values().map(|(from, last)| TimeRange { from: *from, to: last.saturating_add(1) }).collect();
    let (nearline, files) = (&*shared.parts.nearline, &*shared.parts.files);
    let look = || filed::rows(nearline, files, tenant, metric, &during, wanted.ids.clone());
    match shared.retry.until_done(look).await {
        // What cannot be looked at of one metric stops no other's events, and nobody else's.
        Err(error) if error.kind() != ErrorKind::Internal && !Retry::may_pass(&error) => {
            tracing::warn!(%error, %tenant, %metric, "events may be rows of it already, which cannot be looked at");
            Ok(HashSet::new())
        }
        found => found,
    }
}

/// Keeps what is not at one of `places`.
fn keep<T>(list: &mut Vec<T>, places: &HashSet<usize>) {
    let mut place = 0;
    list.retain(|_| {
        place += 1;
        !places.contains(&(place - 1))
    });
}
