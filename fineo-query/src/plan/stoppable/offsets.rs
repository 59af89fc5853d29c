//! Sorts that keep only the first rows, where these are very many: a heap of millions of rows is slower than sorting them, is
//! emptied in one step that nobody can break off, and does not spill.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, limit::LocalLimitExec, sorts::sort::SortExec};

/// The most rows that a heap keeps.
const HEAP_ROWS_MAX: usize = 65_536;

/// `node` as a sort of everything, of which the first rows are taken, if it would keep too many in a heap.
pub(super) fn sorted(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let sort = node.downcast_ref::<SortExec>()?;
    let fetch = sort.fetch().filter(|fetch| *fetch > HEAP_ROWS_MAX)?;
    Some(Arc::new(LocalLimitExec::new(Arc::new(sort.with_fetch(None)), fetch)))
}
