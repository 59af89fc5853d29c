//! A session: messages in, answers out, in order.

mod arrange;
mod extended;
mod run;

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Buf;
use futures::FutureExt;
use pgwire::messages::{
    PgWireBackendMessage as Say,
    extendedquery::CloseComplete,
    response::{EmptyQueryResponse, ReadyForQuery, TransactionStatus},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    cancel::Cancelable,
    catalog::Catalog,
    failure::Failure,
    link::{Gone, Link, OUTPUT_BYTES},
    prepared::{Portal, Prepared},
    request::{MESSAGE_BYTES_MAX, Request, Target, request, too_long},
    settings::Settings,
    source::Answerer,
    statements::{Piece, split},
};
use crate::{Principal, Shared, Shutdown};

/// The most prepared statements, and the most bytes of their names, texts and types.
const STATEMENTS_MAX: usize = 512;
const STATEMENT_BYTES_MAX: usize = 4 << 20;
/// The most portals and cursors, and the most bytes of what they were given and of rows that wait to be sent: an answer of the
/// catalog, and two messages of values beside it.
const PORTALS_MAX: usize = 128;
const PORTAL_BYTES_MAX: usize = 96 << 20;

/// Why a message was not answered as it should be.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(Failure),
    Gone,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Gone> for Stop {
    fn from(_gone: Gone) -> Self {
        Self::Gone
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
    /// When the server has waited for long enough for what is under way.
    overdue: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> PgSession<S> {
    pub(super) fn new(
        link: Link<S>,
        shared: Shared,
        principal: Principal,
        settings: Settings,
        cancelable: Cancelable,
    ) -> Self {
        let session = principal.session(&shared.fineo);
        let clock = Arc::clone(&shared.clock);
        let catalog = Catalog::new(session.clone(), shared.fineo.query_limits().clone(), clock);
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
            overdue: Box::pin(std::future::pending()),
            shared,
        }
    }

    /// Answers until the client has had enough, or the server has.
    pub(super) async fn run(mut self, shutdown: &Shutdown) {
        self.overdue = overdue(&self.shared, shutdown.clone());
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
                Ok(()) => {
                    // A client need not ask for its answers to get them: what it does not read waits with it.
                    if self.link.output.len() >= OUTPUT_BYTES && self.link.flush().await.is_err() {
                        return;
                    }
                }
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

    /// The next message, once all of it is there; one that is too long is passed over.
    async fn next(&mut self, shutdown: &Shutdown) -> Result<(u8, Result<Request, Failure>), Stop> {
        loop {
            if let Some((kind, length)) = too_long(&self.link.input) {
                self.pass_over(length, shutdown).await?;
                let message = format!("a message of {length} bytes: at most {MESSAGE_BYTES_MAX} are read");
                let hint = "send less at once: shorter statements and parameters";
                return Ok((kind, Err(Failure::error("54000", message).with_hint(hint))));
            }
            if let Some(next) = request(&mut self.link.input, MESSAGE_BYTES_MAX).map_err(fatal)? {
                return Ok(next);
            }
            let limits = &self.shared.limits;
            let patience = if self.link.input.is_empty() { limits.idle_max } else { limits.stall_max };
            self.hear(patience, shutdown).await?;
        }
    }

    /// Takes in the next `length` bytes and keeps none of them.
    async fn pass_over(&mut self, length: usize, shutdown: &Shutdown) -> Result<(), Stop> {
        let mut left = length;
        loop {
            let here = left.min(self.link.input.len());
            self.link.input.advance(here);
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.hear(self.shared.limits.stall_max, shutdown).await?;
        }
    }

    /// Waits so long for more of what the client says.
    async fn hear(&mut self, patience: Duration, shutdown: &Shutdown) -> Result<(), Stop> {
        let clock = Arc::clone(&self.shared.clock);
        tokio::select! {
            filled = self.link.fill() => Ok(filled?),
            () = shutdown.requested() => Err(server_ends().into()),
            () = self.principal.ended(&*clock) => Err(ended().into()),
            () = clock.sleep(patience) => {
                Err(Failure::fatal("57P05", "terminating connection due to idle-session timeout").into())
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
        self.check_length(text)?;
        let pieces = split(text);
        if pieces.is_empty() {
            self.link.say(Say::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        for Piece { sql, start } in pieces {
            self.portals.remove("");
            let prepared = Arc::new(Prepared::new(sql.to_owned(), Vec::new())?);
            let answered = self.run_portal(Portal::plain(prepared), None, true).await;
            if let Err(Stop::Failed(failure)) = answered {
                let position = failure.position.map(|position| position + start);
                return Err(Failure { position, ..failure }.into());
            }
            answered?;
            if self.link.output.len() >= OUTPUT_BYTES {
                self.relieve().await?;
            }
        }
        Ok(self.ready().await?)
    }

    /// That `sql` is no longer than what is read of SQL.
    fn check_length(&self, sql: &str) -> Result<(), Failure> {
        let bytes_max = self.shared.fineo.query_limits().text_bytes_max;
        if sql.len() <= bytes_max {
            return Ok(());
        }
        let message = format!("the SQL text is too long: bytes={}, bytes_max={bytes_max}", sql.len());
        let detail = Some("code: too_complex".to_owned());
        Err(Failure { detail, ..Failure::error("54001", message) })
    }

    /// That `portal` can be kept under `name` beside the others.
    fn check_room(&self, name: &str, portal: &Portal) -> Result<(), Failure> {
        let others: usize = self.portals.iter().map(|(name, portal)| name.len() + portal.bytes()).sum();
        if others + name.len() + portal.bytes() <= PORTAL_BYTES_MAX {
            return Ok(());
        }
        let message = format!("the portals of a session hold at most {PORTAL_BYTES_MAX} bytes");
        Err(Failure::error("53400", message).with_hint("close some, or send less at once"))
    }
}

fn fatal(failure: Failure) -> Failure {
    Failure { is_fatal: true, ..failure }
}

/// Completes once the server ends and has waited for most of the time that it gives what is under way: the client is told
/// before the connection is cut off.
fn overdue(shared: &Shared, shutdown: Shutdown) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let clock = Arc::clone(&shared.clock);
    let patience = shared.limits.drain_max * 9 / 10;
    let over = async move {
        shutdown.requested().await;
        clock.sleep(patience).await;
    };
    Box::pin(over.fuse())
}

fn server_ends() -> Failure {
    Failure::fatal("57P01", "terminating connection: the server ends")
}

fn ended() -> Failure {
    let detail = Some("code: permission_revoked".to_owned());
    Failure { detail, ..Failure::fatal("28000", "the credential of this session has ended") }
}
