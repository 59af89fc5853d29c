//! Threads for what takes the processor's time: few, so that what the making of one file frees serves the next.

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use fineo_core::{Error, Result};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::spawn_blocking,
};

/// How long a thread without work waits for more.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// The threads of one run.
///
/// An allocator keeps what a thread frees for that thread. Of the runtime's own threads a dozen would take turns, and each would keep
/// as much as a file takes to make.
pub(crate) struct Threads {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Threads {
    /// At most `count` threads, of which none is there before it has something to do.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the system has nothing left for them.
    pub(crate) fn new(count: usize) -> Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.max_blocking_threads(count.max(1)).thread_keep_alive(IDLE_MAX).thread_name("fineo-compact");
        let none_left = |source| Error::unavailable("there are no threads for compaction").with_source(source);
        let runtime = builder.build().map_err(none_left)?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Does `work` on one of the threads, in turn. What is under way ends although nobody waits for it any more.
    ///
    /// # Errors
    ///
    /// `Internal` when it panics.
    pub(crate) fn run<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T>> + Send + use<T, W> {
        let handle = self.handle.clone();
        // A thread of the runtime's own waits: a clock that stands still while something is done learns of it there.
        let done = spawn_blocking(move || handle.block_on(handle.spawn_blocking(work)));
        async move {
            done.await
                .and_then(|done| done)
                .map_err(|source| Error::internal("a part of the compaction broke off").with_source(source))
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Nobody may wait within a runtime; what is under way ends by itself.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}
