//! Statements that would never be planned, and their neighbours that are.

use crate::{QueryLimits, sql::text::parse};

fn told(text: &str) -> String {
    let told = || parse(text, &QueryLimits::default()).map_or_else(|error| error.to_string(), |_| "planned".to_owned());
    // As deep a stack as that of planners.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, told);
        thread.unwrap().join().unwrap()
    })
}

#[test]
fn subqueries_are_nested_eight_deep_and_no_deeper() {
    for open in [" + (SELECT 1", " WHERE EXISTS (SELECT 1", " WHERE 1 IN (SELECT 1", " WHERE 1 > ALL (SELECT 1"] {
        let of = |levels: usize| format!("SELECT 1{}{}", open.repeat(levels), ")".repeat(levels));
        assert_eq!(told(&of(8)), "planned", "{open}");
        assert!(told(&of(9)).contains("subqueries_nested_max=8"), "{open}: {}", told(&of(9)));
    }
    let beside = vec!["(SELECT (SELECT 1))"; 100].join(", ");
    assert_eq!(told(&format!("SELECT {beside}")), "planned", "beside each other they are few");
    let tables = format!("SELECT 1{}{}", " FROM (SELECT 1".repeat(30), ")".repeat(30));
    assert_eq!(told(&tables), "planned", "a table is planned once");
}

#[test]
fn tables_count_as_often_as_they_are_read() {
    let chain = |levels: usize| {
        let join = |level: usize| format!("t{level} AS (SELECT a.x FROM T{0} a JOIN t{0} b ON a.x = b.x)", level - 1);
        let tables: Vec<String> = (1..=levels).map(join).collect();
        format!("WITH t0 AS (SELECT x FROM p), {} SELECT * FROM t{levels}", tables.join(", "))
    };
    assert_eq!(told(&chain(9)), "planned");
    for levels in [10, 30, 60] {
        assert!(told(&chain(levels)).contains("tables_max=1000"), "{levels}: {}", told(&chain(levels)));
    }
    let scoped = "WITH t AS (SELECT 1 x), u AS (WITH t AS (SELECT 2 x) SELECT * FROM t) SELECT * FROM t, u";
    assert_eq!(told(scoped), "planned");
}

#[test]
fn two_hundred_and_fifty_six_grouping_sets_are_the_most() {
    for (grouping, is_planned) in [
        ("CUBE (a,b,c,d,e,f,g,h)", true),
        ("CUBE (a,b,c,d,e,f,g,h,i)", false),
        ("CUBE (a,b,c,d,e), CUBE (f,g,h)", true),
        ("CUBE (a,b,c,d,e), ROLLUP (f,g,h,i,j,k,l,m)", false),
        ("ROLLUP (a,b,c,d,e,f,g,h,i)", true),
        ("GROUPING SETS ((a,b), (a), ())", true),
        ("a, b, c, d, e, f, g, h, i", true),
    ] {
        let told = told(&format!("SELECT count(*) FROM p GROUP BY {grouping}"));
        assert_eq!(told == "planned", is_planned, "{grouping}: {told}");
        assert!(is_planned || told.contains("grouping_sets_max=256"), "{grouping}: {told}");
    }
}

#[test]
fn types_are_neither_deep_nor_large() {
    let cast = |to: &str| told(&format!("SELECT CAST(NULL AS {to})"));
    assert_eq!(cast(&format!("INT{}", "[]".repeat(64))), "planned");
    for deep in [
        format!("INT{}", "[]".repeat(65)),
        format!("INT{}", "[]".repeat(2_000)),
        format!("{}INT{}", "ARRAY<".repeat(70), ">".repeat(70)),
        format!("{}INT{}", "STRUCT<a ".repeat(70), ">".repeat(70)),
    ] {
        assert!(cast(&deep).contains("too_complex"), "{deep}: {}", cast(&deep));
    }
    assert_eq!(cast("INT[32][32]"), "planned");
    for large in ["INT[2147483647]", "INT[33][32]", "INT[1025]", "INT[][1025]"] {
        assert!(cast(large).contains("fixed_size_max=1024"), "{large}: {}", cast(large));
    }
}

#[test]
fn subscripts_behind_each_other_count() {
    let of = |count: usize| format!("SELECT a{} FROM p", "[1]".repeat(count));
    assert_eq!(told(&of(100)), "planned");
    assert!(told(&of(2_000)).contains("too many operators"), "{}", told(&of(2_000)));
}
