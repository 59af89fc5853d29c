//! The one thread that moves rows to disk, merges segments and removes rows: one piece of work after the other.
//!
//! A thread of its own, since this work takes memory in large pieces: what is freed is taken again by the next piece,
//! where a pool of threads would keep it apart in each of them.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};

use fineo_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::store::Store;

type Work = Box<dyn FnOnce() + Send>;

/// Hands work on a store to the thread, which ends when this is gone and the work is done.
pub(super) struct Keeper {
    store: Arc<Store>,
    work: mpsc::Sender<Work>,
}

impl Keeper {
    /// Starts the thread.
    pub(super) fn start(store: &Arc<Store>) -> Result<Self> {
        let (sender, receiver) = mpsc::channel::<Work>();
        let keep = move || receiver.into_iter().for_each(|work| work());
        let started = thread::Builder::new().name("fineo-nearline".to_owned()).spawn(keep);
        started.map_err(|source| Error::unavailable("no thread for the nearline store").with_source(source))?;
        Ok(Self { store: Arc::clone(store), work: sender })
    }

    /// What `work` makes of the store, after all that was handed in before. It is done even when nobody waits for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.hand(work, move |result| {
            let _ = sender.send(result);
        });
        receiver.await.unwrap_or_else(|source| {
            Err(Error::new(ErrorKind::Cancelled, "the work was cut off").with_source(source).and_may_have_applied())
        })
    }

    /// Has `work` done on the store, after all that was handed in before, and waits for nothing.
    pub(super) fn begin(&self, work: impl FnOnce(&Store) + Send + 'static) {
        self.hand(
            |store| {
                work(store);
                Ok(())
            },
            |_: Result<()>| {},
        );
    }

    fn hand<T>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
        then: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let store = Arc::clone(&self.store);
        let work = move || {
            let result = catch_unwind(AssertUnwindSafe(|| work(&store))).unwrap_or_else(|panic| {
                let error = broken_off(panic.as_ref());
                // What is in memory may be half changed: the disk is as after a crash at that place, and read anew it is right.
                store.root.poison(&error);
                Err(error)
            });
            // Who waits may open the directory anew.
            drop(store);
            then(result);
        };
        // The thread is there as long as this is.
        let _ = self.work.send(Box::new(work));
    }
}

/// The error that a panic is.
fn broken_off(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::internal("the nearline store met a defect").with("detail", text).and_may_have_applied()
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}
