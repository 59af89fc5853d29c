//! What is damaged or gone is named, with what to do about it.

use std::path::{Path, PathBuf};

use crate::program::{Program, answer};

/// The files below `folder` whose names end with `extension`.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_damaged_file_stops_the_compaction_of_its_own_metric_and_is_named() {
    let program = Program::new();
    let events = |number: u8| {
        format!("{{\"metrictype\":\"a\",\"timestamp\":{number}}}{{\"metrictype\":\"b\",\"timestamp\":{number}}}")
    };
    program.ingest(&events(1));
    program.done("compact --keep-nearline 0");
    let damaged =
        files(&program.path("store"), "parquet").into_iter().find(|path| path.to_string_lossy().contains("n1"));
    let damaged = damaged.unwrap();
    let whole = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &whole[..whole.len() / 2]).unwrap();
    program.ingest(&events(2));
    let ran = answer(&program.command_of(["compact", "--output", "json"]).output().unwrap());
    assert_eq!(ran.code, 1, "{ran:?}");
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(ran.stderr.contains(name) && ran.stderr.contains("restore") && ran.stderr.contains("n1"), "{ran:?}");
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["failed"][0]["metric"], &report["failed"][1]), (&"n1".into(), &serde_json::Value::Null));
    assert_eq!(report["tenants"][0]["metrics"][0]["id"], "n2");
    std::fs::write(&damaged, whole).unwrap();
    program.done("compact --keep-nearline 0");
    for metric in ["a", "b"] {
        assert_eq!(program.ask(&format!("SELECT count(*) AS n FROM {metric}")), "n\n2\n");
    }
}
