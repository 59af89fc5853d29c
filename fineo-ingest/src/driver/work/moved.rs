//! Events whose metric's name was moved from one metric to another: one that is sent again and is a row of the former is no
//! second row of the latter.

use std::collections::{BTreeMap, HashSet};

use fineo_core::{ErrorKind, EventId, MetricId, Result, TenantId, TimeRange};

use crate::{driver::parts::Shared, filed, stage::raw::RawOutcome};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// What is looked for together: a metric's rows of a day.
type Part<'a> = (&'a TenantId, &'a MetricId, i64);

/// The ids that are looked for, and the first and last of their times.
#[derive(Debug)]
struct Wanted {
    ids: HashSet<EventId>,
    first: i64,
    last: i64,
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
        let part = (&outcome.forward[*place].tenant, metric, micros.div_euclid(MICROS_PER_DAY));
        let new = || Wanted { ids: HashSet::new(), first: micros, last: micros };
        let of_part = wanted.entry(part).or_insert_with(new);
        of_part.ids.insert(*id);
        (of_part.first, of_part.last) = (of_part.first.min(micros), of_part.last.max(micros));
    }
    let mut found: HashSet<(&TenantId, EventId)> = HashSet::new();
    for ((tenant, metric, _), wanted) in &wanted {
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
    let during = TimeRange { from: wanted.first, to: wanted.last.saturating_add(1) };
    let (nearline, files) = (&*shared.parts.nearline, &*shared.parts.files);
    let look = || filed::rows(nearline, files, tenant, metric, during, wanted.ids.clone());
    match shared.retry.until_done(look).await {
        // What is damaged of one metric stops no other's events, and nobody else's.
        Err(error) if error.kind() == ErrorKind::Corrupt => {
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
