//! Loads JSON lines through the library alone; each line's tenant is the text of one of its members.

use serde_json::{Value, json};

use crate::Result;
use crate::engine::Engine;
use crate::options::Options;

/// Loads the file and returns when everything accepted can be queried.
pub(crate) async fn run(options: &Options) -> Result<Value> {
    let engine = Engine::open(options.text("data-dir")?).await?;
    let taken = engine.import(options.file()?, options.text("tenant-field")?).await?;
    engine.close().await?;
    Ok(json!({ "accepted": taken.accepted, "rejected": taken.rejected }))
}
