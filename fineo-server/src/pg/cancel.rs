//! Cancel requests: they come on connections of their own and name the one they mean by a number and a secret.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
};

use bytes::Bytes;
use fineo::Entropy;
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

/// The sessions that can be asked to stop what they do.
#[derive(Debug, Clone, Default)]
pub(super) struct Cancels(Arc<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    next: AtomicI32,
    open: Mutex<HashMap<i32, Open>>,
}

struct Open {
    key: Bytes,
    work: Arc<Work>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Open")
    }
}

/// What a session does at the moment.
#[derive(Debug, Default)]
struct Work(Mutex<Option<CancellationToken>>);

/// A session's place among those that can be asked; dropping it gives it up.
#[derive(Debug)]
pub(super) struct Cancelable {
    sessions: Arc<Sessions>,
    work: Arc<Work>,
    pub(super) process: i32,
    pub(super) key: Bytes,
}

impl Cancels {
    /// A place for a session that will be known by a secret of `key_bytes` bytes.
    pub(super) fn register(&self, key_bytes: usize, entropy: &dyn Entropy) -> Cancelable {
        let mut key = vec![0; key_bytes];
        entropy.fill(&mut key);
        let key = Bytes::from(key);
        let work = Arc::new(Work::default());
        let mut open = locked(&self.0.open);
        let process = loop {
            let process = self.0.next.fetch_add(1, Ordering::Relaxed) & i32::MAX;
            if process != 0 && !open.contains_key(&process) {
                break process;
            }
        };
        open.insert(process, Open { key: key.clone(), work: Arc::clone(&work) });
        Cancelable { sessions: Arc::clone(&self.0), work, process, key }
    }

    /// Stops what the session `process` does, if `key` is its secret. Nobody is told whether it was.
    pub(super) fn cancel(&self, process: i32, key: &[u8]) {
        let open = locked(&self.0.open);
        let Some(session) = open.get(&process) else { return };
        if bool::from(session.key.as_ref().ct_eq(key))
            && let Some(work) = locked(&session.work.0).as_ref()
        {
            work.cancel();
        }
    }
}

impl Cancelable {
    /// What tells the work that begins now to stop; work that ended before is no longer told.
    pub(super) fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *locked(&self.work.0) = Some(token.clone());
        token
    }

    /// Says that there is nothing to stop.
    pub(super) fn end(&self) {
        *locked(&self.work.0) = None;
    }
}

impl Drop for Cancelable {
    fn drop(&mut self) {
        locked(&self.sessions.open).remove(&self.process);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
