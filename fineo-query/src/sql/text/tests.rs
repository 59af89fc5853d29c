//! What stays in the brackets that it is put into, and what is not read to its end.

use super::{check_predicate, parse};
use crate::QueryLimits;

#[test]
fn a_condition_stays_in_the_brackets_that_it_is_put_into() {
    let check = |text: &str| check_predicate(text, &QueryLimits::default()).map_err(|error| error.to_string());
    for kept in ["code = 'a'", "(a) OR (b IN (1, 2))", "raw LIKE '%) OR (%'", "a -- ) of a comment", "a /* ) */"] {
        assert_eq!(check(kept), Ok(()), "{kept}");
    }
    for (broken, told) in [
        ("1 = 1) OR (1 = 1", "position=line 1, column 6"),
        ("a = 1\n) OR (b", "position=line 2, column 1"),
        ("(a", "does not close"),
        ("a; DROP TABLE b", "multiple_statements"),
        ("a;", "found=;"),
        ("", "sql_syntax"),
    ] {
        let error = check(broken).unwrap_err();
        assert!(error.contains(told), "{broken}: {error}");
    }
}

#[test]
fn a_statement_that_could_be_read_in_very_many_ways_is_not_tried_for_ever() {
    let opens = [
        "(",
        "((SELECT ",
        "f(",
        "CAST(",
        "position(",
        "substring(",
        "overlay(",
        "trim(both ",
        "ARRAY[",
        "INTERVAL ",
        "[",
        "{",
        "map {",
        "f(a => ",
        "extract(day FROM ",
        "x IN (",
        "EXISTS (SELECT ",
        "f(DISTINCT ",
        "STRUCT(",
        "VALUES (",
        "CASE WHEN ",
        "f() OVER (PARTITION BY ",
        "f() FILTER (WHERE ",
        "(x) -> (",
        "x[",
        "x::int[",
        "- ",
        "NOT ",
        "DATE ",
        "x AT TIME ZONE ",
        "x BETWEEN ",
        "x LIKE ANY (",
        "(SELECT 1 FROM (",
        "((SELECT * FROM ",
        "((SELECT * FROM a, ",
        "((SELECT * FROM a JOIN ",
        "x COLLATE ",
        "ceil(",
        "(x, ",
    ];
    let places = ["SELECT ", "SELECT 1 FROM ", "SELECT 1 FROM t JOIN ", "SELECT 1 FROM t, ", "WITH c AS ("];
    for (open, place) in opens.iter().flat_map(|open| places.map(|place| (open, place))) {
        for end in ["", "1 AS n"] {
            let sql = format!("{place}{}{end}", open.repeat(60));
            let told = told(&sql);
            let is_known = |told: &String| told.contains("too_complex") || told.contains("sql_syntax");
            assert!(told.as_ref().is_none_or(is_known), "{told:?}");
        }
    }
}

#[test]
fn queries_stand_in_some_brackets_but_not_in_many() {
    for (open, close, is_read) in [
        ("((SELECT * FROM ", ") x) y", [true, true, true, false]),
        ("((SELECT 1 FROM a, ", ") x) y", [true, true, true, false]),
        ("((FROM ", ") x) y", [true, true, true, false]),
        ("(((SELECT * FROM ", ") x) y) z", [true, false, false, false]),
        ("(SELECT * FROM ", ") x", [true; 4]),
        ("((", "))", [true; 4]),
        ("(m a JOIN ", " ON true)", [true; 4]),
    ] {
        for (pairs, is_read) in [4, 8, 10, 11].into_iter().zip(is_read) {
            let sql = format!("SELECT 1 FROM {}m{}", open.repeat(pairs), close.repeat(pairs));
            let told = told(&sql).unwrap_or_default();
            assert_eq!(!told.contains("in too many brackets"), is_read, "{told}");
        }
    }
    // Values may stand in as many as they like.
    let deep = format!("{}1{}", "(".repeat(30), ")".repeat(30));
    for of in [
        "a IN @",
        "a IS DISTINCT FROM @",
        "a IS NOT DISTINCT FROM @",
        "EXTRACT(YEAR FROM @) = 1",
        "trim(BOTH ' ' FROM @) = ''",
    ] {
        let sql = format!("SELECT a IS DISTINCT FROM b, {deep} FROM m WHERE {}", of.replace('@', &deep));
        assert_eq!(told(&sql), None);
    }
}

/// What is wrong with `sql`, on a stack as deep as that of a planner.
fn told(sql: &str) -> Option<String> {
    let sql = sql.to_owned();
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    let parse = move || parse(&sql, &QueryLimits::default()).err().map(|error| format!("{sql}: {error}"));
    thread.spawn(parse).unwrap().join().unwrap()
}

#[test]
fn what_is_nested_within_reason_is_read() {
    for (open, close) in [
        ("abs(", ")"),
        ("(", ")"),
        ("CAST(", " AS double)"),
        ("coalesce(1, ", ")"),
        ("position('a' in ", ")"),
        ("substring(", " from 1)"),
        ("CASE WHEN true THEN ", " END"),
        ("ARRAY[", "]"),
        ("(SELECT ", ")"),
        ("(SELECT * FROM ((SELECT 1)) x WHERE x = ", ")"),
    ] {
        let sql = format!("SELECT {}a{} FROM t", open.repeat(7), close.repeat(7));
        assert!(parse(&sql, &QueryLimits::default()).is_ok(), "{sql}");
    }
}
