//! Taking in files, and what is said about them.

use std::io::Write;

use crate::{
    program::{Program, counts},
    serve::{SERVE, Served},
};

const TWO: &str = "{\"metrictype\":\"m\",\"timestamp\":1,\"a\":1}\n{\"metrictype\":\"m\",\"timestamp\":2,\"a\":2}\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_was_accepted_can_be_asked_when_the_import_returns() {
    // D2, F1
    let program = Program::new();
    assert_eq!(counts(&program.ingest(TWO)), [2, 0, 0]);
    let rows = "timestamp,a\n1970-01-01T00:00:00.001Z,1\n1970-01-01T00:00:00.002Z,2\n";
    assert_eq!(program.ask("SELECT timestamp, a FROM m ORDER BY a"), rows);
}

#[test]
fn the_same_file_again_adds_nothing() {
    // I3, I4
    let program = Program::new();
    program.ingest(TWO);
    let again = program.ingest(TWO);
    assert_eq!(again["rejected"], 0, "{again}");
    assert_eq!(program.ask("SELECT count(*) AS n FROM m"), "n\n2\n");
}

#[test]
fn files_may_be_plain_or_compressed_and_several() {
    let program = Program::new();
    let event = |number: u32| format!("{{\"metrictype\":\"m\",\"timestamp\":{number},\"a\":{number}}}\n");
    program.file("a.json", event(1));
    program.file("b.json.gz", gzip(&event(2)));
    program.file("c.zst", zstd::encode_all(event(3).as_bytes(), 1).unwrap());
    program.file("no-hint", gzip(&event(4)));
    let text = program.done("ingest --tenant t --output json a.json b.json.gz c.zst no-hint");
    assert_eq!(counts(&serde_json::from_str(&text).unwrap()), [4, 0, 0]);
    assert_eq!(text.lines().count(), 1);
    assert_eq!(program.ask("SELECT count(*) AS n FROM m"), "n\n4\n");
}

#[test]
fn csv_is_read_by_its_header_and_told_by_its_name() {
    let program = Program::new();
    program.file("air.csv", "timestamp,CO(GT),note\n1,2.6,\"a, b\"\n2,,x\n");
    let summary = program.done("ingest --tenant t --metric air --output json air.csv");
    assert_eq!(counts(&serde_json::from_str(&summary).unwrap()), [2, 0, 0]);
    let rows = program.ask("SELECT \"CO(GT)\", note FROM air ORDER BY timestamp");
    assert_eq!(rows.lines().nth(1), Some("2.6,\"a, b\""));
}

#[test]
fn rejected_events_are_counted_and_do_not_fail_the_import() {
    // D4
    let program = Program::new();
    let events = "{\"metrictype\":\"m\",\"timestamp\":1,\"a\":1}\n{\"metrictype\":\"m\",\"a\":2}\nnot json\n";
    program.file("mixed.json", events);
    let answer = program.run("ingest --tenant t mixed.json");
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("fineo errors --tenant t"), "{answer:?}");
    assert!(answer.stdout.contains("timestamp_missing"), "{answer:?}");
    assert_eq!(counts(&Program::new().ingest(events))[..2], [1, 2]);
}

#[test]
fn a_mixed_file_is_routed_by_a_key_of_each_event() {
    let program = Program::new();
    let event = |owner: &str| format!("{{\"metrictype\":\"m\",\"timestamp\":1,\"a\":1{owner}}}\n");
    let events =
        [event(",\"owner\":\"one\""), event(",\"owner\":\"two\""), event(""), event(",\"owner\":\"_x/y\"")].concat();
    let answer = program.run_with_input("ingest --tenant-field owner --output json", &events);
    assert_eq!(answer.code, 0, "{answer:?}");
    let summary: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(counts(&summary)[..2], [2, 2], "{summary}");
    assert_eq!(summary["rejected_by_code"]["tenant_missing"], 1, "{summary}");
    assert_eq!(summary["rejected_by_code"]["tenant_invalid"], 1, "{summary}");
    for tenant in ["one", "two"] {
        let words = ["sql", "--tenant", tenant, "--format", "csv", "SELECT * FROM m"];
        let all = program.command_of(words).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&all.stdout), "timestamp,a\n1970-01-01T00:00:00.001Z,1\n");
    }
}

#[test]
fn a_file_that_is_missing_or_broken_fails_and_is_named() {
    let program = Program::new();
    program.file("good.json", TWO);
    let whole = gzip(&TWO.repeat(1_000));
    program.file("cut.gz", &whole[..whole.len() - 9]);
    for (line, named) in [
        ("ingest --tenant t good.json none.json", "none.json"),
        ("ingest --tenant t cut.gz", "cut.gz"),
        ("ingest --tenant t .", "directory"),
    ] {
        let answer = program.run(line);
        assert_eq!(answer.code, 1, "{line}: {answer:?}");
        assert!(answer.stderr.contains(named), "{line}: {answer:?}");
    }
}

#[test]
fn what_came_before_a_file_broke_off_is_kept_and_counted() {
    let event = |number: usize| format!("{{\"metrictype\":\"m\",\"timestamp\":{number},\"a\":{number}}}\n");
    for (count, is_served) in [(5, false), (100, false), (100, true), (9_000, false)] {
        let program = Program::new();
        let _served = is_served.then(|| Served::of(program.command(SERVE)));
        let whole = gzip(&(0..count).map(event).collect::<String>());
        program.file("cut.gz", &whole[..whole.len() - 20]);
        program.file("trailed.gz", [&gzip(&event(count)), b"trailing bytes".as_slice()].concat());
        let mut kept = 0;
        for (name, least) in [("cut.gz", 0), ("trailed.gz", 1)] {
            let answer = program.run(&format!("ingest --tenant t {name}"));
            assert_eq!(answer.code, 1, "{answer:?}");
            let told = "what came before it broke off is kept: accepted ";
            let (_, told) = answer.stderr.split_once(told).unwrap_or_else(|| panic!("{answer:?}"));
            let accepted: usize = told.split(',').next().unwrap().parse().unwrap();
            assert!(accepted >= least, "{answer:?}");
            kept += accepted;
        }
        assert_eq!(program.ask("SELECT count(*) AS n FROM m"), format!("n\n{kept}\n"));
        assert!(kept > count * 9 / 10 - 4, "{kept} of {count}");
    }
}

#[test]
fn a_file_without_events_is_done_and_said_to_be_one() {
    let program = Program::new();
    program.file("empty.json", "");
    program.file("blank.json", "\n\n");
    program.file("header.csv", "metrictype,timestamp\n");
    for (name, told) in [
        ("empty.json", "nothing in it"),
        ("blank.json", "no event in it"),
        ("header.csv", "one row in it, which names the columns"),
    ] {
        let answer = program.run(&format!("ingest --tenant t {name}"));
        assert_eq!(answer.code, 0, "{answer:?}");
        assert!(answer.stderr.contains(told) && answer.stderr.contains(name), "{answer:?}");
    }
    program.file("no-header.csv", "pump,1700000000000,4\npump,1700000000001,5\n");
    let answer = program.run("ingest --tenant t no-header.csv");
    for told in ["the first row of a CSV file names its columns", "--metric M", "fineo errors --tenant t"] {
        assert!(answer.stderr.contains(told), "{answer:?}");
    }
}

#[test]
fn what_is_refused_and_not_kept_is_said_and_not_looked_for_among_the_errors() {
    let program = Program::new();
    program.file("deep.json", "[".repeat(1_000));
    program.file("open.csv", "metrictype,timestamp,\"v\nm,1,2\nm,2,3\n");
    for (name, told) in [("deep.json", "too_deep"), ("open.csv", "is a quote left open?")] {
        let answer = program.run(&format!("ingest --tenant t {name} --output json"));
        assert_eq!(answer.code, 0, "{answer:?}");
        assert_eq!(counts(&serde_json::from_str(&answer.stdout).unwrap()), [0, 1, 0], "{name}");
        assert!(answer.stderr.contains(told) && !answer.stderr.contains("fineo errors"), "{answer:?}");
    }
}

#[cfg(not(feature = "aws"))]
#[test]
fn an_object_of_s3_is_refused_where_aws_is_not_compiled_in() {
    let program = Program::new();
    let answer = program.run("ingest --tenant t s3://bucket/events.json");
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("no AWS backend") && answer.stderr.contains("--features aws"), "{answer:?}");
    assert!(!program.path("store").exists());
}

#[test]
fn misuse_has_its_own_exit_code_and_touches_nothing() {
    let program = Program::new();
    for line in ["ingest", "ingest --tenant _x -", "sql --tenant t --format xml x", "nonsense", "schema metric list"] {
        assert_eq!(program.run(line).code, 2, "{line}");
    }
    assert!(!program.path("store").exists());
}

#[test]
fn a_quote_that_is_left_open_is_an_error_with_its_text_and_no_value() {
    let program = Program::new();
    for (name, rows, expected) in [
        ("closed.csv", "17,\"a\nb\"\n18,\"\"\"c\"", [2, 0, 0]),
        ("open.csv", "18,\"abc\n19,x\n", [0, 1, 0]),
        ("pair.csv", "20,\"abc\"\"", [0, 1, 0]),
    ] {
        program.file(name, format!("timestamp,a\n{rows}"));
        let summary = program.done(&format!("ingest --tenant t --metric c --output json {name}"));
        assert_eq!(counts(&serde_json::from_str(&summary).unwrap()), expected, "{name}");
    }
    assert_eq!(program.ask("SELECT a FROM c ORDER BY timestamp"), "a\n\"a\nb\"\n\"\"\"c\"\n");
    let errors = program.ask("SELECT DISTINCT code, raw LIKE '%18,\"abc_19,x%' AS found FROM errors.stream ORDER BY 2");
    assert_eq!(errors, "code,found\ncsv_unreadable,false\ncsv_unreadable,true\n");
}
