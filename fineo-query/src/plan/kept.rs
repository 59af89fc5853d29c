//! Plans that are kept for statements like those that they were made for.
//!
//! A plan follows from a statement's shape and from what the tables that it names look like to it. Both are compared
//! before a plan is used again: no change of a schema, and no name that is seen for the first time, is overlooked.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use datafusion::{
    arrow::datatypes::SchemaRef,
    common::tree_node::{TreeNode, TreeNodeRecursion},
    error::{DataFusionError, Result},
    physical_plan::{ExecutionPlan, execution_plan::replace_children_if_necessary, sorts::sort::SortExec},
    sql::sqlparser::ast::Statement,
};
use fineo_core::repo::Version;

use super::{
    Planned,
    open::{OpenScan, Values},
};
use crate::{
    catalog::{Catalog, Sources},
    engine::States,
    reader::Reader,
    sql::{asked::Asked, lift::Lifted},
};

/// How many shapes of statements, and how many statements, are kept.
const KEPT_MAX: usize = 512;
/// What a kept plan may be made of beside its scans: nodes that hold nothing of a run once they are reset.
const NODES: [&str; 16] = [
    "AggregateExec",
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "FilterExec",
    "GlobalLimitExec",
    "LatestExec",
    "LocalLimitExec",
    "OpenScan",
    "PlaceholderRowExec",
    "ProjectionExec",
    "RepartitionExec",
    "SlicesExec",
    "SortExec",
    "SortPreservingMergeExec",
    "UnionExec",
];

/// A plan without its scans, and what it holds for.
#[derive(Debug)]
pub(crate) struct Kept {
    plan: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    asked: Asked,
    catalog: Catalog,
    /// How many tasks it is for.
    tasks: usize,
    /// Who may use it, and the version of the tenant's schema that it is of.
    of: (Reader, Version),
}

impl Kept {
    /// Keeps `planned`, a plan over open scans of `catalog`, where that is possible.
    pub(super) fn new(
        planned: Planned,
        asked: Asked,
        catalog: Catalog,
        sources: &Sources,
        tasks: usize,
    ) -> Option<Self> {
        let of = (sources.reader.clone(), sources.schema.version());
        let Planned { plan, schema, .. } = planned;
        let has_others = plan.exists(|node| Ok(!NODES.contains(&node.name())));
        let is_whole = has_others.is_ok_and(|has_others| !has_others);
        is_whole.then(|| Self { plan, schema, asked, catalog: catalog.without_seen(), tasks, of })
    }

    /// The plan of one run with `values`; none where it does not hold for `sources`, or not for such values.
    pub(crate) async fn planned(&self, sources: &Sources, values: Values<'_>, states: &States) -> Option<Planned> {
        if self.of != (sources.reader.clone(), sources.schema.version()) {
            return None;
        }
        let catalog = Catalog::of(sources, &self.asked).ok()?;
        let state = states.fitting(&catalog);
        if state.config().target_partitions() != self.tasks || !catalog.is_like(&self.catalog) {
            return None;
        }
        let mut open: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        self.plan
            .apply(|node| {
                if node.is::<OpenScan>() {
                    open.push(Arc::clone(node));
                }
                Ok(TreeNodeRecursion::Continue)
            })
            .ok()?;
        let mut scans = Vec::with_capacity(open.len());
        for scan in open.iter().filter_map(|node| node.downcast_ref::<OpenScan>()) {
            scans.push(scan.begin(catalog.numbered(scan.table)?, state, values).await?);
        }
        let plan = over(&self.plan, &mut scans.into_iter()).ok()?;
        Some(Planned { plan, schema: Arc::clone(&self.schema), granted: sources.granted.clone() })
    }
}

/// `plan` for one run: `scans` in place of open ones, and other nodes as they were before any run.
fn over(
    plan: &Arc<dyn ExecutionPlan>,
    scans: &mut impl Iterator<Item = Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if plan.is::<OpenScan>() {
        return scans.next().ok_or_else(|| DataFusionError::Internal("a scan did not begin".to_owned()));
    }
    let children = plan.children();
    if children.is_empty() {
        return Arc::clone(plan).reset_state();
    }
    let children = children.into_iter().map(|child| over(child, scans)).collect::<Result<_>>()?;
    let plan = replace_children_if_necessary(Arc::clone(plan), children)?;
    // Of the nodes that are kept only a sort holds something of a run beside its metrics.
    if plan.is::<SortExec>() { plan.reset_state() } else { Ok(plan) }
}

/// What is known of a shape: its plan, or that with this version of the schema there is none to keep.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    Plan(Arc<Kept>),
    NoPlan(Version),
}

/// A statement that was asked: its shape's plan, and the texts that were lifted out of it.
#[derive(Debug, Clone)]
pub(crate) struct Repeated {
    pub(crate) kept: Arc<Kept>,
    pub(crate) texts: Arc<[Arc<str>]>,
}

/// The plans of one engine, by reader; those not used for long make room.
#[derive(Debug, Default)]
pub(crate) struct KeptPlans(Mutex<Plans>);

#[derive(Debug, Default)]
struct Plans {
    shapes: Recent<(Reader, Statement), Known>,
    statements: Recent<(Reader, Arc<str>), Repeated>,
}

impl KeptPlans {
    /// What is known of a statement with exactly this text.
    pub(crate) fn repeated(&self, reader: &Reader, sql: &str) -> Option<Repeated> {
        self.plans().statements.find(&(reader.clone(), sql.into()))
    }

    /// What is known of statements of this shape.
    pub(crate) fn known(&self, reader: &Reader, shape: &Statement) -> Option<Known> {
        self.plans().shapes.find(&(reader.clone(), shape.clone()))
    }

    /// Keeps what became known of a shape.
    pub(crate) fn keep(&self, reader: &Reader, shape: Statement, known: Known) {
        self.plans().shapes.keep((reader.clone(), shape), known);
    }

    /// Keeps that the statement `sql` is answered by `kept`.
    pub(crate) fn repeat(&self, reader: &Reader, sql: &str, kept: &Arc<Kept>, lifted: &Lifted) {
        let repeated = Repeated { kept: Arc::clone(kept), texts: Arc::clone(&lifted.texts) };
        self.plans().statements.keep((reader.clone(), sql.into()), repeated);
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values that were used last.
#[derive(Debug)]
struct Recent<K, V> {
    by_key: HashMap<K, (u64, V)>,
    uses: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), uses: 0 }
    }
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    fn find(&mut self, key: &K) -> Option<V> {
        self.uses += 1;
        let (used, value) = self.by_key.get_mut(key)?;
        *used = self.uses;
        Some(value.clone())
    }

    fn keep(&mut self, key: K, value: V) {
        self.uses += 1;
        self.by_key.insert(key, (self.uses, value));
        if self.by_key.len() > KEPT_MAX {
            let mut uses: Vec<u64> = self.by_key.values().map(|(used, _)| *used).collect();
            let middle = uses.len() / 2;
            let (_, oldest, _) = uses.select_nth_unstable(middle);
            let oldest = *oldest;
            self.by_key.retain(|_, (used, _)| *used >= oldest);
        }
    }
}

#[cfg(test)]
mod tests;
