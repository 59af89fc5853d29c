//! Runs the sqllogictest files of this directory on every backend that needs nothing but this machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use fineo::{Fineo, core::TenantId};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

/// A session as sqllogictest sees it.
struct Session(fineo::query::Session);

/// An error as sqllogictest matches it: by its text, code included.
#[derive(Debug)]
struct Shown(fineo::core::Error);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Shown {}

#[async_trait]
impl AsyncDB for Session {
    type Error = Shown;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Shown> {
        let stream = self.0.query(sql, &[]).await.map_err(Shown)?;
        let types = stream.schema().fields().iter().map(|_| DefaultColumnType::Any).collect();
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = Vec::new();
        for batch in stream.collect().await.map_err(Shown)? {
            for row in 0..batch.num_rows() {
                let shown = batch.columns().iter().map(|column| {
                    let text = ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string();
                    if text.is_empty() { "(empty)".to_owned() } else { text }
                });
                rows.push(shown.collect());
            }
        }
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}
}

fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Asks every question of a file; says what was answered otherwise.
async fn problems_of(file: &Path, session: &fineo::query::Session) -> Vec<String> {
    let mut runner = Runner::new(move || {
        let session = session.clone();
        async move { Ok(Session(session)) }
    });
    let records = sqllogictest::parse_file::<DefaultColumnType>(file).unwrap();
    assert!(!records.is_empty(), "{} asks nothing", file.display());
    let mut problems = Vec::new();
    for record in records {
        if let Err(error) = runner.run_async(record).await {
            problems.push(error.to_string());
        }
    }
    problems
}

/// Asks every question of every directory of a fresh instance.
async fn run_all(open: impl AsyncFn(&str) -> Fineo) {
    let mut problems = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    for directory in sorted(&root).into_iter().filter(|path| path.is_dir()) {
        let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
        let fineo = open(&name).await;
        let tenant = TenantId::new("acme").unwrap();
        let receipt = fineo.ingest(&tenant, fs::read(directory.join("setup.ndjson")).unwrap()).await.unwrap();
        fineo.wait_until_queryable(&receipt).await.unwrap();
        let schema = fs::read_to_string(directory.join("schema.json")).unwrap();
        fineo.schema(&tenant).declare(&schema).await.unwrap();
        let is_slt = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "slt");
        for file in sorted(&directory).into_iter().filter(is_slt) {
            problems.extend(problems_of(&file, &fineo.session(&tenant)).await);
        }
        fineo.close().await.unwrap();
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_backend_answers_every_file() {
    run_all(async |_| Fineo::memory().open().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_backend_answers_every_file() {
    let root = tempfile::tempdir().unwrap();
    run_all(async |name| Fineo::local(root.path().join(name)).open().await.unwrap()).await;
}
