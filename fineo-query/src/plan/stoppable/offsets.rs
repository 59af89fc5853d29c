//! Sorts that keep only the first rows, where these are very many: a heap of millions of rows is slower than sorting them, and is
//! emptied in one step that nobody can break off.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, limit::LocalLimitExec, sorts::sort::SortExec};

/// The most rows that a heap empties in no time.
const HEAP_ROWS_MAX: usize = 65_536;

/// The sort at `node` that would keep too many rows in a heap, and how many, if it is one.
pub(super) fn of_many(node: &Arc<dyn ExecutionPlan>) -> Option<(&SortExec, usize)> {
    let sort = node.downcast_ref::<SortExec>()?;
    Some((sort, sort.fetch().filter(|fetch| *fetch > HEAP_ROWS_MAX)?))
}

/// Such a `node` as a sort of everything, of which the first rows are taken. That takes room for all rows.
pub(super) fn sorted(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let (sort, fetch) = of_many(node)?;
    Some(Arc::new(LocalLimitExec::new(Arc::new(sort.with_fetch(None)), fetch)))
}
