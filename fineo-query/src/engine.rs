//! What all sessions share: the stores, the limits, and the planner's registry of functions.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use datafusion::{
    execution::{
        SessionStateDefaults,
        config::SessionConfig,
        disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, GreedyMemoryPool, MemoryPool},
        runtime_env::RuntimeEnv,
        session_state::{SessionState, SessionStateBuilder},
        spill_file::{SpillFile, TempFileFactory},
    },
    optimizer::Optimizer,
    physical_optimizer::{PhysicalOptimizerRule, optimizer::PhysicalOptimizer},
};
use fineo_core::{Clock, Error, NearlineStore, Result, TenantId};
use fineo_schema::{Discovery, SchemaStore};
use fineo_table::Tables;

use crate::{
    QueryLimits, Session,
    catalog::Catalog,
    plan::{
        AggregatesLook, AsksAtOnce, ChecksRanges, ComparesEquals, ComparesTruth, CountPlanner, CountsCopies,
        FiltersRows, ForgetsConstants, GroupsLengths, JoinPlanner, KeepsCasts, KeepsNulls, KeepsTests, KeptPlans,
        KnowsRanges, ListsZeros, LiteralPlanner, NamesKeys, NewestFirst, Planners, StopsWhenUnwanted, TestsInTurn,
        TestsSubqueries, TurnsConstants, alternatives, bins, formats, functions, growth, guarded, parts, sized, whole,
        work,
    },
};

/// The parts that queries read from.
#[derive(Debug, Clone)]
pub struct EngineParts {
    /// The rows.
    pub nearline: Arc<dyn NearlineStore>,
    /// What they mean.
    pub schemas: SchemaStore,
    /// Which names they bear.
    pub discovery: Arc<Discovery>,
    /// The rows' columnar files, where there are any.
    pub tables: Option<Tables>,
    /// Time: of `now()` and of time limits.
    pub clock: Arc<dyn Clock>,
}

/// Answers SQL. Cloning is cheap; clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) parts: EngineParts,
    pub(crate) limits: QueryLimits,
    pub(crate) states: States,
    pub(crate) planners: Planners,
    pub(crate) kept: KeptPlans,
    /// What the runtimes of all queries have in common.
    runtime: RuntimeEnv,
}

/// What the planner knows of functions, rules and settings.
#[derive(Debug)]
pub(crate) struct States {
    /// For tables so small that one task is done before others have begun.
    one: SessionState,
    /// For all others.
    many: SessionState,
}

/// Fewer rows than this are work for one task.
const ROWS_OF_ONE_TASK: u64 = 500_000;

impl States {
    /// The one for a statement over the tables of `catalog`.
    pub(crate) fn fitting(&self, catalog: &Catalog) -> &SessionState {
        if catalog.rows_expected() < ROWS_OF_ONE_TASK { &self.one } else { &self.many }
    }

    /// The settings of runs.
    pub(crate) fn config(&self) -> &SessionConfig {
        self.many.config()
    }
}

impl Engine {
    /// An engine over `parts` whose queries keep to `limits`.
    pub fn new(parts: EngineParts, limits: QueryLimits) -> Self {
        let states = States { one: state(&limits, 1), many: state(&limits, limits.parallelism) };
        let (planners, kept) = (Planners::default(), KeptPlans::default());
        Self(Arc::new(Inner { parts, limits, states, planners, kept, runtime: RuntimeEnv::default() }))
    }

    /// A session of `tenant`: it sees that tenant's tables and no others.
    pub fn session(&self, tenant: &TenantId) -> Session {
        Session::new(Arc::clone(&self.0), tenant.clone())
    }

    /// The bounds of each query.
    pub fn limits(&self) -> &QueryLimits {
        &self.0.limits
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("parts", &self.0.parts).field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Inner {
    /// Memory and spill space of one query; `may_spill` when its plan can use any.
    pub(crate) fn runtime(&self, may_spill: bool) -> Result<Arc<RuntimeEnv>> {
        let limits = &self.limits;
        let mut disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let mut memory_pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limits.memory_bytes_max));
        if let Some(directory) = limits.spill_directory.as_ref().filter(|_| may_spill) {
            let spills =
                Spills { directory: directory.clone(), bytes_max: limits.spill_bytes_max, disk: OnceLock::new() };
            disk = disk.with_mode(DiskManagerMode::Custom(Arc::new(spills)));
            memory_pool = Arc::new(FairSpillPool::new(limits.memory_bytes_max));
        }
        let disk = disk.build();
        let disk = disk.map_err(|source| Error::unavailable("cannot use the spill directory").with_source(source))?;
        Ok(Arc::new(RuntimeEnv { memory_pool, disk_manager: Arc::new(disk), ..self.runtime.clone() }))
    }
}

/// The spill files of one query. Few queries have any: the directory is touched when the first is made.
struct Spills {
    directory: PathBuf,
    bytes_max: u64,
    disk: OnceLock<Arc<DiskManager>>,
}

impl TempFileFactory for Spills {
    fn create_temp_file(&self, description: &str) -> datafusion::error::Result<Arc<dyn SpillFile>> {
        let disk = match self.disk.get() {
            Some(disk) => disk,
            None => {
                let mode = DiskManagerMode::Directories(vec![self.directory.clone()]);
                let disk = DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(self.bytes_max);
                // Of two who come first at once both use what the first made.
                let disk = Arc::new(disk.build()?);
                self.disk.get_or_init(|| disk)
            }
        };
        disk.create_tmp_file(description)
    }
}

/// Functions and rules, without any way to files, other catalogs or settings.
fn state(limits: &QueryLimits, tasks: usize) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(tasks)
        .with_batch_size(limits.batch_rows_max)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false)
        .with_collect_statistics(false);
    let options = config.options_mut();
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.collect_spans = true;
    // Nothing below a scan could use them.
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    let functions = functions::with_ours(SessionStateDefaults::default_scalar_functions());
    let functions = alternatives::of_one_type(bins::of_any_year(functions));
    let functions = formats::of_both(parts::in_full(functions));
    let functions = guarded::of_any_number(work::bounded(functions));
    let functions = sized::of_small_types(growth::bounded(functions, limits.memory_bytes_max));
    let aggregates = functions::with_our_aggregates(SessionStateDefaults::default_aggregate_functions());
    // The first that plans an expression decides.
    let mut planners = SessionStateDefaults::default_expr_planners();
    planners.insert(0, Arc::new(JoinPlanner::new(&functions, limits.memory_bytes_max)));
    planners.insert(0, Arc::new(LiteralPlanner));
    planners.insert(0, Arc::new(CountPlanner));
    // Tests come first: what is concluded from them is in the plan before any other rule sees it.
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> =
        vec![Arc::new(KeepsTests), Arc::new(ForgetsConstants)];
    // These pass filters on by columns' names: above a RIGHT JOIN they go to the wrong side where both have a name. Logical
    // rules have brought every filter to where it belongs before.
    let is_wanted = |rule: &&Arc<dyn PhysicalOptimizerRule + Send + Sync>| !rule.name().starts_with("FilterPushdown");
    rules.extend(PhysicalOptimizer::new().rules.iter().filter(is_wanted).cloned());
    let sorts = rules.iter().position(|rule| rule.name() == "EnsureRequirements").unwrap_or(rules.len());
    rules.insert(sorts, Arc::new(TestsInTurn));
    rules.push(Arc::new(NewestFirst));
    rules.push(Arc::new(StopsWhenUnwanted { may_spill: limits.spill_directory.is_some() }));
    let mut logical = Optimizer::new().rules;
    let compares = logical.iter().position(|rule| rule.name() == "push_down_filter").unwrap_or_default();
    logical.insert(compares, Arc::new(TurnsConstants));
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_optimizer_rules(logical)
        .with_expr_planners(planners)
        .with_scalar_functions(functions)
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(whole::exact(aggregates))
        .with_window_functions(whole::signed(SessionStateDefaults::default_window_functions()))
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .with_analyzer_rule(Arc::new(KeepsCasts))
        .with_analyzer_rule(Arc::new(CountsCopies))
        .with_analyzer_rule(Arc::new(NamesKeys))
        .with_analyzer_rule(Arc::new(TestsSubqueries))
        .with_analyzer_rule(Arc::new(AsksAtOnce))
        .with_analyzer_rule(Arc::new(FiltersRows))
        .with_analyzer_rule(Arc::new(ChecksRanges))
        .with_analyzer_rule(Arc::new(ComparesEquals))
        .with_analyzer_rule(Arc::new(GroupsLengths))
        .with_analyzer_rule(Arc::new(KeepsNulls))
        .with_analyzer_rule(Arc::new(KnowsRanges))
        .with_optimizer_rule(Arc::new(ListsZeros))
        .with_optimizer_rule(Arc::new(AggregatesLook))
        .with_optimizer_rule(Arc::new(ComparesTruth))
        .with_physical_optimizer_rules(rules)
        .build();
    // Otherwise every call of a function in a plan makes settings of its own.
    let options = Arc::clone(state.config_options());
    state.execution_props_mut().config_options = Some(options);
    state
}
