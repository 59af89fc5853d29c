//! The in-memory backend: the reference and the test double.
//!
//! Four stores that keep everything in the memory of one process and lose it with it
//! ([`Durability::Volatile`](fineo_core::Durability::Volatile)). They are written to be obviously right, not to
//! be fast: where another backend behaves differently, this one says what the contract means.
//!
//! A clone is a second handle on the same data. [`MemoryStream::crash`] and [`MemoryNearline::crash`] play the
//! loss of power: what was not synced is gone.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> fineo_core::Result<()> {
//! use fineo_backend_memory::MemoryStream;
//! use fineo_core::{Stream, TenantId, stream::Entry};
//!
//! let stream = MemoryStream::new("ingest", 2);
//! let entry = Entry { tenant: TenantId::new("acme")?, key: 7, payload: "{}".into() };
//! let outcomes = stream.append(vec![entry]).await;
//! assert!(outcomes[0].is_done());
//! # Ok(()) }
//! ```

mod archive;
mod nearline;
mod repo;
mod stream;

pub use archive::MemoryArchive;
pub use nearline::MemoryNearline;
/// The object store in memory: `object_store`'s own is obviously right, too.
pub use object_store::memory::InMemory as MemoryObjects;
pub use repo::MemoryRepo;
pub use stream::MemoryStream;
