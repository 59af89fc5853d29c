//! Stops on Ctrl-C.

use std::future::Future;

use crate::failure::Failure;

/// Does `work` unless Ctrl-C comes first; then `work` is dropped, which releases what it holds.
pub(crate) async fn unless_stopped<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        result = work => result,
        () = stop_asked() => Err(Failure::Stopped),
    }
}

/// Completes when the user or the system asks the program to stop.
pub(crate) async fn stop_asked() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
