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
fn only_the_errors_that_a_condition_chooses_are_replayed_and_stay_marked_when_rows_are_in_files() {
    let program = Program::new();
    program.ingest(&format!("{EVENTS}{}", EVENTS.replace("\"a\"", "\"b\"").replace("19/01", "20/01")));
    let set = ["schema", "--tenant", "t", "set", "--timestamp-formats", "%d/%m/%Y %H:%M"];
    assert!(program.command_of(set).status().unwrap().success());
    let replay = |predicate: &str| {
        let words =
            ["replay", "--tenant", "t", "--stage", "raw", "--errors-only", "--output", "json", "--where", predicate];
        program.command_of(words).output().unwrap()
    };
    let open = "SELECT count(*) AS n FROM errors.stream WHERE repaired_at IS NULL";
    assert!(replay("raw LIKE '%nothing%'").status.success());
    assert_eq!(program.ask(open), "n\n2\n");
    for _ in 0..2 {
        assert!(replay("raw LIKE '%20/01%' -- only that one").status.success());
        assert_eq!(program.ask(open), "n\n1\n");
        assert_eq!(program.ask("SELECT count(b) AS n FROM m"), "n\n2\n");
    }
    for (predicate, place) in [
        ("no_such_column = 1", "column=no_such_column, position=line 1, column 1"),
        ("code = 'x'\n  AND no_such_column = 1", "column=no_such_column, position=line 2, column 7"),
        ("code =", "found: the end of the condition, position=line 1, column 7"),
    ] {
        let refused = replay(predicate);
        assert!(!refused.status.success());
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(told.contains(place), "{told}");
    }
    program.done("compact --keep-nearline 0");
    assert!(replay("code = 'timestamp_unreadable'").status.success());
    program.done("compact --keep-nearline 0");
    assert_eq!(program.ask(open), "n\n0\n");
    assert_eq!(program.ask("SELECT count(*) AS n FROM m"), "n\n4\n");
}

#[test]
fn a_time_key_that_did_not_give_the_time_is_readable_nearline_and_in_files() {
    let program = Program::new();
    program.done("schema --tenant t set --timestamp-aliases at");
    program.ingest("{\"metrictype\":\"m\",\"at\":1,\"timestamp\":\"soon\"}{\"metrictype\":\"m\",\"timestamp\":2}");
    let asked = "SELECT timestamp, _fineo_sent_timestamp AS sent FROM m ORDER BY timestamp";
    let answer = "timestamp,sent\n1970-01-01T00:00:00.001Z,soon\n1970-01-01T00:00:00.002Z,\n";
    assert_eq!(program.ask(asked), answer);
    program.done("compact --keep-nearline 0");
    assert_eq!(program.ask(asked), answer, "compacted");
    assert_eq!(program.ask("SELECT count(*) AS n FROM m WHERE _fineo_sent_timestamp = 'soon'"), "n\n1\n");
}

// D8
#[test]
fn the_archive_keeps_everything_that_is_young() {
    let program = Program::new();
    program.ingest(EVENTS);
    program.done("compact --keep-nearline 0 --archive-retain 1");
    for (words, said) in [("--archive-retain 0", "DAYS"), ("--archive-retain 1 --tenant t", "--tenant")] {
        let output = program.command_of(format!("compact {words}").split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
    }
    let replay = ["replay", "--tenant", "t", "--stage", "staged", "--output", "json"];
    let output = program.command_of(replay).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["events"], &report["expired_until"]), (&1.into(), &serde_json::Value::Null), "{report}");
}

#[test]
fn a_directory_is_not_replayed_into_itself() {
    let program = Program::new();
    program.ingest(EVENTS);
    let refused = program.run("replay --tenant t --into ./store/../store");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("name another one"), "{refused:?}");
}

// I1, I2, R1
#[test]
fn what_was_received_is_sent_to_another_directory_and_is_the_same_there() {
    let program = Program::new();
    program.ingest(EVENTS);
    let question = "SELECT _fineo_event_id, _fineo_ingested_at, timestamp, a FROM m ORDER BY 1";
    let wanted = program.ask(question);
    let errors = program.ask("SELECT raw, code FROM errors.stream");
    let copy = program.path("copy");
    for speed in ["fastest", "recorded"] {
        let words = ["replay", "--tenant", "t", "--speed", speed, "--output", "json", "--into"];
        let words = words.iter().map(|word| (*word).into()).chain([copy.clone().into_os_string()]);
        let output = program.command_of(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let sent: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(sent["events"], 2);
        let ask = |sql: &str| {
            let mut command = program.command_of(["sql", "--tenant", "t", "--format", "csv", sql]);
            String::from_utf8(command.env("FINEO_DATA_DIR", &copy).output().unwrap().stdout).unwrap()
        };
        assert_eq!(ask(question), wanted, "{speed}");
        assert_eq!(ask("SELECT raw, code FROM errors.stream"), errors, "{speed}");
    }
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
        // Nothing in a directory is cold.
        "--stage staged --restore 7",
    ] {
        program.done(&format!("replay --tenant t {line}"));
        assert_eq!(program.ask("SELECT count(*) AS n FROM m"), "n\n1\n", "{line}");
    }
}

#[test]
fn no_replay_brings_a_deleted_metric_back() {
    // R3
    let program = Program::new();
    program.ingest("{\"metrictype\":\"m\",\"timestamp\":1,\"secret\":\"s3\"}");
    program.done("schema --tenant t metric delete m");
    for words in ["", " --mode as-recorded"] {
        let told = program.done(&format!("replay --tenant t --stage raw{words}"));
        assert!(told.contains("passed 0") && told.contains("new rows 0"), "{told}");
        assert!(told.contains("passed over 1 of metrics that were deleted since"), "{told}");
    }
    program.done("replay --tenant t --stage staged");
    program.done("compact --keep-nearline 0");
    assert_ne!(program.try_ask("SELECT * FROM m").code, 0);
    assert!(!program.done("tables --tenant t").contains("n1"));
    program.ingest("{\"metrictype\":\"m\",\"timestamp\":2,\"secret\":\"new\"}");
    program.done("replay --tenant t --stage raw");
    assert_eq!(program.ask("SELECT secret FROM m"), "secret\nnew\n");
}
