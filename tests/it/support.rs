//! What the whole-system tests share: an instance on each backend, and answers as lines.

use std::time::Duration;

use fineo::{Fineo, TenantId, compact::CompactOptions, query::Session};
use tempfile::TempDir;

/// An instance on one backend, with the directory that it lives in.
pub(crate) struct Instance {
    /// The backend's name, for messages.
    pub(crate) backend: &'static str,
    pub(crate) fineo: Fineo,
    /// Removed with the instance.
    _directory: Option<TempDir>,
}

impl Instance {
    /// The instance with all rows of `tenant` in files, and in files alone.
    pub(crate) async fn compacted(self, tenant: &TenantId) -> Self {
        let Self { backend, fineo, _directory } = self;
        // What was taken in is archived when the instance is closed.
        let parts = fineo.parts().clone();
        fineo.close().await.unwrap();
        let builder = match &_directory {
            Some(directory) => Fineo::local(directory.path()),
            None => Fineo::with_parts(parts),
        };
        let fineo = builder.open().await.unwrap();
        let at_once = CompactOptions::default().with_pin_for(Duration::ZERO).with_retain_for(Duration::ZERO);
        let report = fineo.compact(at_once).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        let files: u64 = fineo.tables(tenant).await.unwrap().iter().map(|table| table.files).sum();
        let nearline = fineo.parts().nearline.metrics(tenant).await.unwrap();
        let rows = nearline.iter().filter(|metric| metric.as_str().starts_with('n')).count();
        assert!(files > 0 && rows == 0, "{backend}: {files} files, {nearline:?}");
        Self { backend, fineo, _directory }
    }
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

/// As [`instances`], and one on the emulators of AWS where that backend is compiled in and the environment names them.
/// Where `FINEO_TEST_AWS` is `required` they must be there.
pub(crate) async fn instances_everywhere() -> Vec<Instance> {
    #[cfg_attr(not(feature = "aws"), expect(unused_mut, reason = "only AWS comes on top"))]
    let mut all = instances().await;
    #[cfg(feature = "aws")]
    all.extend(on_aws().await);
    all
}

/// An instance of its own on the emulators; none where the environment names none.
#[cfg(feature = "aws")]
pub(crate) async fn on_aws() -> Option<Instance> {
    let options = aws_options()?;
    let fineo = Fineo::aws(options).open().await.unwrap();
    Some(Instance { backend: "aws", fineo, _directory: None })
}

/// How to open an instance of its own on the emulators.
#[cfg(feature = "aws")]
pub(crate) fn aws_options() -> Option<fineo::aws::AwsOptions> {
    use fineo::core::Entropy;
    let variables = ["FINEO_TEST_S3_URL", "FINEO_TEST_KINESALITE_URL", "FINEO_TEST_DYNAMODB_URL"];
    let urls: Option<Vec<String>> = variables.iter().map(|name| std::env::var(name).ok()).collect();
    let Some(urls) = urls else {
        let is_required = std::env::var("FINEO_TEST_AWS").is_ok_and(|value| value == "required");
        assert!(!is_required, "the emulators of AWS are not in the environment");
        eprintln!("not asked on AWS: {variables:?} are not set, scripts/services start starts the emulators");
        return None;
    };
    let endpoints = fineo::aws::Endpoints::default().with_s3(&urls[0]).with_kinesis(&urls[1]).with_dynamodb(&urls[2]);
    let id = u128::from_be_bytes(fineo::core::SystemEntropy::new().id());
    let options = fineo::aws::AwsOptions::new(format!("t{id:032x}")).with_region("us-east-1").with_endpoints(endpoints);
    Some(options.with_shards(Some(2)).with_spread(2).with_poll_every(std::time::Duration::from_millis(20)))
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
