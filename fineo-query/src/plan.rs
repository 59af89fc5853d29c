//! From one statement to a plan that can run.

mod context;
mod time;

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use datafusion::{
    arrow::{
        datatypes::{DataType, Schema, SchemaRef},
        temporal_conversions::timestamp_us_to_datetime,
    },
    common::{ParamValues, ScalarValue, metadata::ScalarAndMetadata},
    error::DataFusionError,
    execution::{context::SQLOptions, session_state::SessionState},
    logical_expr::LogicalPlan,
    physical_plan::ExecutionPlan,
    sql::{
        planner::{ParserOptions, SqlToRel},
        sqlparser::ast::{DescribeAlias, Statement},
    },
};
use fineo_core::{Error, Result, Timestamp};
use tokio::sync::oneshot;

use crate::{
    Description, Parameter, QueryLimits,
    catalog::{Catalog, Sources},
    error::{classify, defect, exceeded, missing_column, refused},
    sql::{
        asked::Asked,
        rewrite::{ResultNames, rewrite},
        text,
    },
};

use context::Context;

/// Parsing and planning recurse as deep as a statement is nested.
const STACK_BYTES: usize = 64 << 20;
/// The most parameters of a statement: as many as wire protocols can count.
const PARAMETERS_MAX: usize = u16::MAX as usize;

/// Does `work` on a thread of its own with a deep stack. A panic is an error.
pub(crate) async fn on_deep_stack<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    let run = move || {
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
        // Whoever asked may be gone; then nobody needs the answer.
        let _ = sender.send(outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))));
    };
    std::thread::Builder::new()
        .name("fineo-plan".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(run)
        .map_err(|source| Error::unavailable("cannot start a planner").with_source(source))?;
    receiver.await.map_err(|_| defect("the planner ended without an answer"))?
}

/// The error that a panic is.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    defect("the engine met a defect").with("detail", text.chars().take(300).collect::<String>())
}

/// What a plan is made of.
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) sources: Sources,
    pub(crate) state: SessionState,
    pub(crate) limits: QueryLimits,
    pub(crate) now: Timestamp,
}

/// A plan, and what its columns are to be called.
pub(crate) struct Planned {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) schema: SchemaRef,
}

/// The plan that answers `question`.
pub(crate) fn plan(question: Question) -> Result<Planned> {
    let unbound = Unbound::of(&question)?;
    let values = question.parameters.iter().map(Parameter::scalar).collect();
    unbound.bind(values, question)
}

/// What `question` takes and gives. A parameter is of the type `given`, else of the one that its place asks for.
pub(crate) fn describe(question: Question, given: &[Option<DataType>]) -> Result<Description> {
    let unbound = Unbound::of(&question)?;
    let inferred = unbound.plan.get_parameter_types().map_err(|error| classify(&error))?;
    let count = inferred.keys().filter_map(|name| name.strip_prefix('$')?.parse().ok()).max().unwrap_or(0);
    if count > PARAMETERS_MAX {
        return Err(
            exceeded("too_complex", "the statement has too many parameters").with("parameters_max", PARAMETERS_MAX)
        );
    }
    let type_of = |index: usize| {
        let given = given.get(index).cloned().flatten();
        given.or_else(|| inferred.get(&format!("${}", index + 1)).cloned().flatten())
    };
    let parameters: Vec<Option<DataType>> = (0..count).map(type_of).collect();
    // Its place decides what a value without a type is; where it does not, it is text.
    let of_type = |known: &Option<DataType>| ScalarValue::try_new_null(known.as_ref().unwrap_or(&DataType::Utf8View));
    let values = parameters.iter().map(of_type).collect::<std::result::Result<_, _>>();
    let planned = unbound.bind(values.map_err(|error| classify(&error))?, question)?;
    Ok(Description { parameters, schema: planned.schema })
}

/// A plan whose parameters have no values yet.
struct Unbound {
    plan: LogicalPlan,
    names: ResultNames,
    catalog: Catalog,
}

impl Unbound {
    fn of(question: &Question) -> Result<Self> {
        let mut statement = ours(text::parse(&question.text, &question.limits)?, &question.limits)?;
        let asked = Asked::of(&statement);
        let catalog = Catalog::of(&question.sources, &asked)?;
        let names = ResultNames::of(&statement);
        rewrite(&mut statement, &asked, &catalog);
        let plan = logical(statement, question, &catalog).map_err(|error| name_missing(&error, &catalog))?;
        Ok(Self { plan, names, catalog })
    }

    /// The plan that can run, once its parameters have `values`.
    fn bind(self, values: Vec<ScalarValue>, mut question: Question) -> Result<Planned> {
        let started = timestamp_us_to_datetime(question.now.micros());
        question.state.execution_props_mut().query_execution_start_time = started.map(|instant| instant.and_utc());
        let bound = if values.is_empty() {
            Ok(self.plan)
        } else {
            self.plan.with_param_values(ParamValues::List(values.into_iter().map(ScalarAndMetadata::from).collect()))
        };
        let logical = bound.and_then(time::read_times).map_err(|error| name_missing(&error, &self.catalog))?;
        let physical = async { question.state.create_physical_plan(&logical).await };
        let plan = block_on(physical)?.map_err(|error| classify(&error))?;
        let schema = renamed(&plan.schema(), &self.names);
        Ok(Planned { plan, schema })
    }
}

/// `schema` with the names that were asked for, however names are spelled within the plan.
fn renamed(schema: &SchemaRef, names: &ResultNames) -> SchemaRef {
    let count = schema.fields().len();
    let fields = schema.fields().iter().enumerate().map(|(index, field)| match names.name(index, count) {
        Some(name) if name != field.name() && name.to_lowercase() == field.name().to_lowercase() => {
            Arc::new(field.as_ref().clone().with_name(name))
        }
        Some(_) | None => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// SHOW and DESCRIBE in terms of what the catalog has.
fn ours(statement: Statement, limits: &QueryLimits) -> Result<Statement> {
    const SHOW_TABLES: &str =
        "SELECT table_schema, table_name, table_type FROM information_schema.tables ORDER BY 1, 2";
    match statement {
        Statement::ShowTables { .. } => text::parse(SHOW_TABLES, limits),
        Statement::ShowColumns { show_options, .. } => {
            let table = show_options.show_in.and_then(|show_in| show_in.parent_name);
            let table_name = table.ok_or_else(|| refused("sql_syntax", "SHOW COLUMNS needs FROM and a table"))?;
            let describe_alias = DescribeAlias::Describe;
            Ok(Statement::ExplainTable { describe_alias, hive_format: None, has_table_keyword: false, table_name })
        }
        other => Ok(other),
    }
}

fn logical(
    statement: Statement,
    question: &Question,
    catalog: &Catalog,
) -> std::result::Result<LogicalPlan, DataFusionError> {
    let context = Context { state: &question.state, catalog };
    let options = ParserOptions { enable_ident_normalization: false, collect_spans: true, ..ParserOptions::default() };
    let plan = SqlToRel::new_with_options(&context, options).sql_statement_to_plan(statement)?;
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan)?;
    Ok(plan)
}

/// Says which names a column that was not found is like.
fn name_missing(error: &DataFusionError, catalog: &Catalog) -> Error {
    let classified = classify(error);
    let Some(column) = missing_column(error) else { return classified };
    let near = catalog.near(&column.name);
    if near.is_empty() {
        return classified;
    }
    classified.with("hint", format!("did you mean {}?", near.join(", ")))
}

/// Planning never waits: the tables of a catalog are at hand.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|source| Error::unavailable("cannot start a planner").with_source(source))?;
    Ok(runtime.block_on(future))
}
