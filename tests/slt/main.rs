//! Runs the sqllogictest files of this directory on every backend: on AWS where it is compiled in and emulators run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(feature = "aws")]
#[allow(dead_code, reason = "of what the whole-system tests share only the emulators are needed")]
#[path = "../it/support.rs"]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use fineo::{
    Fineo,
    core::{SystemClock, SystemEntropy, TenantId},
};
use fineo_compact::{CompactOptions, Compactor, CompactorParts};
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

/// Which of the events are in files when the questions are asked, and no longer nearline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compacted {
    None,
    FirstHalf,
    All,
}

/// Ends `fineo` and begins anew over the same stores, when everything that was archived is in files.
async fn compacted(fineo: Fineo) -> Fineo {
    let (parts, tables) = (fineo.parts().clone(), fineo.open_tables().clone());
    fineo.close().await.unwrap();
    let clock = Arc::new(SystemClock);
    let works_on = CompactorParts {
        archive: parts.archive.clone(),
        repo: parts.repo.clone(),
        schemas: fineo::schema::SchemaStore::new(parts.repo.clone(), clock.clone()),
        tables: tables.clone(),
        nearline: parts.nearline.clone(),
        notifier: None,
        clock,
        entropy: Arc::new(SystemEntropy::new()),
    };
    let options = CompactOptions::default().with_pin_for(Duration::ZERO).with_retain_for(Duration::ZERO);
    let report = Compactor::new(works_on, options).run(&|_| {}).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    let tenant = TenantId::new("acme").unwrap();
    assert!(!tables.metrics(&tenant).await.unwrap().is_empty(), "nothing was compacted");
    Fineo::with_parts(parts).open().await.unwrap()
}

async fn send(fineo: &Fineo, events: &[u8]) {
    let receipt = fineo.ingest(&TenantId::new("acme").unwrap(), events.to_vec()).await.unwrap();
    fineo.wait_until_queryable(&receipt).await.unwrap();
}

/// Sends `events`, some of which are then compacted.
async fn filled(fineo: Fineo, events: &[u8], files: Compacted) -> Fineo {
    let lines: Vec<&[u8]> = events.split_inclusive(|byte| *byte == b'\n').collect();
    let before = match files {
        Compacted::None => {
            send(&fineo, events).await;
            return fineo;
        }
        Compacted::FirstHalf => lines.len() / 2,
        Compacted::All => lines.len(),
    };
    send(&fineo, &lines[..before].concat()).await;
    let fineo = compacted(fineo).await;
    if before < lines.len() {
        send(&fineo, &lines[before..].concat()).await;
    }
    fineo
}

/// Asks every question of every directory of a fresh instance.
async fn run_all(open: impl AsyncFn(&str) -> Fineo, files: Compacted) {
    let mut problems = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    for directory in sorted(&root).into_iter().filter(|path| path.is_dir()) {
        let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
        let tenant = TenantId::new("acme").unwrap();
        let events = fs::read(directory.join("setup.ndjson")).unwrap();
        let fineo = filled(open(&name).await, &events, files).await;
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
    run_all(async |_| Fineo::memory().open().await.unwrap(), Compacted::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_backend_answers_every_file() {
    let root = tempfile::tempdir().unwrap();
    run_all(async |name| Fineo::local(root.path().join(name)).open().await.unwrap(), Compacted::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_answer_every_file() {
    run_all(async |_| Fineo::memory().open().await.unwrap(), Compacted::All).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_nearline_rows_together_answer_every_file() {
    run_all(async |_| Fineo::memory().open().await.unwrap(), Compacted::FirstHalf).await;
}

#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aws_backend_answers_every_file() {
    if support::aws_options().is_some() {
        run_all(async |_| Fineo::aws(support::aws_options().unwrap()).open().await.unwrap(), Compacted::None).await;
    }
}
