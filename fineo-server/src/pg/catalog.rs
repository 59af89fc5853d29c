//! What clients ask about the server and the tenant's tables: `pg_catalog`, `information_schema`, and the functions that
//! come with them.
//!
//! Such questions are answered beside the engine that reads events, by a planner whose tables are made of the tenant's
//! names and types alone: no question about the catalog can reach a row, and no other tenant's name is within reach (T3).

mod attributes;
mod dialect;
mod functions;
mod information;
mod names;
mod nothing;
mod planner;
mod question;
mod recognition;
mod spellings;
mod tables;
mod tenant;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
};
use datafusion::{error::DataFusionError, execution::session_state::SessionState};
use fineo::{Clock, QueryLimits, Session};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

pub(super) use self::recognition::may_be_asked;
use self::{planner::state, question::Question, recognition::parse, tenant::TenantCatalog};
use super::{failure::Failure, types, values::Given};

/// The most parameters of a statement.
const PARAMETERS_MAX: usize = u16::MAX as usize;
/// Planning recurses as deep as a statement is nested.
const STACK_BYTES: usize = 64 << 20;
/// How many times as many operators a question may have as a query: drivers ask what type each type is, one by one, and
/// the stack is as much deeper.
const OPERATORS_TIMES: usize = 4;

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
    clock: Arc<dyn Clock>,
    state: Arc<OnceLock<Result<SessionState, String>>>,
    /// Who works on a question: it is one at a time, also when nobody waits for the last any more.
    worker: Arc<Semaphore>,
}

impl Catalog {
    pub(super) fn new(session: Session, mut limits: QueryLimits, clock: Arc<dyn Clock>) -> Self {
        limits.operators_max *= OPERATORS_TIMES;
        let tenant = TenantCatalog::new(session.tenant().as_str());
        Self { session, tenant, limits, clock, state: Arc::default(), worker: Arc::new(Semaphore::new(1)) }
    }

    /// Answers `sql`, or only says what it would give when there are no `values`.
    pub(super) async fn ask(
        &self,
        sql: &str,
        given: Vec<Option<DataType>>,
        values: Option<Vec<Given>>,
    ) -> Result<Asked, Failure> {
        self.limits.check(sql).map_err(|error| Failure::of(&error, sql))?;
        tokio::select! {
            asked = self.ask_for_long(sql, given, values) => asked,
            () = self.clock.sleep(self.limits.time_max) => {
                let detail = Some("code: time_limit".to_owned());
                Err(Failure { detail, ..Failure::error("57014", "the query took longer than it may") })
            }
        }
    }

    async fn ask_for_long(
        &self,
        sql: &str,
        mut given: Vec<Option<DataType>>,
        values: Option<Vec<Given>>,
    ) -> Result<Asked, Failure> {
        let ended = || Failure::error("XX000", "the catalog has ended");
        let worker = Arc::clone(&self.worker).acquire_owned().await.map_err(|_| ended())?;
        self.tenant.refresh(&self.session).await.map_err(|error| Failure::of(&error, sql))?;
        let this = self.clone();
        let text = sql.to_owned();
        let stop = CancellationToken::new();
        // Whoever waits no longer has nobody work for it either.
        let _stop_with_caller = stop.clone().drop_guard();
        on_deep_stack(move || {
            // Free for the next once the last thread of this one has ended.
            let _worker = worker;
            let state = this.state.get_or_init(|| state(&this.tenant).map_err(|error| first_line(&error)));
            let state = state.as_ref().map_err(|error| Failure::error("XX000", error.clone()))?;
            let Some((statement, lists)) = parse(&text)? else { return Ok(Asked::Data) };
            for number in lists.into_iter().filter(|number| *number < PARAMETERS_MAX) {
                given.resize(given.len().max(number + 1), None);
                given[number].get_or_insert_with(|| types::list(DataType::Utf8));
            }
            let question = Question { state: state.clone(), statement, given, values, stop };
            // Work that makes no rows for long goes on beside the thread that is told to stop.
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            runtime.worker_threads(1).thread_name("fineo-catalog").thread_stack_size(STACK_BYTES);
            let runtime = runtime.build();
            let runtime = runtime.map_err(|error| Failure::error("53000", error.to_string()))?;
            runtime.block_on(question.answer()).map(Asked::Catalog)
        })
        .await
    }
}

/// Reads `sql` as far as it is known without a tenant.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn read(sql: &str) {
    if let Ok(Some((statement, _))) = parse(sql) {
        let _ = statement.to_string();
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Catalog({})", self.tenant.tenant())
    }
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
    if let DataFusionError::External(inner) = error.find_root()
        && let Some(ours) = inner.downcast_ref::<fineo::Error>()
    {
        return Failure::of(ours, "");
    }
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
    let text = error.find_root().strip_backtrace();
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
