//! Errors and the way back from them.

use crate::program::{Program, counts};

const EVENTS: &str = "{\"metrictype\":\"m\",\"timestamp\":1,\"a\":1}\n\
    {\"metrictype\":\"m\",\"timestamp\":\"19/01/2026 12:00\",\"a\":2}\n";

#[test]
fn an_error_is_shown_repaired_by_a_change_and_replayed_once() {
    // R3
    let program = Program::new();
    assert_eq!(counts(&program.ingest(EVENTS)), [1, 1, 0]);
    let shown = program.done("errors --tenant t");
    assert!(shown.contains("timestamp_unreadable") && shown.contains("19/01/2026"), "{shown}");
    assert_eq!(program.done("errors --tenant t --format csv --code none").lines().count(), 1);
    let set = ["schema", "--tenant", "t", "set", "--timestamp-formats", "%d/%m/%Y %H:%M"];
    assert!(program.command_of(set).status().unwrap().success());
    for _ in 0..2 {
        program.done("replay --tenant t --stage raw --errors-only");
        assert_eq!(program.ask("SELECT a FROM m ORDER BY timestamp"), "a\n1\n2\n");
    }
    let repaired = program.ask("SELECT count(*) AS n, count(repaired_at) AS repaired FROM errors.stream");
    assert_eq!(repaired, "n,repaired\n1,1\n");
    assert_eq!(program.done("errors --tenant t --open --format csv").lines().count(), 1);
}

#[test]
fn a_replay_of_any_stage_adds_no_row() {
    // I2, I3
    let program = Program::new();
    program.ingest(EVENTS);
    for line in [
        "--stage raw",
        "--stage staged",
        "--stage raw --mode as-recorded",
        "--stage staged --metric m --from 1970-01-01 --to 2100-01-01",
    ] {
        program.done(&format!("replay --tenant t {line}"));
        assert_eq!(program.ask("SELECT count(*) AS n FROM m"), "n\n1\n", "{line}");
    }
}
