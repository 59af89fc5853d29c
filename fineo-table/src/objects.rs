//! Where an instance keeps its columnar files.

use std::{fmt, sync::Arc};

use fineo_core::Durability;
use object_store::ObjectStore;
use url::Url;

/// An object store that belongs to one instance, beside the stores of the four contracts.
///
/// Its puts with [`object_store::PutMode::Create`] must create atomically and never overwrite, its puts without
/// must replace atomically, and every done put and delete must survive the faults of `durability`. A store of
/// ours that knows more than `object_store`'s errors can say (no space, may have applied) puts a
/// [`fineo_core::Error`] into [`object_store::Error::Generic`].
#[derive(Clone)]
pub struct Objects {
    /// The store; every path of the instance is relative to its root.
    pub store: Arc<dyn ObjectStore>,
    /// What an outside reader is told: `file:///data/tables/`, `memory:///`, `s3://bucket/prefix/`.
    pub url: Url,
    /// What done changes survive.
    pub durability: Durability,
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without user and password, whatever somebody put into the URL.
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "objects in {}://{host}{}", self.url.scheme(), self.url.path())
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({self}, {})", self.durability)
    }
}
