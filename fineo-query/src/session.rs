//! A tenant's way to SQL, as a whole or in a role.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

use datafusion::{
    arrow::{
        array::AsArray,
        datatypes::{DataType, SchemaRef},
    },
    common::tree_node::TreeNode,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::ExecutionPlan,
};
use fineo_core::{Result, TenantId};
use fineo_schema::TenantSchema;
use futures::{
    FutureExt,
    future::{BoxFuture, Either, select},
};
use tokio::runtime::Handle;

use crate::{
    Parameter, QueryStream,
    catalog::{ERRORS, PUBLIC, Sources, visible_columns},
    engine::Inner,
    error::{classify, refused},
    gather::gathered,
    pins::{Pins, SNAPSHOT_TOO_OLD},
    plan::{Known, Planned, Question, Repeated, Values, describe, lifted, panicked, plan},
    reader::{Granted, Reader, SCHEMA_AGE_MAX},
    sql::text::placeholders,
    stream::took_too_long,
    view::error_columns,
};

/// A session of one tenant. Cloning is cheap.
#[derive(Clone)]
pub struct Session {
    engine: Arc<Inner>,
    reader: Reader,
}

/// A table that a session can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// Its schema: `public` may be left out in SQL.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// Its other names, best first.
    pub aliases: Vec<String>,
    /// The name of its type; undeclared fields are `string`.
    pub type_name: String,
    /// Whether it is declared in the schema.
    pub is_declared: bool,
}

/// What a statement takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The types of `$1`, `$2`, …, where they are known.
    pub parameters: Vec<Option<DataType>>,
    /// The columns of the result.
    pub schema: SchemaRef,
}

impl Session {
    pub(crate) fn new(engine: Arc<Inner>, tenant: TenantId) -> Self {
        Self { engine, reader: Reader { tenant, role: None } }
    }

    /// The same for a reader who comes in the role `role`: what is not granted to it is as if it were not there. Grants are
    /// those of the moment when a query begins; one from which a grant is taken away ends with the code
    /// `permission_revoked` before its next rows.
    #[must_use]
    pub fn in_role(mut self, role: &str) -> Self {
        self.reader.role = Some(role.into());
        self
    }

    /// Whose session it is.
    pub fn tenant(&self) -> &TenantId {
        &self.reader.tenant
    }

    /// That `sql` takes as many values as are `given`; whether it is a statement is told when it is asked.
    ///
    /// # Errors
    ///
    /// `Invalid`, with both numbers.
    pub fn check_count(&self, sql: &str, given: usize) -> Result<()> {
        let wanted = placeholders(sql, &self.engine.limits)?;
        if wanted == given {
            return Ok(());
        }
        let error = refused("query_invalid", "the statement takes another number of parameters than was given");
        Err(error.with("taken", wanted).with("given", given))
    }

    /// Begins the query `sql`; `parameters` are the values of `$1`, `$2`, ….
    ///
    /// Must be called within a tokio runtime, which also computes the result.
    ///
    /// # Errors
    ///
    /// `Invalid` when the text is not one statement that reads what the tenant has, `LimitExceeded` when it
    /// is too complex or takes too long, or a failure of a store. The context has a stable `code`.
    pub async fn query(&self, sql: &str, parameters: &[Parameter]) -> Result<QueryStream> {
        let limits = &self.engine.limits;
        let time_is_up = self.engine.parts.clock.sleep(limits.time_max);
        let planning = Box::pin(self.plan(sql, parameters));
        let (planned, time_is_up) = match select(planning, time_is_up).await {
            Either::Left((planned, time_is_up)) => (planned?, time_is_up),
            Either::Right(((), _)) => return Err(took_too_long()),
        };
        let (schema, granted) = (Arc::clone(&planned.schema), planned.granted.clone());
        let batches = self.run(planned)?;
        let (session, sql, parameters) = (self.clone(), sql.to_owned(), parameters.to_vec());
        let named = Arc::clone(&schema);
        // Files and rows as they are by then; nothing of the first attempt was shown.
        let again = move || -> BoxFuture<'static, Result<SendableRecordBatchStream>> {
            let (session, sql, parameters) = (session.clone(), sql.clone(), parameters.clone());
            let named = Arc::clone(&named);
            Box::pin(async move {
                let planned = session.plan(&sql, &parameters).await?;
                if planned.schema != named {
                    return Err(fineo_core::Error::unavailable("the schema changed while rows moved: ask again")
                        .with("code", SNAPSHOT_TOO_OLD));
                }
                session.run(planned)
            })
        };
        let rows = QueryStream::new(schema, batches, time_is_up, limits);
        let rows = rows.with_granted(granted, &self.engine.parts.clock);
        Ok(rows.with_again(Box::new(again)))
    }

    /// What `sql` takes and gives, without an answer. A parameter whose type is not `given` has the one that its
    /// place asks for.
    ///
    /// # Errors
    ///
    /// As [`Session::query`].
    pub async fn describe(&self, sql: &str, given: &[Option<DataType>]) -> Result<Description> {
        let time_is_up = self.engine.parts.clock.sleep(self.engine.limits.time_max);
        let given = given.to_vec();
        let planning = self.planned(sql, &[], move |question: &Question| describe(question, &given));
        match select(Box::pin(planning), time_is_up).await {
            Either::Left((described, _)) => described,
            Either::Right(((), _)) => Err(took_too_long()),
        }
    }

    /// How `sql` would be answered: the plan as text.
    ///
    /// # Errors
    ///
    /// As [`Session::query`].
    pub async fn explain(&self, sql: &str) -> Result<String> {
        let batches = self.query(&format!("EXPLAIN {sql}"), &[]).await?.collect().await?;
        let mut lines = Vec::new();
        for batch in &batches {
            let plans = batch.column(1).as_string_opt::<i32>();
            lines.extend(plans.into_iter().flatten().flatten().map(str::to_owned));
        }
        Ok(lines.join("\n"))
    }

    /// The tables that the session can ask for.
    ///
    /// # Errors
    ///
    /// When the schema cannot be read.
    pub async fn tables(&self) -> Result<Vec<TableInfo>> {
        let sources = self.sources(&self.whole().await?)?;
        let metrics = sources.metrics().map(|metric| TableInfo {
            schema: PUBLIC.to_owned(),
            name: metric.name().to_string(),
            aliases: metric.names().iter().skip(1).map(|name| name.to_string()).collect(),
        });
        let own = |schema: &str, name: &str| TableInfo {
            schema: schema.to_owned(),
            name: name.to_owned(),
            aliases: Vec::new(),
        };
        let views = [own(PUBLIC, "fineo_conflicts"), own(PUBLIC, "fineo_discovered")];
        let errors = sources.schema.has_errors().then(|| own(ERRORS, "stream"));
        Ok(metrics.chain(views).chain(errors).collect())
    }

    /// The columns of the metric that is called `table`, or of `errors.stream`.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none; when the schema cannot be read.
    pub async fn columns(&self, table: &str) -> Result<Vec<ColumnInfo>> {
        let schema = self.whole().await?;
        self.engine.parts.discovery.look(&self.reader.tenant).await?;
        let sources = self.sources(&schema)?;
        if table == "errors.stream" && sources.schema.has_errors() {
            let column = |column: &crate::column::Column| ColumnInfo {
                name: column.name.to_string(),
                aliases: Vec::new(),
                type_name: column.type_name(),
                is_declared: true,
            };
            return Ok(error_columns().iter().map(column).collect());
        }
        let Some(metric) = sources.schema.find_metric(table, false).one().filter(|metric| !metric.is_ruled_out())
        else {
            return Err(fineo_core::Error::not_found("no such table")
                .with("code", "unknown_table")
                .with("table", table));
        };
        let seen = sources.seen(metric);
        let column = |column: crate::column::Column| {
            let field = column.logical().and_then(|logical| logical.field).and_then(|id| metric.field(id));
            let aliases = field.map(|field| field.names.iter().skip(1).map(|name| name.to_string()).collect());
            ColumnInfo {
                type_name: column.type_name(),
                aliases: aliases.unwrap_or_default(),
                is_declared: field.is_some() || column.logical().is_none(),
                name: column.name.to_string(),
            }
        };
        Ok(visible_columns(metric, &seen).into_iter().map(column).collect())
    }

    /// The tenant's schema, whoever changed it, as it was some seconds ago at most. Where it cannot be read again, what is known
    /// serves; but not for a role, whose grants are never old.
    async fn whole(&self) -> Result<Arc<TenantSchema>> {
        let (schemas, tenant) = (&self.engine.parts.schemas, &self.reader.tenant);
        match self.reader.role {
            None => schemas.snapshot_or_cached(tenant, SCHEMA_AGE_MAX).await,
            Some(_) => schemas.snapshot_within(tenant, SCHEMA_AGE_MAX).await,
        }
    }

    /// Where a query finds what the reader may see of `whole`.
    fn sources(&self, whole: &Arc<TenantSchema>) -> Result<Sources> {
        let parts = &self.engine.parts;
        let pins = parts.tables.clone().map(|tables| Arc::new(Pins::new(tables, self.reader.tenant.clone())));
        Ok(Sources {
            nearline: Arc::clone(&parts.nearline),
            discovery: Arc::clone(&parts.discovery),
            schema: self.reader.seen(Arc::clone(whole))?,
            reader: self.reader.clone(),
            granted: Granted::by(whole, &self.reader, &parts.schemas),
            pins,
        })
    }

    /// The plan for `sql`.
    async fn plan(&self, sql: &str, parameters: &[Parameter]) -> Result<Planned> {
        // Nothing that is shared is changed half before a panic: what was kept is then of no use, that is all.
        let kept = AssertUnwindSafe(self.kept_plan(sql, parameters)).catch_unwind().await;
        match kept {
            Ok(Some(planned)) => Ok(planned),
            Ok(None) | Err(_) => self.planned(sql, parameters, plan).await,
        }
    }

    /// The plan for `sql` from one that was made before and still holds.
    async fn kept_plan(&self, sql: &str, parameters: &[Parameter]) -> Option<Planned> {
        let Inner { kept: plans, limits, states, .. } = &*self.engine;
        let Repeated { kept, texts } = match plans.repeated(&self.reader, sql) {
            Some(repeated) => repeated,
            None => {
                let lifted = lifted(sql, limits)?;
                let Some(Known::Plan(kept)) = plans.known(&self.reader, &lifted.shape) else { return None };
                plans.repeat(&self.reader, sql, &kept, &lifted);
                Repeated { kept, texts: lifted.texts }
            }
        };
        let schema = self.whole().await.ok()?;
        let values = Values { parameters, texts: &texts };
        kept.planned(&self.sources(&schema).ok()?, values, states).await
    }

    /// What `work` makes of `sql`. A name that is not known is looked for once more in what is stored.
    async fn planned<T: Send + 'static>(
        &self,
        sql: &str,
        parameters: &[Parameter],
        work: impl Fn(&Question) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let parts = &self.engine.parts;
        let schema = self.whole().await?;
        parts.discovery.look(&self.reader.tenant).await?;
        let question = self.question(&schema, sql, parameters)?;
        let first = work.clone();
        match self.engine.planners.run(move || first(&question)).await {
            Err(error) if is_unknown_name(&error) => {
                let schema = parts.schemas.refresh(&self.reader.tenant).await?;
                // Another process may have seen it.
                parts.discovery.refresh(&self.reader.tenant).await?;
                let question = self.question(&schema, sql, parameters)?;
                self.engine.planners.run(move || work(&question)).await
            }
            outcome => outcome,
        }
    }

    fn question(&self, schema: &Arc<TenantSchema>, sql: &str, parameters: &[Parameter]) -> Result<Question> {
        Ok(Question {
            text: sql.to_owned(),
            parameters: parameters.to_vec(),
            sources: self.sources(schema)?,
            engine: Arc::clone(&self.engine),
            now: self.engine.parts.clock.now(),
            runtime: Handle::current(),
        })
    }

    fn run(&self, planned: Planned) -> Result<SendableRecordBatchStream> {
        let runtime = self.engine.runtime(may_spill(&planned.plan))?;
        let config = self.engine.states.config().clone();
        // A default one makes settings and a runtime of its own first.
        let functions = (HashMap::new(), HashMap::new(), HashMap::new(), HashMap::new());
        let (scalar, higher_order, aggregate, window) = functions;
        let context = TaskContext::new(None, String::new(), config, scalar, higher_order, aggregate, window, runtime);
        let started = std::panic::catch_unwind(AssertUnwindSafe(|| gathered(&planned.plan, &Arc::new(context))));
        started.map_err(|panic| panicked(panic.as_ref()))?.map_err(|error| classify(&error))
    }
}

/// Whether something of `plan` holds more than a batch at a time.
fn may_spill(plan: &Arc<dyn ExecutionPlan>) -> bool {
    const PASSING: [&str; 10] = [
        "CoalescePartitionsExec",
        "CooperativeExec",
        "EmptyExec",
        "FilterExec",
        "FineoScan",
        "GlobalLimitExec",
        "LatestExec",
        "LocalLimitExec",
        "ProjectionExec",
        "UnionExec",
    ];
    plan.exists(|node| Ok(!PASSING.contains(&node.name()))).unwrap_or(true)
}

fn is_unknown_name(error: &fineo_core::Error) -> bool {
    matches!(error.code(), Some("unknown_table" | "unknown_column"))
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.reader.tenant)
    }
}
