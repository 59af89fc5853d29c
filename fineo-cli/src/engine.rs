//! The one place where the program calls Fineo: the stores themselves, or the server that holds them.

mod cold;
mod compaction;
mod replay;
mod tokens;

use std::{path::Path, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use fineo::{
    BackupReport, Fineo, TableStatus,
    core::{SystemEntropy, TenantId},
    ingest::{ImportOptions, ImportSource, Routing},
    query::{QueryLimits, QueryStream},
    schema::{Change, ChangeId, ChangeRequest, Declaration},
};
use fineo_server::{
    Counts,
    client::{Client, Method, Sent, ServedRows, escaped},
    http::{
        operator::{BackupRequest, ImportQuery, ReportView},
        resource::{self, AppliedView, DiscoveredView, HistoryView, PlanView, SuggestionView, TenantView},
        roles::{self, RoleView},
        schema::ChangesRequest,
    },
};

use crate::{
    catalog::Catalog,
    failure::{Failure, say},
    ingest::Source,
    output::screened,
    place::Place,
    report::Report,
    stop::unless_stopped,
};

/// A person waits as long as he likes: Ctrl-C is the limit of a query's time and size.
const QUERY_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How long what was accepted earlier, and was not passed on, is waited for.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// Knows which store to open, and for what.
#[derive(Debug)]
pub(crate) struct Opener {
    /// Where the store is.
    pub(crate) place: Place,
    /// Whether a directory in which there is no store becomes one.
    pub(crate) creates_missing: bool,
}

impl Opener {
    /// Opens the store, or asks the server that holds it.
    pub(crate) async fn open(&self) -> Result<Engine, Failure> {
        if let Place::Directory(directory) = &self.place
            && let Some(client) = Client::connect(directory).await?
        {
            return Ok(Engine::Served(client));
        }
        let limits = QueryLimits::default()
            .with_time_max(QUERY_TIME_MAX)
            .with_result_rows_max(u64::MAX)
            .with_result_bytes_max(u64::MAX);
        let builder = self.place.builder()?.with_query_limits(limits).with_creates_missing(self.creates_missing);
        let fineo = builder.open().await?;
        if let Place::Directory(_) = &self.place {
            // F1: what another process said can be queried, before it was killed, this one's queries see.
            fineo.pipeline().wait_until_caught_up(CATCH_UP_MAX).await;
            if !fineo.pipeline().has_caught_up() {
                say("note: what was accepted earlier is still being passed on: answers may lack some of it");
            }
        }
        Ok(Engine::Own(Box::new(fineo)))
    }
}

/// Whose data is asked, and in which role: none sees everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// Whose data.
    pub(crate) tenant: &'a TenantId,
    /// The role.
    pub(crate) role: Option<&'a str>,
}

impl<'a> From<&'a TenantId> for Asker<'a> {
    fn from(tenant: &'a TenantId) -> Self {
        Self { tenant, role: None }
    }
}

/// An open store, or the server that holds it.
#[derive(Debug)]
pub(crate) enum Engine {
    /// The store is this process's own.
    Own(Box<Fineo>),
    /// A server holds it.
    Served(Client),
}

impl Engine {
    /// A store that nobody has put anything into, and that nothing is left of.
    pub(crate) async fn empty() -> Result<Self, Failure> {
        Ok(Self::Own(Box::new(Fineo::memory().open().await?)))
    }

    /// Starts a statement.
    pub(crate) async fn sql(&self, asker: Asker<'_>, statement: &str) -> Result<Rows, Failure> {
        let Asker { tenant, role } = asker;
        Ok(match self {
            Self::Own(fineo) => {
                let session = fineo.session(tenant);
                let session = if let Some(role) = role { session.in_role(role) } else { session };
                Rows::Own(session.query(statement, &[]).await?)
            }
            Self::Served(client) => Rows::Served(client.sql(tenant, role, statement).await?),
        })
    }

    /// What the tenant has, by name.
    pub(crate) async fn catalog(&self, tenant: &TenantId) -> Result<Catalog, Failure> {
        let metrics = match self {
            Self::Own(fineo) => resource::metrics(fineo, tenant).await?.1,
            Self::Served(client) => client.ask(Method::GET, "/v1/metrics", Sent::to(tenant)).await?,
        };
        Ok(Catalog { metrics })
    }

    /// How the tenant's events are read.
    pub(crate) async fn settings(&self, tenant: &TenantId) -> Result<TenantView, Failure> {
        Ok(match self {
            Self::Own(fineo) => resource::tenant(fineo, tenant).await?,
            Self::Served(client) => client.ask(Method::GET, "/v1/tenant", Sent::to(tenant)).await?,
        })
    }

    /// Makes a change in the name of whoever is logged in.
    pub(crate) async fn apply(&self, tenant: &TenantId, changes: Vec<Change>) -> Result<AppliedView, Failure> {
        self.request(tenant, changes, None).await
    }

    /// Carries out a plan, unless the schema has changed since.
    pub(crate) async fn apply_plan(&self, tenant: &TenantId, plan: PlanView) -> Result<AppliedView, Failure> {
        self.request(tenant, plan.changes, Some(plan.base)).await
    }

    async fn request(
        &self,
        tenant: &TenantId,
        changes: Vec<Change>,
        base: Option<u64>,
    ) -> Result<AppliedView, Failure> {
        let author = std::env::var("USER").ok().filter(|user| !user.is_empty());
        match self {
            Self::Own(fineo) => {
                let mut request = ChangeRequest::new(ChangeId::random(&SystemEntropy::new()), changes);
                request.base = base.map(fineo::core::repo::Version);
                request.author = author;
                let applied = resource::apply(fineo, tenant, request).await?;
                Ok(resource::applied(fineo, tenant, applied).await)
            }
            Self::Served(client) => {
                let mut sent = Sent::to(tenant).with_json(&ChangesRequest { changes })?;
                (sent.base, sent.author) = (base, author);
                Ok(client.ask(Method::POST, "/v1/schema/changes", sent).await?)
            }
        }
    }

    /// What it takes to make the schema what a file says.
    pub(crate) async fn plan(&self, tenant: &TenantId, declaration: &str) -> Result<PlanView, Failure> {
        Ok(match self {
            Self::Own(fineo) => fineo.schema(tenant).plan(declaration).await?.into(),
            Self::Served(client) => {
                let mut sent = Sent::to(tenant);
                sent.body = Some(("application/yaml", declaration.to_owned().into()));
                client.ask(Method::POST, "/v1/schema/plan", sent).await?
            }
        })
    }

    /// The schema as a file.
    pub(crate) async fn export(&self, tenant: &TenantId) -> Result<Declaration, Failure> {
        Ok(match self {
            Self::Own(fineo) => fineo.schema(tenant).export().await?,
            Self::Served(client) => client.ask(Method::GET, "/v1/schema", Sent::to(tenant)).await?,
        })
    }

    /// Makes the inverse of a change.
    pub(crate) async fn undo(&self, tenant: &TenantId, change: &ChangeId) -> Result<AppliedView, Failure> {
        Ok(match self {
            Self::Own(fineo) => {
                let undone = fineo.schema(tenant).undo(change).await?;
                resource::applied(fineo, tenant, undone).await
            }
            Self::Served(client) => {
                let path = format!("/v1/schema/history/{change}/undo");
                client.ask(Method::POST, &path, Sent::to(tenant)).await?
            }
        })
    }

    /// Every change, oldest first.
    pub(crate) async fn history(&self, tenant: &TenantId) -> Result<Vec<HistoryView>, Failure> {
        Ok(match self {
            Self::Own(fineo) => resource::history(fineo, tenant).await?,
            Self::Served(client) => client.ask(Method::GET, "/v1/schema/history", Sent::to(tenant)).await?,
        })
    }

    /// The roles, and what each may read.
    pub(crate) async fn roles(&self, tenant: &TenantId) -> Result<Vec<RoleView>, Failure> {
        Ok(match self {
            Self::Own(fineo) => roles::roles(fineo, tenant).await?.1,
            Self::Served(client) => client.ask(Method::GET, "/v1/schema/roles", Sent::to(tenant)).await?,
        })
    }

    /// The undeclared names of one metric or of all.
    pub(crate) async fn undeclared(
        &self,
        tenant: &TenantId,
        only: Option<&str>,
    ) -> Result<Vec<DiscoveredView>, Failure> {
        Ok(match self {
            Self::Own(fineo) => resource::discovered(fineo, tenant, only).await?,
            Self::Served(client) => {
                let query = only.map(|name| format!("?metric={}", escaped(name))).unwrap_or_default();
                client.ask(Method::GET, &format!("/v1/schema/discovered{query}"), Sent::to(tenant)).await?
            }
        })
    }

    /// What could be declared, aliased or merged.
    pub(crate) async fn suggestions(&self, tenant: &TenantId) -> Result<Vec<SuggestionView>, Failure> {
        Ok(match self {
            Self::Own(fineo) => resource::suggestions(fineo, tenant).await?,
            Self::Served(client) => client.ask(Method::GET, "/v1/schema/suggestions", Sent::to(tenant)).await?,
        })
    }

    /// Applies a suggestion.
    pub(crate) async fn apply_suggestion(&self, tenant: &TenantId, id: &str) -> Result<AppliedView, Failure> {
        Ok(match self {
            Self::Own(fineo) => {
                let applied = fineo.schema(tenant).apply_suggestion(id).await?;
                resource::applied(fineo, tenant, applied).await
            }
            Self::Served(client) => {
                let path = format!("/v1/schema/suggestions/{}/apply", escaped(id));
                client.ask(Method::POST, &path, Sent::to(tenant)).await?
            }
        })
    }

    /// Takes in `source` and waits until all that was accepted can be asked; `show` hears of how far it is.
    pub(crate) async fn import(
        &self,
        source: Source,
        options: ImportOptions,
        show: &(dyn Fn(&Counts) + Send + Sync),
    ) -> Result<Counts, Failure> {
        let counts = match self {
            Self::Own(fineo) => {
                let source = match source {
                    Source::Path(path) => ImportSource::Path(path),
                    other @ (Source::Stdin | Source::Object(..)) => ImportSource::Reader(other.open()?),
                };
                fineo_server::import(fineo, source, options, show).await?
            }
            Self::Served(client) => {
                let (tenant, tenant_field) = match &options.routing {
                    Routing::Tenant(tenant) => (Some(tenant.to_string()), None),
                    Routing::Field(key) => (None, Some(key.clone())),
                };
                let is_csv = source.is_csv(options.format);
                let query = ImportQuery { tenant, tenant_field, metric: options.metric, is_csv };
                client.import(&query, source.open()?, show).await?
            }
        };
        for (index, message) in &counts.refusals {
            say(&format!("refused, and not kept: event {} of the file: {}", index + 1, screened(message)));
        }
        Ok(counts)
    }

    /// Closes the store and passes `result` on; a failure to close counts when there was none before.
    pub(crate) async fn finish<T>(self, result: Result<T, Failure>) -> Result<T, Failure> {
        let closed = match self {
            Self::Own(fineo) => unless_stopped(async { Ok(fineo.close().await?) }).await,
            Self::Served(_) => Ok(()),
        };
        let value = result?;
        closed.map(|()| value)
    }
}

/// The rows of a statement, batch by batch.
#[derive(Debug)]
pub(crate) enum Rows {
    /// Computed by this process.
    Own(QueryStream),
    /// Computed by the server.
    Served(ServedRows),
}

impl Rows {
    /// The columns.
    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            Self::Own(rows) => rows.schema().clone(),
            Self::Served(rows) => rows.schema(),
        }
    }

    /// The next rows; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        Ok(match self {
            Self::Own(rows) => rows.next_batch().await?,
            Self::Served(rows) => rows.next_batch().await?,
        })
    }
}

/// Reports.
impl Engine {
    /// Copies everything into a new folder.
    pub(crate) async fn back_up(&self, folder: &Path) -> Result<BackupReport, Failure> {
        Ok(match self {
            Self::Own(fineo) => fineo.backup(folder).await?,
            Self::Served(client) => {
                let sent = Sent::default().with_json(&BackupRequest { to: folder.to_owned() })?;
                client.ask(Method::POST, "/operator/backup", sent).await?
            }
        })
    }

    /// What is stored, and how far the stages have come.
    pub(crate) async fn status(&self) -> Result<Report, Failure> {
        match self {
            Self::Own(fineo) => {
                let status = fineo.status().await?;
                Report::new(status.to_string(), &status)
            }
            Self::Served(client) => served(client.ask(Method::GET, "/operator/status", Sent::default()).await?),
        }
    }

    /// The ids of all tenants.
    pub(crate) async fn tenants(&self) -> Result<Vec<String>, Failure> {
        Ok(match self {
            Self::Own(fineo) => fineo.status().await?.tenants.into_iter().map(|tenant| tenant.tenant).collect(),
            Self::Served(client) => {
                let report: ReportView = client.ask(Method::GET, "/operator/status", Sent::default()).await?;
                let tenants = report.value["tenants"].as_array().into_iter().flatten();
                tenants.filter_map(|tenant| tenant["tenant"].as_str()).map(str::to_owned).collect()
            }
        })
    }

    /// The columnar tables.
    pub(crate) async fn tables(&self, tenant: &TenantId) -> Result<Vec<TableStatus>, Failure> {
        Ok(match self {
            Self::Own(fineo) => fineo.tables(tenant).await?,
            Self::Served(client) => client.ask(Method::GET, "/operator/tables", Sent::to(tenant)).await?,
        })
    }

    /// What the program and its stores can do.
    pub(crate) async fn capabilities(&self) -> Result<Report, Failure> {
        match self {
            Self::Own(fineo) => {
                let capabilities = fineo.capabilities();
                Report::new(capabilities.to_string(), &capabilities)
            }
            Self::Served(client) => served(client.ask(Method::GET, "/operator/capabilities", Sent::default()).await?),
        }
    }
}

fn served(report: ReportView) -> Result<Report, Failure> {
    Report::new(report.text, &report.value)
}
