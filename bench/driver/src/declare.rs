//! Declares what each tenant's file says: `<tenant>.json`, as `fineo schema apply` takes it.

use serde_json::{Value, json};

use crate::Result;
use crate::engine::Engine;
use crate::options::Options;

/// Applies every file of the folder, in order of names.
pub(crate) async fn run(options: &Options) -> Result<Value> {
    let entries: std::io::Result<Vec<_>> = std::fs::read_dir(options.text("schemas")?)?.collect();
    let mut files: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
    files.sort();
    let engine = Engine::open(options.text("data-dir")?).await?;
    for file in &files {
        let tenant = file.file_stem().and_then(|stem| stem.to_str()).ok_or("a file's name is no tenant's")?;
        engine.declare(tenant, &std::fs::read_to_string(file)?).await?;
    }
    engine.close().await?;
    Ok(json!({ "tenants": files.len() }))
}
