//! The stores that belong together.

use std::sync::Arc;

use crate::{Archive, NearlineStore, SchemaRepo, Stream};

/// The stores that the stages of one instance work on. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Takes events from the edge.
    pub raw: Arc<dyn Stream>,
    /// Takes records from stage raw.
    pub staged: Arc<dyn Stream>,
    /// Keeps what the stages received.
    pub archive: Arc<dyn Archive>,
    /// Holds recent rows.
    pub nearline: Arc<dyn NearlineStore>,
    /// Holds schemas, checkpoints and leases.
    pub repo: Arc<dyn SchemaRepo>,
}
