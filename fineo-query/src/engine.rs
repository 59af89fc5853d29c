//! What all sessions share: the stores, the limits, and the planner's registry of functions.

use std::{fmt, sync::Arc};

use datafusion::execution::{
    SessionStateDefaults,
    config::SessionConfig,
    disk_manager::{DiskManagerBuilder, DiskManagerMode},
    memory_pool::{FairSpillPool, GreedyMemoryPool, MemoryPool},
    runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    session_state::{SessionState, SessionStateBuilder},
};
use fineo_core::{Clock, Error, NearlineStore, Result, TenantId};
use fineo_schema::{Discovery, SchemaStore};

use crate::{QueryLimits, Session};

/// The parts that queries read from.
#[derive(Debug, Clone)]
pub struct EngineParts {
    /// The rows.
    pub nearline: Arc<dyn NearlineStore>,
    /// What they mean.
    pub schemas: SchemaStore,
    /// Which names they bear.
    pub discovery: Arc<Discovery>,
    /// Time: of `now()` and of time limits.
    pub clock: Arc<dyn Clock>,
}

/// Answers SQL. Cloning is cheap; clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) parts: EngineParts,
    pub(crate) limits: QueryLimits,
    pub(crate) state: SessionState,
}

impl Engine {
    /// An engine over `parts` whose queries keep to `limits`.
    pub fn new(parts: EngineParts, limits: QueryLimits) -> Self {
        let state = state(&limits);
        Self(Arc::new(Inner { parts, limits, state }))
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
    /// Memory and spill space of one query.
    pub(crate) fn runtime(&self) -> Result<Arc<RuntimeEnv>> {
        let limits = &self.limits;
        let mut disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let mut pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limits.memory_bytes_max));
        if let Some(directory) = &limits.spill_directory {
            disk = DiskManagerBuilder::default()
                .with_mode(DiskManagerMode::Directories(vec![directory.clone()]))
                .with_max_temp_directory_size(limits.spill_bytes_max);
            pool = Arc::new(FairSpillPool::new(limits.memory_bytes_max));
        }
        RuntimeEnvBuilder::new()
            .with_memory_pool(pool)
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|source| Error::unavailable("cannot use the spill directory").with_source(source))
    }
}

/// Functions and rules, without any way to files, other catalogs or settings.
fn state(limits: &QueryLimits) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(limits.parallelism)
        .with_batch_size(limits.batch_rows_max)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false)
        .with_collect_statistics(false);
    let options = config.options_mut();
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.collect_spans = true;
    SessionStateBuilder::new()
        .with_config(config)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .build()
}
