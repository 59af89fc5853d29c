//! Tells every door and connection that the server ends.

use tokio_util::sync::CancellationToken;

/// The wish that the server ends: doors accept nothing new, connections finish what they do and close.
///
/// Cloning is cheap; all clones hear of it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A server that is not to end yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every clone to end.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether the end was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Completes once the end was asked for; it may be dropped and called again at will.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }
}
