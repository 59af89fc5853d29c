//! Asking: forms of output, scripts, and readers that leave early.

use std::io::Read;

use crate::program::Program;

fn program() -> Program {
    let program = Program::new();
    program.ingest(
        "{\"metrictype\":\"m\",\"timestamp\":1,\"a\":1.5,\"text\":\"\"}\n\
         {\"metrictype\":\"m\",\"timestamp\":2,\"a\":2,\"text\":\"say \\\"hi\\\", \\u001b[31mred\"}\n\
         {\"metrictype\":\"m\",\"timestamp\":3,\"a\":3}\n",
    );
    program
}

#[test]
fn csv_keeps_null_apart_from_the_empty_string() {
    let csv = program().ask("SELECT text, CAST(a AS DOUBLE) AS a FROM m ORDER BY timestamp");
    assert_eq!(csv, "text,a\n\"\",1.5\n\"say \"\"hi\"\", \u{1b}[31mred\",2.0\n,3.0\n");
}

#[test]
fn a_table_never_lets_data_act_on_the_terminal() {
    // E44
    let program = program();
    let answer = program.command_of(["sql", "--tenant", "t", "SELECT text FROM m"]).output().unwrap();
    assert!(!answer.stdout.contains(&0x1b));
    assert!(String::from_utf8_lossy(&answer.stdout).contains("\\u{1b}[31mred"));
}

#[test]
fn results_alone_go_to_stdout() {
    let program = program();
    let good = program.try_ask("SELECT 1 AS one");
    assert_eq!((good.stdout.as_str(), good.stderr.as_str()), ("one\n1\n", ""));
    let bad = program.try_ask("SELECT nothing_like_it FROM m");
    assert_eq!((bad.code, bad.stdout.as_str()), (1, ""));
    assert!(bad.stderr.starts_with("fineo: "), "{bad:?}");
    assert_eq!(program.try_ask("SELECT * FROM other_tenants_table").code, 1);
}

#[test]
fn each_form_is_whole() {
    let program = program();
    let ask = |format: &str| {
        let sql = "SELECT a, text FROM m ORDER BY timestamp";
        program.command_of(["sql", "--tenant", "t", "--format", format, sql]).output().unwrap().stdout
    };
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&ask("json")).unwrap();
    assert_eq!(rows[0], serde_json::json!({"a": "1.5", "text": ""}));
    let lines = String::from_utf8(ask("ndjson")).unwrap();
    assert_eq!(lines.lines().last(), Some("{\"a\":\"3\",\"text\":null}"));
    let parquet = ask("parquet");
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
}

#[test]
fn statements_come_from_the_line_a_file_or_stdin() {
    let program = program();
    program.file("two.sql", "SELECT 1 AS x; -- the first\nSELECT ';' AS y;\n");
    assert_eq!(program.done("sql --tenant t --format csv -f two.sql"), "x\n1\ny\n;\n");
    let piped = program.run_with_input("sql --tenant t --format ndjson", "SELECT 2 AS z");
    assert_eq!((piped.code, piped.stdout.as_str()), (0, "{\"z\":2}\n"), "{piped:?}");
    assert_eq!(program.run_with_input("sql --tenant t", "  -- nothing\n").code, 2);
    let words = ["sql", "--tenant", "t", "--format", "csv", "-- first\nSELECT 3 AS x"];
    let comment = program.command_of(words).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&comment.stdout), "x\n3\n");
}

#[test]
fn a_reader_that_has_enough_ends_the_program_quietly() {
    let program = program();
    let sql = "SELECT a.value FROM generate_series(1, 3000000) AS a";
    let mut child = program.command_of(["sql", "--tenant", "t", "--format", "csv", sql]).spawn().unwrap();
    let mut some = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_tenant_without_compacted_rows_has_no_tables() {
    let program = program();
    let tables = |output: &str| program.command_of(["tables", "--tenant", "t", "--output", output]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&tables("json").stdout), "[]\n");
    let text = tables("text");
    assert!(text.stdout.is_empty() && text.status.success(), "{text:?}");
    assert!(String::from_utf8_lossy(&text.stderr).contains("no columnar table yet"));
}

#[test]
fn who_asks_for_a_table_that_is_not_there_hears_which_ones_are() {
    let program = program();
    let hint = |tenant: &str| {
        let output = program.command_of(["sql", "--tenant", tenant, "SELECT * FROM nothing"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(hint("t").contains("the tables of tenant t are m"), "{}", hint("t"));
    let stranger = hint("tt");
    assert!(
        stranger.contains("fineo ingest --tenant tt FILE") && stranger.contains("there are tenants t"),
        "{stranger}"
    );
    let errors = program.run("errors --tenant t");
    assert!(errors.stderr.contains("nothing was rejected") && !errors.stderr.contains("replay"), "{errors:?}");

    program.done("schema --tenant t metric create valve");
    program.done("schema --tenant t metric rule-out m");
    assert!(hint("t").contains("the tables of tenant t are valve"), "{}", hint("t"));
    let ruled_out = program.try_ask("SELECT * FROM m");
    assert!(ruled_out.stderr.contains("m is ruled out, its rows are in errors.stream"), "{ruled_out:?}");
}
