//! What plans and answers the questions of a session: tables, functions and types as Postgres has them.

use std::sync::{Arc, OnceLock};

use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider},
    error::DataFusionError,
    execution::{
        context::SessionContext,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::GreedyMemoryPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
        session_state::{SessionState, SessionStateBuilder},
    },
    prelude::SessionConfig,
};
use datafusion_pg_catalog::pg_catalog::{PgCatalogStaticTables, setup_pg_catalog};
use fineo::query::beside;

use super::{
    functions,
    information::Information,
    tables::PgTables,
    tenant::{DATABASE, TenantCatalog},
};

/// The most memory of one question, and the most that a function of it makes at once.
const MEMORY_BYTES_MAX: usize = 128 << 20;
const FUNCTION_BYTES_MAX: usize = 32 << 20;

/// What plans and answers the questions of one session.
pub(super) fn state(tenant: &TenantCatalog) -> Result<SessionState, DataFusionError> {
    static TABLES: OnceLock<Result<Arc<PgCatalogStaticTables>, String>> = OnceLock::new();
    let tables =
        TABLES.get_or_init(|| PgCatalogStaticTables::try_new().map(Arc::new).map_err(|error| error.to_string()));
    let tables = tables.as_ref().map_err(|error| DataFusionError::Internal(error.clone()))?;
    let template = template()?;
    let catalog = Arc::new(MemoryCatalogProvider::new());
    catalog.register_schema("pg_catalog", Arc::new(PgTables::new(tenant, Arc::clone(tables))?))?;
    catalog.register_schema("information_schema", Arc::new(Information(tenant.clone())))?;
    catalog.register_schema("public", Arc::new(MemorySchemaProvider::new()))?;
    let state = SessionStateBuilder::new_from_existing(template)
        .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()))
        .build();
    state.catalog_list().register_catalog(DATABASE.to_owned(), catalog);
    let context = SessionContext::new_with_state(state);
    for function in functions::all(tenant.tenant()) {
        context.register_udf(function);
    }
    Ok(context.state())
}

/// What one question runs in: memory of its own, so that no other question takes it away.
pub(super) fn runtime(state: &SessionState) -> Arc<RuntimeEnv> {
    let memory_pool = Arc::new(GreedyMemoryPool::new(MEMORY_BYTES_MAX));
    Arc::new(RuntimeEnv { memory_pool, ..RuntimeEnv::clone(state.runtime_env()) })
}

/// The functions and types of Postgres, made once.
fn template() -> Result<SessionState, DataFusionError> {
    static TEMPLATE: OnceLock<Result<SessionState, String>> = OnceLock::new();
    let made = TEMPLATE.get_or_init(|| {
        let make = || {
            let config = SessionConfig::new()
                .with_default_catalog_and_schema(DATABASE, "public")
                .with_target_partitions(1)
                .with_information_schema(false);
            let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
            let runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disk).build_arc()?;
            let context = SessionContext::new_with_config_rt(config, runtime);
            let nobody = TenantCatalog::new("");
            setup_pg_catalog(&context, DATABASE, nobody).map_err(|error| *error)?;
            Ok::<_, DataFusionError>(beside::bounded(context.state(), FUNCTION_BYTES_MAX))
        };
        make().map_err(|error| error.to_string())
    });
    made.clone().map_err(DataFusionError::Internal)
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::MemoryConsumer;

    use super::{MEMORY_BYTES_MAX, TenantCatalog, runtime, state};

    #[test]
    fn no_question_takes_the_memory_of_another() {
        let state = state(&TenantCatalog::new("acme")).unwrap();
        let [one, other] = [runtime(&state), runtime(&state)];
        let greedy = MemoryConsumer::new("greedy").register(&one.memory_pool);
        greedy.try_grow(MEMORY_BYTES_MAX).unwrap();
        assert!(greedy.try_grow(1).is_err());
        MemoryConsumer::new("frugal").register(&other.memory_pool).try_grow(MEMORY_BYTES_MAX).unwrap();
    }
}
