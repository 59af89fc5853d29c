//! Other people's engines read a compacted table and see what Fineo's SQL sees: rows, names and types.
//!
//! Needs a Python with the engines: `scripts/interop-venv FOLDER` makes one, `FINEO_INTEROP_PYTHON` names its
//! interpreter. Without it every trial is ignored, unless `FINEO_INTEROP_REQUIRED` is set.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod table;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{Arc, OnceLock},
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::Value;

/// The engines that must be there, in the environment that the script makes.
const ENGINES: [&str; 5] = ["deltalake", "polars", "duckdb", "chdb", "manifest"];

/// What the trials share: a table, and what Fineo says is in it.
type Shared = Arc<OnceLock<table::Compacted>>;

fn main() -> ExitCode {
    let shared: Shared = Arc::default();
    let mut trials: Vec<Trial> = ENGINES
        .into_iter()
        .map(|engine| {
            let shared = Arc::clone(&shared);
            Trial::ignorable_test(format!("{engine} reads what SQL answers"), move || trial(engine, &shared))
        })
        .collect();
    trials.push(Trial::ignorable_test("spark reads what SQL answers", move || spark(&shared)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(engine: &str, shared: &Shared) -> Result<Completion, Failed> {
    let Some(python) = python() else {
        let reason = "no Python with the engines: scripts/interop-venv FOLDER makes one, FINEO_INTEROP_PYTHON names it";
        let is_required = std::env::var_os("FINEO_INTEROP_REQUIRED").is_some();
        return if is_required { Err(reason.into()) } else { Ok(Completion::ignored_with(reason)) };
    };
    read_and_compare(&python, engine, shared)
}

/// Spark is large and needs Java: it runs where somebody installed it.
fn spark(shared: &Shared) -> Result<Completion, Failed> {
    let has_spark = |python: &PathBuf| {
        Command::new(python).args(["-c", "import pyspark"]).output().is_ok_and(|output| output.status.success())
    };
    match python().filter(has_spark) {
        Some(python) => read_and_compare(&python, "spark", shared),
        None => Ok(Completion::ignored_with("pyspark is not in the Python of FINEO_INTEROP_PYTHON")),
    }
}

fn python() -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("FINEO_INTEROP_PYTHON")?);
    python.exists().then_some(python)
}

fn read_and_compare(python: &Path, engine: &str, shared: &Shared) -> Result<Completion, Failed> {
    let compacted = shared.get_or_init(table::Compacted::new);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/readers.py");
    let output = Command::new(python).arg(script).args([engine, &compacted.location]).output()?;
    if !output.status.success() {
        return Err(format!("{engine}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let seen: Value = serde_json::from_slice(&output.stdout)?;
    compare(engine, &compacted.expected, &seen)?;
    Ok(Completion::Completed)
}

/// Every column that SQL has is there under its name and type, with the same values in the same rows.
fn compare(engine: &str, expected: &table::Rows, seen: &Value) -> Result<(), Failed> {
    let columns = seen["columns"].as_object().ok_or("no columns")?;
    // SQL shows an event id as digits, the table has its bytes.
    for (name, kind) in expected.columns.iter().filter(|(name, _)| *name != "_fineo_event_id") {
        match columns.get(name).and_then(Value::as_str) {
            Some(found) if found == kind => {}
            found => return Err(format!("{engine}: column {name} is {found:?}, not {kind}").into()),
        }
    }
    let rows = seen["rows"].as_array().ok_or("no rows")?;
    if rows.len() != expected.rows.len() {
        return Err(format!("{engine}: {} rows, not {}", rows.len(), expected.rows.len()).into());
    }
    for (row, expected_row) in rows.iter().zip(&expected.rows) {
        for (name, value) in expected_row {
            let found = row.get(name).unwrap_or(&Value::Null);
            if !is_same(found, value) {
                return Err(format!("{engine}: {name} is {found}, not {value}, in {row}").into());
            }
        }
    }
    Ok(())
}

fn is_same(found: &Value, expected: &Value) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => found.to_bits() == expected.to_bits() || found == expected,
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => found == expected,
    }
}
