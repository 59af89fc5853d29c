//! What the whole-system tests share: an instance on each backend, and answers as lines.

use fineo::{Fineo, TenantId, query::Session};
use tempfile::TempDir;

/// An instance on one backend, with the directory that it lives in.
pub(crate) struct Instance {
    /// The backend's name, for messages.
    pub(crate) backend: &'static str,
    pub(crate) fineo: Fineo,
    /// Removed with the instance.
    _directory: Option<TempDir>,
}

/// One fresh instance on every backend that is compiled in.
pub(crate) async fn instances() -> Vec<Instance> {
    let directory = tempfile::tempdir().unwrap();
    let local = Fineo::local(directory.path()).open().await.unwrap();
    let memory = Fineo::memory().open().await.unwrap();
    vec![
        Instance { backend: "memory", fineo: memory, _directory: None },
        Instance { backend: "local", fineo: local, _directory: Some(directory) },
    ]
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Ingests `body` and waits until it can be queried.
pub(crate) async fn ingest(fineo: &Fineo, tenant: &TenantId, body: impl Into<String>) {
    let receipt = fineo.ingest(tenant, body.into()).await.unwrap();
    fineo.wait_until_queryable(&receipt).await.unwrap();
}

/// The answer as lines, cells separated by `|`, null as nothing.
pub(crate) async fn rows(fineo: &Fineo, tenant: &TenantId, sql: &str) -> Vec<String> {
    try_rows(&fineo.session(tenant), sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

/// As [`rows`], with the error.
pub(crate) async fn try_rows(session: &Session, sql: &str) -> fineo::Result<Vec<String>> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let batches = session.query(sql, &[]).await?.collect().await?;
    let options = FormatOptions::default().with_null("");
    let mut lines = Vec::new();
    for batch in &batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(cells.join("|"));
        }
    }
    Ok(lines)
}
