//! The directory, the reports, the demo, the help.

use std::process::Stdio;

use crate::program::{Program, answer};

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_directory() {
    let program = Program::new();
    program.ingest("{\"metrictype\":\"m\",\"timestamp\":1,\"a\":1}");
    // Whoever comes first holds it: the import is begun again until it was that.
    for _ in 0..20 {
        let mut holder = program.command("ingest --tenant t -").stdin(Stdio::piped()).spawn().unwrap();
        for _ in 0..10 {
            program.done("--version");
        }
        let refused = program.run("status");
        drop(holder.stdin.take());
        let held = answer(&holder.wait_with_output().unwrap());
        if held.code != 0 {
            continue;
        }
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("fineo ingest"), "{refused:?}");
        assert!(refused.stderr.contains("end that one") && !refused.stderr.contains("in a moment"), "{refused:?}");
        assert_eq!(program.run("status").code, 0);
        return;
    }
    panic!("the import never held the directory");
}

#[test]
fn a_file_in_the_place_of_the_directory_is_refused_and_left_alone() {
    let program = Program::new();
    program.file("store", "mine");
    let answer = program.run("status");
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("not a directory") && !answer.stderr.contains("try again"), "{answer:?}");
    assert_eq!(std::fs::read(program.path("store")).unwrap(), b"mine");
}

#[test]
fn what_only_works_with_a_store_makes_none() {
    let program = Program::new();
    let files = || std::fs::read_dir(program.path("")).unwrap().count();
    let lines = [
        "status",
        "capabilities",
        "sql --tenant t SELECT+1",
        "errors --tenant t",
        "tables --tenant t",
        "schema --tenant t history",
        "schema --tenant t export",
        "schema --tenant t metric list",
        "schema --tenant t discovered",
        "token list",
        "compact",
        "replay --tenant t --stage raw",
        "backup --to copy",
    ];
    for is_foreign in [false, true] {
        if is_foreign {
            std::fs::create_dir(program.path("store")).unwrap();
            program.file("store/mine.txt", "mine");
        }
        let before = files();
        for line in lines {
            let refused = program.run(line);
            assert_eq!(refused.code, 1, "{line}: {refused:?}");
            let said = "there is no store of fineo in this directory: path=";
            assert!(refused.stderr.contains(said) && refused.stderr.contains("fineo ingest"), "{line}: {refused:?}");
            assert_eq!(files(), before, "{line}");
        }
    }
    assert_eq!(std::fs::read_dir(program.path("store")).unwrap().count(), 1);
    program.done("token create --tenant t");
    program.done("status");
}

#[test]
fn a_repository_that_is_none_is_told_with_its_file_and_what_to_do() {
    let program = Program::new();
    program.ingest("{\"metrictype\":\"m\",\"timestamp\":1,\"a\":1}");
    let kept = std::fs::read(program.path("store/repo.redb")).unwrap();
    for junk in [&b"junk"[..], &[b'x'; 10_000], &kept[..kept.len() / 2]] {
        program.file("store/repo.redb", junk);
        let refused = program.run("status");
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("repo.redb") && refused.stderr.contains("restore them"), "{refused:?}");
        assert!(!refused.stderr.contains("in a moment"), "{refused:?}");
    }
}

#[test]
fn a_tenant_that_nothing_is_known_of_is_told_from_one_with_nothing_to_compact() {
    let program = Program::new();
    program.ingest("{\"metrictype\":\"m\",\"timestamp\":1,\"a\":1}");
    program.done("compact");
    let known = program.run("compact --tenant t");
    assert!(known.code == 0 && !known.stderr.contains("note:"), "{known:?}");
    // Nor does the run make one of him.
    for _ in 0..2 {
        let unknown = program.run("compact --tenant nope");
        assert_eq!(unknown.code, 0, "{unknown:?}");
        assert!(unknown.stderr.contains("for tenant nope; there are tenants t"), "{unknown:?}");
    }
    assert!(!program.done("status").contains("nope"));
}

#[test]
fn what_a_file_would_declare_is_said_before_there_is_a_store() {
    let program = Program::new();
    program.file("m.yaml", "metrics: {m: {fields: {temp: {type: double}}}}");
    let dry = program.run("schema --tenant t apply m.yaml --dry-run");
    assert!(dry.code == 0 && dry.stderr.contains("there is no store in this directory yet"), "{dry:?}");
    assert!(!program.path("store").exists());
    assert_eq!(dry.stdout, program.done("schema --tenant t apply m.yaml").as_str());
}

#[test]
fn status_and_capabilities_report_for_people_and_for_programs() {
    let program = Program::new();
    program.ingest("{\"metrictype\":\"m\",\"timestamp\":1,\"a\":1}");
    for verb in ["status", "capabilities"] {
        assert!(!program.done(verb).is_empty());
        let json = program.done(&format!("{verb} --output json"));
        assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap().is_object(), "{json}");
        assert_eq!(json.lines().count(), 1);
    }
}

#[test]
fn the_demo_tells_its_story_and_its_answers_are_right() {
    let program = Program::new();
    let told = program.done("demo");
    assert!(told.contains("2026-01-19T00:00:00Z |   4032"), "{told}");
    assert!(told.contains("warm"), "{told}");
    assert!(told.contains("What to type next") && told.contains("rm -r"), "{told}");
    // Now there is something in the directory that may be somebody's.
    let told = program.done("demo");
    assert!(told.contains("What to type next") && !told.contains("rm -r"), "{told}");
}

#[test]
fn help_and_version_are_printed() {
    let program = Program::new();
    for line in ["--help", "--version", "ingest --help", "sql --help", "schema --help", "replay --help"] {
        assert!(!program.done(line).is_empty(), "{line}");
    }
}
