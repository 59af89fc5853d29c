//! What somebody hears who mistyped something, or has nothing left to do.

use crate::program::Program;

const GOOD: &str = "{\"metrictype\":\"m\",\"timestamp\":1,\"temp\":20}\n";

#[test]
fn a_tenant_of_whom_nothing_is_known_is_said_to_be_none() {
    let program = Program::new();
    program.ingest(GOOD);
    let note = "note: nothing was ever taken in or declared for tenant beijng; there are tenants t";
    for line in [
        "errors --tenant beijng",
        "tables --tenant beijng",
        "schema --tenant beijng history",
        "schema --tenant beijng metric list",
        "schema --tenant beijng discovered",
        "schema --tenant beijng suggest",
        "replay --tenant beijng --stage raw",
    ] {
        for round in 1..=2 {
            let unknown = program.run(line);
            assert!(unknown.code == 0 && unknown.stderr.contains(note), "{line}, {round}: {unknown:?}");
        }
        let known = program.run(&line.replace("beijng", "t"));
        assert!(known.code == 0 && !known.stderr.contains("nothing was ever"), "{line}: {known:?}");
    }
    assert!(!program.run("tables --tenant beijng").stderr.contains("nearline store"));
    assert!(program.run("tables --tenant t").stderr.contains("nearline store"));
}

#[test]
fn a_mistyped_option_is_named_with_the_one_that_was_meant() {
    let program = Program::new();
    for (line, told) in [
        ("sql --tenent beijing SELECT", "there is no option --tenent; --tenant was meant?"),
        ("sql -t beijing SELECT", "there is no option -t; --tenant was meant?"),
        ("sql --tenant t --formt", "there is no option --formt; --format was meant?"),
    ] {
        let answer = program.run(line);
        assert!(answer.code == 2 && answer.stderr.contains(told), "{line}: {answer:?}");
    }
}

#[test]
fn the_way_to_repair_errors_is_told_while_there_are_some_to_repair() {
    let program = Program::new();
    program.ingest("{\"metrictype\":\"m\",\"timestamp\":\"05/01/2026 09:00\",\"temp\":20}\n");
    assert!(program.run("errors --tenant t").stderr.contains("hint: after a change that repairs them"));
    let format = ["schema", "--tenant", "t", "set", "--timestamp-formats", "%d/%m/%Y %H:%M"];
    assert!(program.command_of(format).output().unwrap().status.success());
    program.done("replay --tenant t --stage raw --errors-only");
    let repaired = program.run("errors --tenant t");
    assert!(repaired.stdout.contains("timestamp_unreadable") && !repaired.stderr.contains("hint"), "{repaired:?}");
    assert!(program.run("errors --tenant t --open").stderr.contains("nothing was rejected"));
}

#[test]
fn who_declares_a_field_twice_or_without_its_type_is_told_how_to_go_on() {
    let program = Program::new();
    program.ingest(GOOD);
    program.done("schema --tenant t field add m temp long");
    let again = program.run("schema --tenant t field add m temp double");
    assert!(again.code == 1 && again.stderr.contains("field retype"), "{again:?}");
    program.file("short.yaml", "metrics: {m: {fields: {v: double}}}");
    let short = program.run("schema --tenant t apply short.yaml");
    assert!(short.code == 1 && short.stderr.contains("{type: double}"), "{short:?}");
}
