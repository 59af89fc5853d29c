//! A plan at work: counts calls, decides, and carries faults out around an effect.

use std::{
    collections::BTreeMap,
    fmt,
    future::{self, Future},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fineo_core::{Clock, Error, Outcome, Result, SystemClock};
use futures::{
    future::BoxFuture,
    stream::{self, BoxStream, Peekable, StreamExt},
};

use super::{CrashPoints, Fault, FaultPlan, Operation};

/// A plan at work, shared by the wrappers of one process. Clones share the counts of calls.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    points: CrashPoints,
}

struct Shared {
    plan: FaultPlan,
    calls: Mutex<BTreeMap<Operation, u64>>,
    injected: AtomicU64,
    is_stopped: AtomicBool,
}

impl Faults {
    /// Carries `plan` out, by the machine's clock and without a crash point.
    pub fn new(plan: FaultPlan) -> Self {
        let shared =
            Shared { plan, calls: Mutex::default(), injected: AtomicU64::new(0), is_stopped: AtomicBool::new(false) };
        Self { shared: Arc::new(shared), clock: Arc::new(SystemClock), points: CrashPoints::never() }
    }

    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::new(FaultPlan::new(0))
    }

    /// Waits by `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Passes `points` before and after every effect.
    #[must_use]
    pub fn with_points(mut self, points: CrashPoints) -> Self {
        self.points = points;
        self
    }

    /// The plan.
    pub fn plan(&self) -> &FaultPlan {
        &self.shared.plan
    }

    /// The points that calls pass.
    pub fn points(&self) -> &CrashPoints {
        &self.points
    }

    /// How many faults there were.
    pub fn injected(&self) -> u64 {
        self.shared.injected.load(Ordering::SeqCst)
    }

    /// From now on nothing goes wrong: the time to check that everything drains.
    pub fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
    }

    /// Counts a call of `operation` and says what goes wrong with it.
    pub(super) fn next(&self, operation: Operation) -> Option<Fault> {
        let call = {
            let mut calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let count = calls.entry(operation).or_default();
            *count += 1;
            *count - 1
        };
        if self.shared.is_stopped.load(Ordering::SeqCst) {
            return None;
        }
        let fault = self.shared.plan.fault(operation, call)?;
        self.shared.injected.fetch_add(1, Ordering::SeqCst);
        tracing::debug!(?operation, call, ?fault, "injected fault");
        Some(fault)
    }

    fn sleep(&self, millis: u64) -> BoxFuture<'static, ()> {
        self.clock.sleep(Duration::from_millis(millis))
    }

    /// Carries out `effect`, a call about `count` things, as `fault` says.
    pub(super) async fn call<A: Answer>(
        &self,
        (operation, fault): (Operation, Option<Fault>),
        count: usize,
        effect: impl Future<Output = A> + Send + 'static,
    ) -> A {
        self.points.pass().await;
        let failed = |fault: Fault| fault.error(operation);
        let answer = match fault {
            None | Some(Fault::Partial { .. } | Fault::Stale) => effect.await,
            Some(fault @ (Fault::FailBefore | Fault::Throttle(_))) => A::not_done(&failed(fault), count),
            Some(fault @ Fault::FailAfter) => {
                drop(effect.await);
                A::unknown(&failed(fault), count)
            }
            Some(Fault::Late(millis)) => {
                self.sleep(millis).await;
                effect.await
            }
            Some(fault @ Fault::LateApplication(millis)) => {
                let wait = self.sleep(millis);
                // The request is on its way, whatever becomes of the process that sent it.
                tokio::spawn(async move {
                    wait.await;
                    drop(effect.await);
                });
                A::unknown(&failed(fault), count)
            }
            Some(Fault::Hang) => future::pending().await,
            Some(Fault::Crash) => {
                self.points.interrupt();
                future::pending().await
            }
        };
        self.points.pass().await;
        answer
    }

    /// Carries out a call that answers by a stream.
    pub(super) fn stream<T: Send + 'static>(
        &self,
        operation: Operation,
        inner: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let fault = self.next(operation);
        let answers =
            Answers { inner: inner.peekable(), faults: self.clone(), operation, fault, items: 0, is_ended: false };
        stream::unfold(answers, |mut answers| async move {
            let item = answers.next().await?;
            Some((item, answers))
        })
        .boxed()
    }
}

struct Answers<T> {
    inner: Peekable<BoxStream<'static, Result<T>>>,
    faults: Faults,
    operation: Operation,
    fault: Option<Fault>,
    items: u64,
    is_ended: bool,
}

impl<T> Answers<T> {
    async fn next(&mut self) -> Option<Result<T>> {
        if self.is_ended {
            return None;
        }
        self.faults.points.pass().await;
        let item = match self.fault {
            None | Some(Fault::Partial { .. }) => self.inner.next().await,
            Some(Fault::FailAfter) if self.items == 0 => self.inner.next().await,
            Some(fault @ (Fault::FailBefore | Fault::FailAfter | Fault::Throttle(_) | Fault::LateApplication(_))) => {
                self.is_ended = true;
                Some(Err(fault.error(self.operation)))
            }
            Some(Fault::Late(millis)) => {
                self.faults.sleep(millis).await;
                self.fault = None;
                self.inner.next().await
            }
            Some(Fault::Stale) => {
                let item = self.inner.next().await;
                let is_last = Pin::new(&mut self.inner).peek().await.is_none();
                if is_last { None } else { item }
            }
            Some(Fault::Hang) => future::pending().await,
            Some(Fault::Crash) => {
                self.faults.points.interrupt();
                future::pending().await
            }
        };
        self.items += 1;
        item
    }
}

/// An answer that can say what went wrong.
pub(super) trait Answer: Send + 'static {
    /// None of the `count` things happened.
    fn not_done(error: &Error, count: usize) -> Self;
    /// Each of the `count` things may have happened.
    fn unknown(error: &Error, count: usize) -> Self;
}

impl<T: Send + 'static> Answer for Result<T> {
    fn not_done(error: &Error, _: usize) -> Self {
        Err(error.clone())
    }

    fn unknown(error: &Error, _: usize) -> Self {
        Err(error.clone())
    }
}

impl<T: Send + 'static> Answer for object_store::Result<T> {
    fn not_done(error: &Error, _: usize) -> Self {
        Err(super::objects::through(error.clone()))
    }

    fn unknown(error: &Error, _: usize) -> Self {
        Err(super::objects::through(error.clone().and_may_have_applied()))
    }
}

impl<T: Send + 'static> Answer for Outcome<T> {
    fn not_done(error: &Error, _: usize) -> Self {
        Self::NotDone(error.clone())
    }

    fn unknown(error: &Error, _: usize) -> Self {
        Self::Unknown(error.clone().and_may_have_applied())
    }
}

impl<T: Send + 'static> Answer for Vec<Outcome<T>> {
    fn not_done(error: &Error, count: usize) -> Self {
        (0..count).map(|_| Outcome::not_done(error, 1)).collect()
    }

    fn unknown(error: &Error, count: usize) -> Self {
        (0..count).map(|_| Outcome::unknown(error, 1)).collect()
    }
}

/// Whether the item `index` of a batch fails under `mask`.
pub(super) fn is_masked(mask: u64, index: usize) -> bool {
    mask >> (index % 64) & 1 == 1
}

/// Puts the outcomes of the items that were passed on and those of the masked items in order again.
pub(super) fn weave<T>(
    passed: Vec<Outcome<T>>,
    mask: u64,
    count: usize,
    mut masked: impl FnMut() -> Outcome<T>,
) -> Vec<Outcome<T>> {
    let mut passed = passed.into_iter();
    (0..count).filter_map(|index| if is_masked(mask, index) { Some(masked()) } else { passed.next() }).collect()
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faults({})", self.shared.plan)
    }
}
