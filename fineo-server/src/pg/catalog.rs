//! What clients ask about the server and the tenant's tables: `pg_catalog`, `information_schema`, and the functions that
//! come with them.
//!
//! Such questions are answered beside the engine that reads events, by a planner whose tables are made of the tenant's
//! names and types alone: no question about the catalog can reach a row, and no other tenant's name is within reach (T3).

mod functions;
mod information;
mod tenant;

use std::{
    ops::ControlFlow,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
};
use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider},
    common::{ParamValues, ScalarValue, metadata::ScalarAndMetadata},
    error::DataFusionError,
    execution::{
        context::{SQLOptions, SessionContext},
        memory_pool::GreedyMemoryPool,
        runtime_env::RuntimeEnvBuilder,
        session_state::{SessionState, SessionStateBuilder},
    },
    logical_expr::LogicalPlan,
    prelude::SessionConfig,
    sql::{
        parser::Statement as AnyStatement,
        sqlparser::{
            ast::{
                Array, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
                ObjectName, Query, Statement, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
            },
            dialect::PostgreSqlDialect,
            parser::Parser,
        },
    },
};
use datafusion_pg_catalog::{
    pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables, setup_pg_catalog},
    sql::PostgresCompatibilityParser,
};
use fineo::{Parameter, QueryLimits, Session};
use futures::StreamExt;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::{
    information::Information,
    tenant::{DATABASE, TenantCatalog},
};
use super::{failure::Failure, statements::words};

/// Planning recurses as deep as a statement is nested.
const STACK_BYTES: usize = 64 << 20;
/// The most memory of one question.
const MEMORY_BYTES_MAX: usize = 128 << 20;
/// The most rows and bytes of an answer.
const ROWS_MAX: usize = 200_000;
const BYTES_MAX: usize = 64 << 20;

/// Functions and words that make a statement without a table a question about the server.
const FUNCTIONS: [&str; 25] = [
    "version",
    "current_database",
    "current_catalog",
    "current_schema",
    "current_schemas",
    "current_user",
    "current_role",
    "session_user",
    "user",
    "set_config",
    "current_setting",
    "has_table_privilege",
    "has_schema_privilege",
    "has_database_privilege",
    "has_any_column_privilege",
    "has_column_privilege",
    "format_type",
    "obj_description",
    "col_description",
    "to_regtype",
    "shobj_description",
    "quote_ident",
    "inet_server_addr",
    "inet_server_port",
    "txid_current",
];

/// What a statement gives, or would give.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) schema: SchemaRef,
    /// The types of its parameters, where they are known.
    pub(super) parameters: Vec<Option<DataType>>,
    pub(super) batches: Vec<RecordBatch>,
}

/// Whether a statement is about the catalog.
#[derive(Debug)]
pub(super) enum Asked {
    Catalog(Answer),
    /// It only looked like it.
    Data,
}

/// A session's way to the catalog. Object numbers stay the same for as long as it lives.
#[derive(Clone)]
pub(super) struct Catalog {
    session: Session,
    tenant: TenantCatalog,
    limits: QueryLimits,
    state: Arc<OnceLock<Result<SessionState, String>>>,
}

/// Whether `sql` may be about the catalog: it is looked at more closely then.
pub(super) fn may_be_asked(sql: &str) -> bool {
    words(sql).any(|word| {
        let word = word.trim_matches('"').to_ascii_lowercase();
        word.starts_with("pg_")
            || word == "information_schema"
            || word.starts_with("reg")
            || FUNCTIONS.contains(&word.as_str())
    })
}

impl Catalog {
    pub(super) fn new(session: Session, limits: QueryLimits) -> Self {
        let tenant = TenantCatalog::new(session.tenant().as_str());
        Self { session, tenant, limits, state: Arc::default() }
    }

    /// Answers `sql`, or only says what it would give when there are no `values`.
    pub(super) async fn ask(
        &self,
        sql: &str,
        given: Vec<Option<DataType>>,
        values: Option<Vec<Parameter>>,
    ) -> Result<Asked, Failure> {
        self.limits.check(sql).map_err(|error| Failure::of(&error, sql))?;
        self.tenant.refresh(&self.session).await.map_err(|error| Failure::of(&error, sql))?;
        let this = self.clone();
        let text = sql.to_owned();
        let stop = CancellationToken::new();
        // Whoever waits no longer has nobody work for it either.
        let _stop_with_caller = stop.clone().drop_guard();
        on_deep_stack(move || {
            let state = this.state.get_or_init(|| state(&this.tenant).map_err(|error| first_line(&error)));
            let state = state.as_ref().map_err(|error| Failure::error("XX000", error.clone()))?;
            let Some(statement) = parse(&text)? else { return Ok(Asked::Data) };
            let question = Question { state: state.clone(), statement, given, values, stop };
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let runtime = runtime.map_err(|error| Failure::error("53000", error.to_string()))?;
            runtime.block_on(question.answer()).map(Asked::Catalog)
        })
        .await
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Catalog({})", self.tenant.tenant())
    }
}

/// One statement about the catalog.
struct Question {
    state: SessionState,
    statement: Statement,
    given: Vec<Option<DataType>>,
    values: Option<Vec<Parameter>>,
    stop: CancellationToken,
}

impl Question {
    async fn answer(self) -> Result<Answer, Failure> {
        let planned = self.state.statement_to_plan(AnyStatement::Statement(Box::new(self.statement))).await;
        let plan = planned.map_err(|error| failure(&error))?;
        let only_reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        only_reads.verify_plan(&plan).map_err(|_| Failure::error("42501", "a session only reads"))?;
        let parameters = parameters(&plan, &self.given)?;
        let values: Vec<ScalarValue> = match &self.values {
            Some(values) => {
                let given = |index: usize| self.given.get(index).and_then(Option::as_ref);
                let value = |(index, value)| scalar(value, given(index));
                values.iter().enumerate().map(value).collect::<Result<_, _>>()?
            }
            None => {
                let null =
                    |known: &Option<DataType>| ScalarValue::try_new_null(known.as_ref().unwrap_or(&DataType::Utf8));
                parameters.iter().map(null).collect::<Result<_, _>>().map_err(|error| failure(&error))?
            }
        };
        let plan = if values.is_empty() {
            plan
        } else {
            let values = values.into_iter().map(ScalarAndMetadata::from).collect();
            plan.with_param_values(ParamValues::List(values)).map_err(|error| failure(&error))?
        };
        let is_described_only = self.values.is_none();
        let frame = SessionContext::new_with_state(self.state).execute_logical_plan(plan).await;
        let frame = frame.map_err(|error| failure(&error))?;
        let physical = frame.clone().create_physical_plan().await.map_err(|error| failure(&error))?;
        let schema = physical.schema();
        if is_described_only {
            return Ok(Answer { schema, parameters, batches: Vec::new() });
        }
        let mut stream = frame.execute_stream().await.map_err(|error| failure(&error))?;
        let mut batches: Vec<RecordBatch> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        loop {
            let next = tokio::select! {
                () = self.stop.cancelled() => return Err(Failure::canceled()),
                next = stream.next() => next,
            };
            let Some(batch) = next else { break };
            let batch = batch.map_err(|error| failure(&error))?;
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            if rows > ROWS_MAX || bytes > BYTES_MAX {
                return Err(Failure::error("54000", "an answer from the catalog has too many rows"));
            }
            batches.push(batch);
        }
        Ok(Answer { schema, parameters, batches })
    }
}

/// The types of the parameters of `plan`: as given, else as their places ask for.
fn parameters(plan: &LogicalPlan, given: &[Option<DataType>]) -> Result<Vec<Option<DataType>>, Failure> {
    let inferred = plan.get_parameter_types().map_err(|error| failure(&error))?;
    let count: usize = inferred.keys().filter_map(|name| name.strip_prefix('$')?.parse().ok()).max().unwrap_or(0);
    if count > usize::from(u16::MAX) {
        return Err(Failure::error("54001", "the statement has too many parameters"));
    }
    let of = |index: usize| {
        let given = given.get(index).cloned().flatten();
        given.or_else(|| inferred.get(&format!("${}", index + 1)).cloned().flatten())
    };
    Ok((0..count).map(of).collect())
}

/// A value for the planner; the text of a list is one where a list is `given`.
fn scalar(value: &Parameter, given: Option<&DataType>) -> Result<ScalarValue, Failure> {
    if let (Parameter::Text(text), Some(DataType::List(item))) = (value, given) {
        let texts = super::values::list(text)
            .ok_or_else(|| Failure::error("22P02", format!("malformed array literal: {text:?}")))?;
        let items: Vec<ScalarValue> = texts.into_iter().map(ScalarValue::Utf8).collect();
        let items = items.iter().map(|value| value.cast_to(item.data_type())).collect::<Result<Vec<_>, _>>();
        let items = items.map_err(|error| failure(&error))?;
        return Ok(ScalarValue::List(ScalarValue::new_list_nullable(&items, item.data_type())));
    }
    Ok(match value {
        Parameter::Boolean(value) => ScalarValue::Boolean(Some(*value)),
        Parameter::Long(number) => ScalarValue::Int64(Some(*number)),
        Parameter::Double(number) => ScalarValue::Float64(Some(*number)),
        Parameter::Text(text) => ScalarValue::Utf8(Some(text.to_string())),
        Parameter::Bytes(bytes) => ScalarValue::Binary(Some(bytes.to_vec())),
        Parameter::Timestamp(instant) => ScalarValue::TimestampMicrosecond(Some(instant.micros()), Some("UTC".into())),
        Parameter::Decimal { value, scale } => ScalarValue::Decimal128(Some(*value), 38, *scale),
        Parameter::Date(day) => ScalarValue::Date32(Some(*day)),
        _ => ScalarValue::Null,
    })
}

/// The statement that `sql` is, in words that the planner knows, if it is about the catalog.
fn parse(sql: &str) -> Result<Option<Statement>, Failure> {
    static PARSER: OnceLock<PostgresCompatibilityParser> = OnceLock::new();
    // What cannot be read here is the engine's to explain.
    let Ok(asked) = Parser::parse_sql(&PostgreSqlDialect {}, sql) else { return Ok(None) };
    let [asked @ Statement::Query(_)] = asked.as_slice() else { return Ok(None) };
    let mut relations = Relations::default();
    let _ = Visit::visit(asked, &mut relations);
    let is_asked = if relations.names.is_empty() { relations.has_function } else { relations.has_catalog };
    if !is_asked {
        return Ok(None);
    }
    let parsed = PARSER.get_or_init(PostgresCompatibilityParser::new).parse(sql);
    let Ok(mut statements) = parsed else { return Ok(None) };
    let Some(mut statement) = statements.pop().filter(|_| statements.is_empty()) else { return Ok(None) };
    let _ = VisitMut::visit(&mut statement, &mut Spellings);
    Ok(Some(statement))
}

/// Spells what the planner does not know in words that it does.
struct Spellings;

impl VisitorMut for Spellings {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // What clients collect like this (members of roles, columns of keys) no tenant has.
            Expr::Function(function) if matches!(function.args, FunctionArguments::Subquery(_)) => {
                if parts(&function.name).pop().is_some_and(|name| name == "array") {
                    *expr = Expr::Array(Array { elem: vec![Expr::value(Value::Null)], named: true });
                }
            }
            // A pattern has the backslash as its escape here, whichever it asks for.
            Expr::Like { pattern, escape_char: escape, .. } | Expr::ILike { pattern, escape_char: escape, .. } => {
                if let Some(found) = escape.take().map(|value| value.value).and_then(Value::into_string)
                    && found != "\\"
                {
                    **pattern = replaced(pattern, &found);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `replace(pattern, escape, '\')`.
fn replaced(pattern: &Expr, escape: &str) -> Expr {
    let text = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
    let argument = |expr: Expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    let args = [pattern.clone(), text(escape), text("\\")].map(argument);
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("replace")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// What a statement reads from.
#[derive(Default)]
struct Relations {
    names: Vec<String>,
    given: Vec<String>,
    has_catalog: bool,
    has_function: bool,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.given.extend(tables.map(|table| table.alias.name.value.to_lowercase()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => {
                let parts = parts(name);
                let [.., last] = parts.as_slice() else { return ControlFlow::Continue(()) };
                if parts.len() == 1 && self.given.contains(last) {
                    return ControlFlow::Continue(());
                }
                let schema = parts.len().checked_sub(2).and_then(|index| parts.get(index)).map(String::as_str);
                self.has_catalog |= match schema {
                    Some(schema) => schema == "pg_catalog" || schema == "information_schema",
                    None => last.starts_with("pg_"),
                };
                self.names.push(last.clone());
            }
            TableFactor::Table { name, .. } => {
                let named = parts(name);
                self.has_function |= named.iter().any(|part| part.starts_with("pg_"));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Function(function) => parts(&function.name).pop(),
            Expr::Identifier(ident) => Some(ident.value.to_lowercase()),
            _ => None,
        };
        let is_ours = |name: &String| name.starts_with("pg_") || FUNCTIONS.contains(&name.as_str());
        self.has_function |= name.as_ref().is_some_and(is_ours);
        ControlFlow::Continue(())
    }
}

fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.to_lowercase()).collect()
}

/// What plans and answers the questions of one session.
fn state(tenant: &TenantCatalog) -> Result<SessionState, DataFusionError> {
    static TABLES: OnceLock<Result<Arc<PgCatalogStaticTables>, String>> = OnceLock::new();
    let tables =
        TABLES.get_or_init(|| PgCatalogStaticTables::try_new().map(Arc::new).map_err(|error| error.to_string()));
    let tables = tables.as_ref().map_err(|error| DataFusionError::Internal(error.clone()))?;
    let template = template()?;
    let catalog = Arc::new(MemoryCatalogProvider::new());
    let pg_catalog = PgCatalogSchemaProvider::try_new(tenant.clone(), Arc::clone(tables), tenant.clone())?;
    catalog.register_schema("pg_catalog", Arc::new(pg_catalog))?;
    catalog.register_schema("information_schema", Arc::new(Information(tenant.clone())))?;
    catalog.register_schema("public", Arc::new(MemorySchemaProvider::new()))?;
    let state = SessionStateBuilder::new_from_existing(template)
        .with_catalog_list(Arc::new(datafusion::catalog::MemoryCatalogProviderList::new()))
        .build();
    state.catalog_list().register_catalog(DATABASE.to_owned(), catalog);
    let context = SessionContext::new_with_state(state);
    for function in functions::all(tenant.tenant()) {
        context.register_udf(function);
    }
    Ok(context.state())
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
            let memory = Arc::new(GreedyMemoryPool::new(MEMORY_BYTES_MAX));
            let runtime = RuntimeEnvBuilder::new().with_memory_pool(memory).build_arc()?;
            let context = SessionContext::new_with_config_rt(config, runtime);
            let nobody = TenantCatalog::new("");
            setup_pg_catalog(&context, DATABASE, nobody).map_err(|error| *error)?;
            Ok::<_, DataFusionError>(context.state())
        };
        make().map_err(|error| error.to_string())
    });
    made.clone().map_err(DataFusionError::Internal)
}

/// Does `work` on a thread of its own with a deep stack. A panic is an error.
async fn on_deep_stack<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (sender, receiver) = oneshot::channel();
    let run = move || {
        let defect = |_| Err(Failure::error("XX000", "the catalog met a defect"));
        // Whoever asked may be gone; then nobody needs the answer.
        let _ = sender.send(std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(defect));
    };
    std::thread::Builder::new()
        .name("fineo-catalog".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(run)
        .map_err(|error| Failure::error("53000", format!("cannot start a planner: {error}")))?;
    receiver.await.map_err(|_| Failure::error("XX000", "the catalog ended without an answer"))?
}

/// What an error of the planner is to a client.
fn failure(error: &DataFusionError) -> Failure {
    let text = first_line(error);
    let state = match error.find_root() {
        DataFusionError::SchemaError(..) => "42703",
        DataFusionError::ResourcesExhausted(_) => "53200",
        DataFusionError::Plan(text) if text.contains("not found") && text.contains("able") => "42P01",
        DataFusionError::Plan(text) if text.contains("nvalid function") => "42883",
        DataFusionError::ArrowError(..) => "22P02",
        DataFusionError::Plan(_) | DataFusionError::NotImplemented(_) => "0A000",
        _ => "XX000",
    };
    Failure::error(state, text)
}

fn first_line(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
