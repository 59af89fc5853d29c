//! A session: messages in, answers out, in order.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use pgwire::messages::{
    PgWireBackendMessage as Say,
    data::NoData,
    extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended},
    response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus},
    startup::ParameterStatus,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    cancel::Cancelable,
    catalog::Catalog,
    command::Command,
    failure::Failure,
    link::{Gone, Link, OUTPUT_BYTES},
    prepared::{Formats, Portal, Prepared, Progress},
    request::{MESSAGE_BYTES_MAX, Request, Target, request},
    settings::Settings,
    source::{Answerer, Source},
    statements::{Piece, split},
    types,
};
use crate::{Principal, Shared, Shutdown};

/// The most prepared statements, and the most bytes of their texts.
const STATEMENTS_MAX: usize = 512;
const STATEMENT_BYTES_MAX: usize = 4 << 20;
/// The most portals and cursors.
const PORTALS_MAX: usize = 128;

/// Why a message was not answered as it should be.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(Failure),
    Gone(Gone),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Gone> for Stop {
    fn from(gone: Gone) -> Self {
        Self::Gone(gone)
    }
}

/// Where the session stands in a transaction. Nothing is ever written in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    Open,
    Failed,
}

/// A session of one tenant.
pub(super) struct PgSession<S> {
    pub(super) link: Link<S>,
    pub(super) shared: Shared,
    principal: Principal,
    answerer: Answerer,
    settings: Settings,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
    transaction: Transaction,
    cancelable: Cancelable,
    stop: CancellationToken,
    deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> PgSession<S> {
    pub(super) fn new(
        link: Link<S>,
        shared: Shared,
        principal: Principal,
        settings: Settings,
        cancelable: Cancelable,
    ) -> Self {
        let session = shared.fineo.session(principal.tenant());
        let catalog = Catalog::new(session.clone(), shared.fineo.query_limits().clone());
        Self {
            link,
            principal,
            answerer: Answerer::new(session, catalog),
            settings,
            statements: HashMap::new(),
            portals: HashMap::new(),
            transaction: Transaction::None,
            cancelable,
            stop: CancellationToken::new(),
            deadline: Box::pin(std::future::pending()),
            shared,
        }
    }

    /// Answers until the client has had enough, or the server has.
    pub(super) async fn run(mut self, shutdown: &Shutdown) {
        let mut is_skipping = false;
        loop {
            let (kind, read) = match self.next(shutdown).await {
                Ok(next) => next,
                Err(stop) => return self.end(stop).await,
            };
            let is_extended = b"PBDECH".contains(&kind);
            // After an error, everything up to the next Sync is passed over.
            if is_skipping && kind != b'S' && kind != b'X' {
                continue;
            }
            is_skipping = false;
            let outcome = match read {
                Ok(Request::Terminate) => return self.link.close().await,
                Ok(request) => self.answer(request).await,
                Err(failure) => Err(Stop::Failed(failure)),
            };
            self.cancelable.end();
            match outcome {
                Ok(()) => {}
                Err(Stop::Failed(failure)) if !failure.is_fatal => {
                    self.fail(failure);
                    is_skipping = is_extended;
                    if !is_extended && self.ready().await.is_err() {
                        return;
                    }
                    if is_extended && self.link.flush().await.is_err() {
                        return;
                    }
                }
                Err(stop) => return self.end(stop).await,
            }
        }
    }

    /// The next message, once all of it is there.
    async fn next(&mut self, shutdown: &Shutdown) -> Result<(u8, Result<Request, Failure>), Stop> {
        loop {
            if let Some(next) = request(&mut self.link.input, MESSAGE_BYTES_MAX).map_err(fatal)? {
                return Ok(next);
            }
            let limits = &self.shared.limits;
            let patience = if self.link.input.is_empty() { limits.idle_max } else { limits.stall_max };
            let clock = Arc::clone(&self.shared.clock);
            tokio::select! {
                filled = self.link.fill() => filled?,
                () = shutdown.requested() => {
                    return Err(Failure::fatal("57P01", "terminating connection: the server ends").into());
                }
                () = self.principal.ended(&*clock) => return Err(ended().into()),
                () = clock.sleep(patience) => {
                    return Err(Failure::fatal("57P05", "terminating connection due to idle-session timeout").into());
                }
            }
        }
    }

    /// Says why it ends, if anybody is there to hear.
    async fn end(&mut self, stop: Stop) {
        if let Stop::Failed(failure) = stop {
            self.link.say(Say::ErrorResponse(Failure { is_fatal: true, ..failure }.response()));
            self.link.close().await;
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.link.say(Say::ErrorResponse(failure.response()));
        if self.transaction == Transaction::Open {
            self.transaction = Transaction::Failed;
        }
    }

    async fn ready(&mut self) -> Result<(), Gone> {
        if self.transaction == Transaction::None {
            self.portals.clear();
        }
        let status = match self.transaction {
            Transaction::None => TransactionStatus::Idle,
            Transaction::Open => TransactionStatus::Transaction,
            Transaction::Failed => TransactionStatus::Error,
        };
        self.link.say(Say::ReadyForQuery(ReadyForQuery::new(status)));
        self.link.flush().await
    }

    async fn answer(&mut self, request: Request) -> Result<(), Stop> {
        if !self.principal.is_valid(self.shared.clock.now()) {
            return Err(ended().into());
        }
        match request {
            Request::Query(text) => self.simple(&text).await,
            Request::Parse { name, sql, types } => self.parse(name, sql, types),
            Request::Bind(bind) => self.bind(bind).await,
            Request::Describe(target) => self.describe(target).await,
            Request::Execute { portal, rows_max } => self.execute(&portal, rows_max).await,
            Request::Close(target) => {
                match target {
                    Target::Statement(name) => drop(self.statements.remove(&name)),
                    Target::Portal(name) => drop(self.portals.remove(&name)),
                }
                self.link.say(Say::CloseComplete(CloseComplete::new()));
                Ok(())
            }
            Request::Flush => Ok(self.link.flush().await?),
            Request::Sync => Ok(self.ready().await?),
            Request::Call => Err(Failure::error("0A000", "functions are called in SQL").into()),
            Request::Password(_) => Err(Failure::fatal("08P01", "nobody asked for a password").into()),
            Request::Copy | Request::Terminate => Ok(()),
        }
    }

    /// Answers a text of any number of statements, up to the first that fails.
    async fn simple(&mut self, text: &str) -> Result<(), Stop> {
        let pieces = split(text);
        if pieces.is_empty() {
            self.link.say(Say::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        for Piece { sql, start } in pieces {
            self.portals.remove("");
            let prepared = Arc::new(Prepared::new(sql.to_owned(), Vec::new())?);
            let portal =
                Portal { prepared, values: Vec::new(), formats: Formats::default(), progress: Progress::Ready };
            let answered = self.run_portal(portal, None, true).await;
            if let Err(Stop::Failed(failure)) = answered {
                let position = failure.position.map(|position| position + start);
                return Err(Failure { position, ..failure }.into());
            }
            answered?;
        }
        Ok(self.ready().await?)
    }

    fn parse(&mut self, name: String, sql: String, types: Vec<u32>) -> Result<(), Stop> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(Failure::error("42P05", format!("prepared statement {name:?} already exists")).into());
        }
        self.statements.remove(&name);
        let bytes: usize = self.statements.values().map(|prepared| prepared.sql.len()).sum();
        if self.statements.len() >= STATEMENTS_MAX || bytes + sql.len() > STATEMENT_BYTES_MAX {
            return Err(Failure::error("53400", "too many prepared statements")
                .with_hint("close some, or DEALLOCATE ALL")
                .into());
        }
        let prepared = Prepared::new(sql, types)?;
        self.check_transaction(prepared.command.as_ref())?;
        self.statements.insert(name, Arc::new(prepared));
        self.link.say(Say::ParseComplete(ParseComplete::new()));
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<Arc<Prepared>, Failure> {
        let found = self.statements.get(name).cloned();
        found.ok_or_else(|| Failure::error("26000", format!("prepared statement {name:?} does not exist")))
    }

    async fn bind(&mut self, bind: super::request::Bind) -> Result<(), Stop> {
        let prepared = self.statement(&bind.statement)?;
        let name = bind.portal.clone();
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(Failure::error("42P03", format!("cursor {name:?} already exists")).into());
        }
        self.portals.remove(&name);
        if self.portals.len() >= PORTALS_MAX {
            return Err(Failure::error("53400", "too many portals").with_hint("close some").into());
        }
        self.check_transaction(prepared.command.as_ref())?;
        self.begin();
        let answerer = self.answerer.clone();
        let types = self.watched(prepared.parameter_types(&answerer)).await?;
        let portal = Portal::new(prepared, &types, bind)?;
        self.portals.insert(name, portal);
        self.link.say(Say::BindComplete(BindComplete::new()));
        Ok(())
    }

    async fn describe(&mut self, target: Target) -> Result<(), Stop> {
        self.begin();
        let answerer = self.answerer.clone();
        match target {
            Target::Statement(name) => {
                let prepared = self.statement(&name)?;
                let parameters = self.watched(prepared.parameter_types(&answerer)).await?;
                let oids = parameters.iter().map(postgres_oid).collect();
                let description = pgwire::messages::data::ParameterDescription::new(oids);
                let schema = self.columns(&prepared).await?;
                self.link.say(Say::ParameterDescription(description));
                self.say_columns(schema, &Formats::default());
            }
            Target::Portal(name) => {
                let Some(mut portal) = self.portals.remove(&name) else { return Err(no_portal(&name).into()) };
                self.open(&mut portal).await?;
                let schema = match &portal.progress {
                    Progress::Open(source) => Some(source.schema.clone()),
                    Progress::Ready | Progress::Done => self.columns(&portal.prepared.clone()).await?,
                };
                self.say_columns(schema, &portal.formats);
                self.portals.insert(name, portal);
            }
        }
        Ok(())
    }

    /// The columns that `prepared` gives; none where it gives no rows.
    async fn columns(&mut self, prepared: &Arc<Prepared>) -> Result<Option<arrow::datatypes::SchemaRef>, Stop> {
        match &prepared.command {
            Some(Command::Query) => {
                let answerer = self.answerer.clone();
                Ok(Some(self.watched(prepared.described(&answerer)).await?.schema.clone()))
            }
            Some(Command::Fetch { name, .. }) => Ok(self.portals.get(name).and_then(|cursor| match &cursor.progress {
                Progress::Open(source) => Some(source.schema.clone()),
                Progress::Ready | Progress::Done => cursor.prepared.promised().cloned(),
            })),
            Some(command) => Ok(Portal::own_schema(command)),
            None => Ok(None),
        }
    }

    fn say_columns(&mut self, schema: Option<arrow::datatypes::SchemaRef>, formats: &Formats) {
        self.link.say(match schema {
            Some(schema) => Say::RowDescription(types::row_description(&schema, |index| formats.of(index))),
            None => Say::NoData(NoData::new()),
        });
    }

    async fn execute(&mut self, name: &str, rows_max: Option<usize>) -> Result<(), Stop> {
        let Some(portal) = self.portals.remove(name) else { return Err(no_portal(name).into()) };
        if let Some(portal) = self.run_portal(portal, rows_max, false).await? {
            self.portals.insert(name.to_owned(), portal);
        }
        Ok(())
    }

    /// Plans what `portal` asks, where it asks anything and was not begun.
    async fn open(&mut self, portal: &mut Portal) -> Result<(), Stop> {
        if !matches!(portal.progress, Progress::Ready) || portal.prepared.command != Some(Command::Query) {
            return Ok(());
        }
        let answerer = self.answerer.clone();
        let values = portal.values.clone();
        let prepared = Arc::clone(&portal.prepared);
        let source = self.watched(answerer.query(&prepared.sql, prepared.given(), values)).await?;
        portal.formats.check(source.schema.fields().len())?;
        if prepared.promised().is_some_and(|promised| !is_alike(promised, &source.schema)) {
            return Err(Failure::error("0A000", "cached plan must not change result type")
                .with_hint("the schema changed: prepare the statement again")
                .into());
        }
        portal.progress = Progress::Open(Box::new(source));
        Ok(())
    }

    /// Executes a portal, wholly or for `rows_max` rows. Gives back what can be executed further.
    async fn run_portal(
        &mut self,
        mut portal: Portal,
        rows_max: Option<usize>,
        is_simple: bool,
    ) -> Result<Option<Portal>, Stop> {
        self.begin();
        let Some(command) = portal.prepared.command.clone() else {
            self.link.say(Say::EmptyQueryResponse(EmptyQueryResponse::new()));
            return Ok(Some(portal));
        };
        self.check_transaction(Some(&command))?;
        match command {
            Command::Query => {
                self.open(&mut portal).await?;
                let formats = portal.formats.clone();
                let Progress::Open(source) = &mut portal.progress else {
                    self.complete("SELECT 0");
                    return Ok(Some(portal));
                };
                if is_simple {
                    let schema = source.schema.clone();
                    self.say_columns(Some(schema), &formats);
                }
                let (rows, is_done) = self.send(source, &formats, rows_max).await?;
                if is_done {
                    portal.progress = Progress::Done;
                    self.complete(&format!("SELECT {rows}"));
                } else {
                    self.link.say(Say::PortalSuspended(PortalSuspended::new()));
                }
            }
            Command::Declare { name, query } => {
                let answerer = self.answerer.clone();
                let source =
                    self.watched(answerer.query(&query, portal.prepared.given(), portal.values.clone())).await?;
                if self.portals.len() >= PORTALS_MAX {
                    return Err(Failure::error("53400", "too many cursors").with_hint("close some").into());
                }
                self.portals.insert(name, Portal::cursor(Arc::clone(&portal.prepared), source));
                self.complete("DECLARE CURSOR");
            }
            Command::Fetch { name, rows_max } => self.fetch(&name, rows_max, &portal.formats, is_simple).await?,
            Command::Show(_) => {
                let source = self.show(&command)?;
                if is_simple {
                    self.say_columns(Some(source.schema.clone()), &portal.formats);
                }
                let mut source = source;
                self.send(&mut source, &portal.formats.clone(), None).await?;
                self.complete("SHOW");
            }
            other => self.arrange(other)?,
        }
        Ok(Some(portal))
    }

    async fn fetch(
        &mut self,
        name: &str,
        rows_max: Option<usize>,
        formats: &Formats,
        is_simple: bool,
    ) -> Result<(), Stop> {
        let missing = || Failure::error("34000", format!("cursor {name:?} does not exist"));
        let mut cursor = self.portals.remove(name).ok_or_else(missing)?;
        let mut rows = 0;
        if let Progress::Open(source) = &mut cursor.progress {
            if is_simple {
                let schema = source.schema.clone();
                self.say_columns(Some(schema), formats);
            }
            (rows, _) = self.send(source, formats, rows_max).await?;
        }
        self.portals.insert(name.to_owned(), cursor);
        self.complete(&format!("FETCH {rows}"));
        Ok(())
    }

    /// Sends rows of `source`: at most `rows_max`. Says how many, and whether there are no more.
    async fn send(
        &mut self,
        source: &mut Source,
        formats: &Formats,
        rows_max: Option<usize>,
    ) -> Result<(usize, bool), Stop> {
        let mut rows = 0;
        loop {
            while rows_max.is_none_or(|max| rows < max) && source.write(&mut self.link.output)? {
                rows += 1;
                if self.link.output.len() >= OUTPUT_BYTES {
                    self.relieve().await?;
                }
            }
            if rows_max.is_some_and(|max| rows >= max) {
                return Ok((rows, false));
            }
            if !self.watched(source.advance(|index| formats.of(index))).await? {
                return Ok((rows, true));
            }
        }
    }

    /// Sends the output, as fast as the client takes it.
    async fn relieve(&mut self) -> Result<(), Stop> {
        let stop = self.stop.clone();
        let clock = Arc::clone(&self.shared.clock);
        tokio::select! {
            flushed = self.link.flush() => Ok(flushed?),
            () = stop.cancelled() => Err(Failure::canceled().into()),
            () = self.principal.ended(&*clock) => Err(ended().into()),
            () = &mut self.deadline => Err(timed_out().into()),
        }
    }

    /// Begins work that can be cancelled, and that has so much time.
    fn begin(&mut self) {
        self.stop = self.cancelable.begin();
        self.deadline = match self.settings.statement_timeout() {
            Some(timeout) => self.shared.clock.sleep(timeout),
            None => Box::pin(std::future::pending()),
        };
    }

    /// Waits for `work`, unless it is cancelled, takes too long, or nobody waits for it any more.
    async fn watched<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Stop> {
        let stop = self.stop.clone();
        let clock = Arc::clone(&self.shared.clock);
        tokio::select! {
            outcome = work => Ok(outcome?),
            () = stop.cancelled() => Err(Failure::canceled().into()),
            gone = self.link.gone() => Err(gone.into()),
            () = self.principal.ended(&*clock) => Err(ended().into()),
            () = &mut self.deadline => Err(timed_out().into()),
        }
    }

    fn complete(&mut self, tag: &str) {
        self.link.say(Say::CommandComplete(CommandComplete::new(tag.to_owned())));
    }

    fn check_transaction(&self, command: Option<&Command>) -> Result<(), Failure> {
        if self.transaction == Transaction::Failed && !command.is_some_and(Command::ends_transaction) {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Failure::error("25P02", message));
        }
        Ok(())
    }

    fn show(&self, command: &Command) -> Result<Source, Failure> {
        let Command::Show(name) = command else { return Err(Failure::error("XX000", "nothing to show")) };
        let schema = Portal::own_schema(command).ok_or_else(|| Failure::error("XX000", "nothing to show"))?;
        let rows: Vec<[String; 3]> = if name == "all" {
            self.settings.all().into_iter().map(|(name, value)| [name, value, String::new()]).collect()
        } else {
            let unknown = || Failure::error("42704", format!("unrecognized configuration parameter {name:?}"));
            vec![[self.settings.value(name).ok_or_else(unknown)?, String::new(), String::new()]]
        };
        let column = |index: usize| {
            let texts: Vec<&str> = rows.iter().map(|row| row[index].as_str()).collect();
            Arc::new(arrow::array::StringArray::from(texts)) as arrow::array::ArrayRef
        };
        let columns = (0..schema.fields().len()).map(column).collect();
        let batch = arrow::array::RecordBatch::try_new(schema.clone(), columns);
        let batch = batch.map_err(|error| Failure::error("XX000", error.to_string()))?;
        Ok(Source::of(schema, vec![batch]))
    }

    /// Does what changes the session only.
    fn arrange(&mut self, command: Command) -> Result<(), Stop> {
        let tag = match command {
            Command::Begin(tag) => {
                if self.transaction == Transaction::None {
                    self.transaction = Transaction::Open;
                }
                tag
            }
            Command::Commit | Command::Rollback => {
                let is_undone = command == Command::Rollback || self.transaction == Transaction::Failed;
                self.transaction = Transaction::None;
                self.portals.clear();
                if is_undone { "ROLLBACK" } else { "COMMIT" }
            }
            Command::Savepoint(tag) => {
                if tag == "ROLLBACK" && self.transaction == Transaction::Failed {
                    self.transaction = Transaction::Open;
                }
                tag
            }
            Command::Set { name, value } => {
                let told = self.settings.set(&name, value.as_deref())?;
                self.tell(told);
                "SET"
            }
            Command::Reset(Some(name)) => {
                let told = self.settings.set(&name, None)?;
                self.tell(told);
                "RESET"
            }
            Command::Reset(None) => {
                self.settings.reset();
                "RESET"
            }
            Command::Discard => {
                self.settings.reset();
                self.statements.clear();
                self.portals.clear();
                "DISCARD ALL"
            }
            Command::Deallocate(Some(name)) => {
                let missing = || Failure::error("26000", format!("prepared statement {name:?} does not exist"));
                self.statements.remove(&name).ok_or_else(missing)?;
                "DEALLOCATE"
            }
            Command::Deallocate(None) => {
                self.statements.clear();
                "DEALLOCATE ALL"
            }
            Command::Close(Some(name)) => {
                let missing = || Failure::error("34000", format!("cursor {name:?} does not exist"));
                self.portals.remove(&name).ok_or_else(missing)?;
                "CLOSE CURSOR"
            }
            Command::Close(None) => {
                self.portals.clear();
                "CLOSE CURSOR ALL"
            }
            Command::Unlisten => "UNLISTEN",
            Command::Query | Command::Show(_) | Command::Declare { .. } | Command::Fetch { .. } => "SELECT 0",
        };
        self.complete(tag);
        Ok(())
    }

    fn tell(&mut self, told: Option<(&'static str, String)>) {
        if let Some((name, value)) = told {
            self.link.say(Say::ParameterStatus(ParameterStatus::new(name.to_owned(), value)));
        }
    }
}

fn postgres_oid(of: &pgwire::api::Type) -> u32 {
    of.oid()
}

/// Whether two answers have columns of the same names and types.
fn is_alike(one: &arrow::datatypes::SchemaRef, other: &arrow::datatypes::SchemaRef) -> bool {
    let columns = |schema: &arrow::datatypes::SchemaRef| {
        schema.fields().iter().map(|field| (field.name().clone(), types::of_field(field).oid())).collect::<Vec<_>>()
    };
    columns(one) == columns(other)
}

fn fatal(failure: Failure) -> Failure {
    Failure { is_fatal: true, ..failure }
}

fn ended() -> Failure {
    Failure::fatal("28000", "the credential of this session has ended")
}

fn timed_out() -> Failure {
    Failure::error("57014", "canceling statement due to statement timeout")
}

fn no_portal(name: &str) -> Failure {
    Failure::error("34000", format!("portal {name:?} does not exist"))
}
