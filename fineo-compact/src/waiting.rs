//! Which tenants' few new records wait for more: a file of a handful of rows costs as much as one of thousands.

use std::collections::BTreeSet;

use fineo_core::{Cover, Position, ShardId, TenantId, Timestamp};

use crate::{CompactOptions, Fresh, Rewrite, Selection, tenant::Segment, tenant::before};

/// Whether what `segments` have of `tenant` is so little and so young that it may wait. Until then it is read from the
/// nearline store.
pub(crate) fn may_wait(tenant: &TenantId, segments: &[Segment], options: &CompactOptions, now: Timestamp) -> bool {
    let is_asked = options.selection != Selection::All || options.rewrite != Rewrite::Never;
    if options.few_records == 0 || is_asked || options.fresh != Fresh::None {
        return false;
    }
    let due = before(now, options.wait_for).micros();
    let mut records = 0_u64;
    for (of_tenant, first) in segments.iter().filter_map(|segment| segment.1.received_of(tenant)) {
        records = records.saturating_add(of_tenant);
        if records >= options.few_records || first <= due {
            return false;
        }
    }
    records > 0
}

/// Up to where nobody waits, shard by shard, at or before `to`.
pub(crate) fn done_by_all(segments: &[Segment], waiting: &BTreeSet<TenantId>, to: &Cover) -> Cover {
    if waiting.is_empty() {
        return to.clone();
    }
    let waiting: BTreeSet<&str> = waiting.iter().map(TenantId::as_str).collect();
    let has_waiting = |segment: &&Segment| segment.1.tenants().iter().any(|tenant| waiting.contains(tenant));
    let reach = |(shard, last): (&ShardId, Position)| {
        let of_shard = segments.iter().filter(|segment| segment.0.name.shard == *shard);
        let first = of_shard.filter(has_waiting).min_by_key(|segment| segment.0.name.first);
        Some((shard.clone(), first.map_or(Some(last), |segment| segment.1.after())?.min(last)))
    };
    to.iter().filter_map(reach).collect()
}
