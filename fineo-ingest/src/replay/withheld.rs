//! Values of fields that were deleted since their event arrived: a replay brings none of them back.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use fineo_core::{Cover, MetricId, Result, repo::Version, stream::Entry};
use fineo_schema::{Cell, RecordHead, RecordLayout, RecordVisitor, TenantSchema};

use super::{
    ReplayRequest,
    recorded::{Holders, Recorded},
};
use crate::{
    driver::parts::Shared,
    stage::payload::{self, StagedEntry},
};

/// The stored names of fields.
type Names = Arc<HashSet<Arc<str>>>;

/// Takes values out of records that an event's arrival has no right to bring back: its record stands behind the positions up to
/// which a deletion made them unreadable.
pub(super) struct Withheld<'a> {
    today: Arc<TenantSchema>,
    /// Whether any field was deleted.
    has_any: bool,
    recorded: Recorded<'a>,
    holders: Holders<'a>,
    /// By metric, the names that were deleted since this version.
    since: (Version, HashMap<MetricId, Names>),
}

impl<'a> Withheld<'a> {
    pub(super) fn new(shared: &'a Shared, request: &'a ReplayRequest, today: &Arc<TenantSchema>) -> Self {
        Self {
            has_any: today.metrics().any(|metric| metric.deletions().next().is_some()),
            today: Arc::clone(today),
            recorded: Recorded::new(shared, request),
            holders: Holders::new(shared, request, today),
            since: (Version::NONE, HashMap::new()),
        }
    }

    /// `entry`, the record of an event that was read under `schema`, without values that were deleted since the event arrived.
    pub(super) async fn taken_out(&mut self, entry: Entry, schema: &TenantSchema) -> Result<Entry> {
        if !self.has_any {
            return Ok(entry);
        }
        let staged = payload::read(&entry.payload)?;
        let metric = MetricId::new(staged.metric)?;
        let recorded = self.recorded.at(staged.arrived_at).await?;
        // The name may have been another metric's when the event arrived.
        let alias = RecordLayout::read_head(staged.record, staged.id)?.alias;
        let then = self.holders.holder(alias, &recorded).await?.filter(|then| *then != metric);
        let metrics = [Some(&metric), then.as_ref()].into_iter().flatten();
        let deleted = metrics.map(|metric| self.deleted_since(&recorded, metric));
        let deleted: Vec<Names> = deleted.filter(|names| !names.is_empty()).collect();
        match without(&staged, &metric, schema, &deleted)? {
            Some(bytes) => Ok(Entry { payload: bytes.into(), ..entry }),
            None => Ok(entry),
        }
    }

    /// The names of `metric` that were deleted since `recorded`.
    fn deleted_since(&mut self, recorded: &TenantSchema, metric: &MetricId) -> Names {
        if self.since.0 != recorded.version() {
            self.since = (recorded.version(), HashMap::new());
        }
        if let Some(names) = self.since.1.get(metric) {
            return Arc::clone(names);
        }
        let then = recorded.metric(metric);
        let is_since =
            |(name, through): &(&str, &Cover)| then.is_none_or(|then| then.unreadable_through(name) != Some(*through));
        let deletions = self.today.metric(metric).into_iter().flat_map(|now| now.deletions());
        let names: Names = Arc::new(deletions.filter(is_since).map(|(name, _)| name.into()).collect());
        self.since.1.insert(metric.clone(), Arc::clone(&names));
        names
    }
}

/// The bytes of `staged`, a record of `metric` under `schema`, without the cells of `names`; none where it has none of them.
fn without(
    staged: &StagedEntry<'_>,
    metric: &MetricId,
    schema: &TenantSchema,
    names: &[Names],
) -> Result<Option<Vec<u8>>> {
    let Some(of_metric) = schema.metric(metric).filter(|_| !names.is_empty()) else { return Ok(None) };
    let mut kept = Kept { names, cells: Vec::new(), is_whole: true };
    let head = of_metric.layout().read(staged.record, staged.id, &mut kept)?;
    if kept.is_whole {
        return Ok(None);
    }
    let cells: Vec<Cell<'_>> =
        kept.cells.iter().map(|(name, text)| Cell { name, text, slot: of_metric.slot(name) }).collect();
    let mut bytes = Vec::with_capacity(staged.record.len());
    payload::write_head(metric, staged.schema, staged.id, staged.arrived_at, &mut bytes);
    of_metric.layout().write(&head, cells.as_slice(), &mut bytes);
    Ok(Some(bytes))
}

/// The cells of a record that are not of `names`.
struct Kept<'a> {
    names: &'a [Names],
    cells: Vec<(String, String)>,
    is_whole: bool,
}

impl RecordVisitor for Kept<'_> {
    fn head(&mut self, _: &RecordHead<'_>) {}

    fn cell(&mut self, name: &str, text: &str) {
        if self.names.iter().any(|names| names.contains(name)) {
            self.is_whole = false;
        } else {
            self.cells.push((name.to_owned(), text.to_owned()));
        }
    }
}
