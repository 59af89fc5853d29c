//! Threads with deep stacks on which statements are planned: kept for the next one while some are idle.

use std::{
    any::Any,
    cell::RefCell,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use datafusion::error::DataFusionError;
use fineo_core::{Error, Result};
use tokio::sync::oneshot;

use crate::error::defect;

thread_local! {
    /// Whether nobody waits for what this thread works on.
    static UNWANTED: RefCell<Arc<AtomicBool>> = RefCell::default();
}

/// Fails on a planning thread when nobody waits for the plan any more.
pub(super) fn check_wanted() -> std::result::Result<(), DataFusionError> {
    match UNWANTED.with_borrow(|unwanted| unwanted.load(Ordering::Relaxed)) {
        true => Err(DataFusionError::Execution("nobody wants the plan any more".to_owned())),
        false => Ok(()),
    }
}

/// Whether `error` says something of the statement: it would fail again, and not because nobody waits for its plan.
pub(super) fn is_lasting(error: &Error) -> bool {
    check_wanted().is_ok() && !error.is_retryable()
}

/// Somebody who waits for a plan.
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Parsing and planning recurse as deep as a statement is nested.
const STACK_BYTES: usize = 64 << 20;
/// How many threads wait for work; more are started as needed and end when they have done theirs.
const IDLE_MAX: usize = 4;

/// Work for a thread, with the way to give it more.
struct Job {
    work: Box<dyn FnOnce() + Send>,
    thread: mpsc::Sender<Self>,
}

type Idle = Mutex<Vec<mpsc::Sender<Job>>>;

/// The planning threads of one engine; they end with it.
#[derive(Debug, Default)]
pub(crate) struct Planners(Arc<Idle>);

impl Planners {
    /// Does `work` on a thread with a deep stack. A panic is an error. Dropping the future ends it where it looks.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let waits = Waits(Arc::default());
        let unwanted = Arc::clone(&waits.0);
        let run = move || {
            UNWANTED.set(unwanted);
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
            UNWANTED.take();
            // Whoever asked may be gone; then nobody needs the answer.
            let _ = sender.send(outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))));
        };
        self.give(Box::new(run))?;
        let outcome = receiver.await.map_err(|_| defect("the planner ended without an answer"))?;
        drop(waits);
        outcome
    }

    fn give(&self, mut work: Box<dyn FnOnce() + Send>) -> Result<()> {
        let idle = lock(&self.0).pop();
        if let Some(thread) = idle {
            match thread.send(Job { work, thread: thread.clone() }) {
                Ok(()) => return Ok(()),
                Err(mpsc::SendError(job)) => work = job.work,
            }
        }
        let (thread, jobs) = mpsc::channel();
        let idle = Arc::downgrade(&self.0);
        std::thread::Builder::new()
            .name("fineo-plan".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || serve(&jobs, &idle))
            .map_err(|source| Error::unavailable("cannot start a planner").with_source(source))?;
        let job = Job { work, thread: thread.clone() };
        thread.send(job).map_err(|_| defect("the planner ended without an answer"))
    }
}

/// Does what comes, until nobody can send more or enough other threads are idle.
fn serve(jobs: &mpsc::Receiver<Job>, idle: &Weak<Idle>) {
    while let Ok(Job { work, thread }) = jobs.recv() {
        work();
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = lock(&idle);
        if idle.len() >= IDLE_MAX {
            return;
        }
        // Only this list holds the way to a waiting thread: when it ends, so does the thread.
        idle.push(thread);
    }
}

fn lock(idle: &Idle) -> MutexGuard<'_, Vec<mpsc::Sender<Job>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error that a panic is.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    defect("the engine met a defect").with("detail", text.chars().take(300).collect::<String>())
}

#[cfg(test)]
mod tests;
