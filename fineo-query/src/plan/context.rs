//! What the planner may know: one statement's catalog and the functions.

use std::sync::Arc;

use datafusion::{
    arrow::{
        datatypes::{DataType, Field, FieldRef, SchemaRef, TimeUnit},
        temporal_conversions::timestamp_us_to_datetime,
    },
    catalog::TableFunctionArgs,
    common::{DFSchema, TableReference, plan_datafusion_err},
    config::ConfigOptions,
    datasource::{cte_worktable::CteWorkTable, provider_as_source},
    error::Result,
    execution::session_state::SessionState,
    logical_expr::{
        AggregateUDF, Expr, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF,
        planner::{ContextProvider, ExprPlanner, TypePlanner},
        simplify::SimplifyContext,
    },
    optimizer::simplify_expressions::ExprSimplifier,
    sql::sqlparser::ast::{self, TimezoneInfo},
};

use fineo_core::Timestamp;

use super::{functions::known_as, series, unnested};
use crate::{catalog::Catalog, sql::unnested::ITEMS};

/// The planner's view of one statement's tables.
pub(super) struct Context<'a> {
    pub(super) state: &'a SessionState,
    pub(super) catalog: &'a Catalog,
    pub(super) now: Timestamp,
}

/// Times count microseconds, as those of events do: the engine's own would count nanoseconds, which end in the year 2262.
#[derive(Debug)]
struct Times;

impl TypePlanner for Times {
    fn plan_type_field(&self, asked: &ast::DataType) -> Result<Option<FieldRef>> {
        let zone = match asked {
            ast::DataType::Timestamp(None, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => Some("UTC".into()),
            ast::DataType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => None,
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", DataType::Timestamp(TimeUnit::Microsecond, zone), true))))
    }
}

impl ContextProvider for Context<'_> {
    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(Times))
    }

    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let parts = match &name {
            TableReference::Bare { table } => vec![&**table],
            TableReference::Partial { schema, table } => vec![&**schema, &**table],
            TableReference::Full { catalog, schema, table } => vec![&**catalog, &**schema, &**table],
        };
        match self.catalog.provider(&parts) {
            Some(provider) => Ok(provider_as_source(provider)),
            None => Err(plan_datafusion_err!("no such table: {name}")),
        }
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> Result<Arc<dyn TableSource>> {
        let function = self.state.table_functions().get(name);
        let function = function.ok_or_else(|| plan_datafusion_err!("table function '{name}' not found"))?;
        let now = timestamp_us_to_datetime(self.now.micros());
        let context = SimplifyContext::builder()
            .with_config_options(Arc::clone(self.state.config_options()))
            .with_query_execution_start_time(now.map(|instant| instant.and_utc()))
            .build();
        let simplifier = ExprSimplifier::new(context);
        let schema = DFSchema::empty();
        let args: Result<Vec<Expr>> = args
            .into_iter()
            .map(|arg| simplifier.coerce(arg, &schema).and_then(|arg| simplifier.simplify(arg)))
            .collect();
        let args = series::of_one_type(args?);
        let provider = function.create_table_provider_with_args(TableFunctionArgs::new(&args, self.state))?;
        Ok(provider_as_source(provider))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        match name {
            ITEMS => Some(unnested::items()),
            name => self.state.scalar_functions().get(known_as(name)).cloned(),
        }
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(known_as(name)).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
