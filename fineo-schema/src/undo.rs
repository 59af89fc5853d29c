//! What a change did, part by part, and how that is taken back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A part of the documents before and after a change. None: it was not there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delta {
    /// The keys from the root to the part.
    pub(crate) path: Vec<String>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}
