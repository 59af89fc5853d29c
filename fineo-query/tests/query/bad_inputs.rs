//! Adversarial SQL: each row of the list ends as it says.

use std::{sync::Arc, time::Duration};

use fineo_query::QueryLimits;

use crate::desk::Desk;

pub(crate) async fn small() -> Desk {
    let mut desk = Desk::new();
    desk.rows("acme", "t", &[&[("c", "1"), ("v", "100")], &[("c", "x"), ("v", "7")]]).await;
    desk
}

#[tokio::test]
async fn too_many_terms_are_refused_before_parsing() {
    // Q01, Q02, Q04, B2
    let desk = small().await;
    for terms in [2_000, 100_000] {
        let sum = vec!["1"; terms].join("+");
        desk.refuses(&format!("SELECT {sum}"), "too_complex").await;
    }
    let tests: Vec<String> = (0..20_000).map(|number| format!("c={number}")).collect();
    desk.refuses(&format!("SELECT * FROM t WHERE {}", tests.join(" OR ")), "too_complex").await;
    let nested = format!("SELECT {}1{}", "abs(".repeat(5_000), ")".repeat(5_000));
    desk.refuses(&nested, "too_complex").await;
    desk.refuses(&format!("SELECT {} true", "NOT ".repeat(5_000)), "too_complex").await;
    desk.refuses(&format!("SELECT {}1", "- ".repeat(5_000)), "too_complex").await;
    desk.refuses(&vec!["SELECT 1"; 2_000].join(" UNION ALL "), "too_complex").await;
    desk.refuses(&format!("SELECT '{}'", "x".repeat(1 << 20)), "too_complex").await;
}

#[tokio::test]
async fn what_the_limits_allow_is_answered() {
    let desk = small().await;
    let sum = vec!["length(c)"; 490].join("+");
    desk.check(&format!("SELECT {sum} AS n FROM t WHERE c = 'x'"), &["n", "490"]).await;
    let nested = format!("SELECT {}length(c){} AS n FROM t WHERE c = 'x'", "abs(".repeat(60), ")".repeat(60));
    desk.check(&nested, &["n", "1"]).await;
    let list: Vec<String> = (0..2_000).map(|number| format!("'{number}'")).collect();
    desk.check(&format!("SELECT c FROM t WHERE c IN ({})", list.join(",")), &["c", "1"]).await;
    let cases: Vec<String> = (0..100).map(|number| format!("WHEN length(c) = {number} THEN {number}")).collect();
    let case = format!("SELECT CASE {} END AS n, c FROM t", cases.join(" "));
    let tests: Vec<String> = (1..60).map(|number| format!("m = {number}")).collect();
    let sql = format!("SELECT c FROM (SELECT n + 0 AS m, c FROM ({case}) AS a) AS b WHERE {}", tests.join(" OR "));
    desk.check(&format!("{sql} ORDER BY c"), &["c", "1", "x"]).await;
}

#[tokio::test]
async fn filters_that_double_from_step_to_step_are_refused_before_they_do() {
    // B2
    let desk = small().await;
    let sum = (0..18).fold("SELECT length(c) AS x FROM t".to_owned(), |inner, step| {
        format!("SELECT x + x AS x FROM ({inner}) AS t{step}")
    });
    desk.refuses(&format!("SELECT count(*) FROM ({sum}) AS t WHERE x > 3"), "too_complex").await;
    let two = (0..18).fold("SELECT length(c) AS x, 1 AS y FROM t".to_owned(), |inner, step| {
        format!("SELECT x + y AS x, x - y AS y FROM ({inner}) AS t{step}")
    });
    desk.refuses(&format!("SELECT count(*) FROM ({two}) AS t WHERE x > 3"), "too_complex").await;
}

#[tokio::test]
async fn a_huge_cross_join_reaches_a_limit() {
    // Q06
    let desk = Desk::with_limits(QueryLimits::default().with_result_rows_max(1_000_000));
    let cross = "SELECT * FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    desk.refuses(cross, "result_limit").await;
    let desk = Desk::with_limits(QueryLimits::default().with_memory_bytes_max(4 << 20));
    desk.refuses("SELECT array_agg(value ORDER BY value) FROM generate_series(1, 10000000)", "memory_limit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_work_ends_when_its_time_is_up() {
    // Q07, B3
    let desk = Arc::new(Desk::with_limits(QueryLimits::default().with_time_max(Duration::from_secs(1))));
    for sql in [
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
        "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b WHERE a.value + b.value < 0",
    ] {
        let asked = Arc::clone(&desk);
        let query = tokio::spawn(async move { asked.refuses(sql, "time_limit").await });
        while !query.is_finished() {
            desk.clock.advance(Duration::from_millis(10));
            tokio::task::yield_now().await;
        }
        query.await.unwrap();
    }
}

#[tokio::test]
async fn what_writes_loads_or_sets_is_not_allowed() {
    // Q09
    let desk = small().await;
    for sql in [
        "COPY t TO '/etc/x'",
        "COPY t FROM '/etc/passwd'",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 's3://other/x'",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION 'http://169.254.169.254'",
        "SELECT * FROM '/etc/passwd'",
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET c = 1",
        "DELETE FROM t",
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        "CREATE FUNCTION f() RETURNS INT LANGUAGE SQL RETURN 1",
        "DROP TABLE t",
        "ALTER TABLE t RENAME TO x",
        "TRUNCATE TABLE t",
        "ATTACH DATABASE 'x' AS y",
        "SET datafusion.execution.batch_size = 1",
        "SHOW ALL",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "BEGIN",
        "COMMIT",
        "EXPLAIN INSERT INTO t VALUES (1)",
        "SELECT 1 INTO x",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        "SELECT * FROM t FOR UPDATE",
    ] {
        desk.refuses(sql, "not_allowed").await;
    }
    desk.refuses("SELECT * FROM \"/etc/passwd\"", "unknown_table").await;
    desk.refuses("SELECT * FROM \"s3://bucket/key.parquet\"", "unknown_table").await;
}

#[tokio::test]
async fn one_statement_at_a_time() {
    // Q14
    let desk = small().await;
    desk.refuses("SELECT 1; DROP TABLE t", "multiple_statements").await;
    desk.refuses("SELECT 1; SELECT 2", "multiple_statements").await;
    desk.check("SELECT 1 AS n;", &["n", "1"]).await;
    desk.check("SELECT /* /* */ */ 1 AS n -- ; DROP", &["n", "1"]).await;
    desk.refuses("", "sql_syntax").await;
    desk.refuses("--\0", "sql_syntax").await;
    desk.refuses("SELECT 'x", "sql_syntax").await;
    let message = desk.refuses("SELECT (c FROM t", "sql_syntax").await;
    assert!(message.contains("position=line 1"), "{message}");
}

#[tokio::test]
async fn arithmetic_ends_in_an_error_or_a_value_never_in_a_panic() {
    // Q16, Q17
    let desk = small().await;
    desk.refuses("SELECT CAST(c AS INT) FROM t", "cannot_cast").await;
    desk.refuses("SELECT 1/0", "division_by_zero").await;
    desk.refuses("SELECT 1/(CAST(v AS INT) - 100) FROM t", "division_by_zero").await;
    desk.check("SELECT 1/(CAST(v AS INT) - 100) AS n FROM t WHERE v = '7'", &["n", "0"]).await;
    desk.check("SELECT 1e308*10 AS n", &["n", "inf"]).await;
    // What leaves 64 bits is no whole number, and no other one either; a decimal may have room for it.
    desk.refuses("SELECT 9223372036854775807 + CAST(v AS BIGINT) FROM t WHERE v = '7'", "overflow").await;
    let sum = "SELECT sum(n) AS n FROM (VALUES (9223372036854775807), (1)) AS x(n)";
    desk.refuses(sum, "overflow").await;
    let sum = sum.replace("sum(n)", "sum(CAST(n AS DECIMAL(38, 0)))");
    desk.check(&sum, &["n", "9223372036854775808"]).await;
    let nines = "9".repeat(38);
    desk.refuses(&format!("SELECT CAST('{nines}' AS DECIMAL(38, 0)) * CAST(v AS BIGINT) FROM t"), "overflow").await;
}

#[tokio::test]
async fn limits_and_offsets_at_the_ends() {
    // Q21
    let desk = small().await;
    desk.check("SELECT c FROM t LIMIT 0", &["c"]).await;
    desk.check("SELECT c FROM t OFFSET 9223372036854775807", &["c"]).await;
    for sql in [
        "SELECT c FROM t LIMIT -1",
        "SELECT c FROM t LIMIT 1e30",
        "SELECT c FROM t OFFSET 9223372036854775808",
        "SELECT c FROM t LIMIT 'x'",
    ] {
        let outcome = desk.try_ask("acme", sql, &[]).await;
        assert!(outcome.is_err(), "{sql}: {outcome:?}");
    }
}

#[tokio::test]
async fn times_at_the_ends_are_errors_not_panics() {
    // Q22
    let desk = small().await;
    for sql in [
        "SELECT c FROM t WHERE timestamp < 'infinity'",
        "SELECT c FROM t WHERE timestamp < now() + INTERVAL '1000000000 years'",
        "SELECT CAST('99999-01-01' AS TIMESTAMP)",
        "SELECT TIMESTAMP '9999-12-31 23:59:59' + INTERVAL '300000 years'",
        "SELECT c FROM t WHERE timestamp > 'yesterday'",
    ] {
        let error = desk.try_ask("acme", sql, &[]).await.unwrap_err();
        assert!(!error.to_string().contains("query_defect"), "{sql}: {error:?}");
    }
    desk.refuses("SELECT c FROM t WHERE timestamp > 1767225600000", "cannot_compare").await;
    desk.refuses("SELECT c FROM t WHERE timestamp > 'yesterday'", "cannot_cast").await;
    for parameter in ["2016", "20160101", "1767225600000"] {
        let sql = "SELECT c FROM t WHERE timestamp >= $1";
        let error = desk.try_ask("acme", sql, &[parameter.into()]).await.unwrap_err().to_string();
        assert!(error.contains("code=cannot_cast") && error.contains("to_timestamp_millis"), "{parameter}: {error}");
    }
    desk.check("SELECT count(*) AS n FROM t WHERE timestamp < '9999-12-31T23:59:59.999999Z'", &["n", "2"]).await;
    desk.check("SELECT count(*) AS n FROM t WHERE timestamp > '0001-01-01T00:00:00Z'", &["n", "2"]).await;
}

#[tokio::test]
async fn functions_that_read_the_host_do_not_exist() {
    // Q32
    let desk = small().await;
    for sql in [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "SELECT current_setting('x')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT dblink('x')",
    ] {
        desk.refuses(sql, "unknown_function").await;
    }
}

#[tokio::test]
async fn a_prepared_text_is_planned_anew_after_a_change() {
    // Q26
    let mut desk = small().await;
    desk.check("SELECT v FROM t WHERE c = '1'", &["v", "100"]).await;
    let create = fineo_schema::Change::CreateMetric { name: "t".to_owned(), aliases: Vec::new() };
    desk.apply("acme", vec![create, crate::desk::field("t", "v", "double", &[])]).await;
    desk.check("SELECT v FROM t WHERE c = '1'", &["v", "100.0"]).await;
    let hide = fineo_schema::Change::HideField { metric: "t".to_owned(), field: "v".to_owned() };
    desk.apply("acme", vec![hide]).await;
    desk.refuses("SELECT v FROM t", "unknown_column").await;
    desk.check("SELECT * FROM t WHERE c = '1'", &["timestamp|c", "2026-01-01T00:00:00Z|1"]).await;
}

#[tokio::test]
async fn a_hidden_field_shows_in_no_way_of_asking_for_everything() {
    // Q19
    let mut desk = small().await;
    desk.rows("acme", "t", &[&[("c", "2"), ("w", "secret")]]).await;
    let create = fineo_schema::Change::CreateMetric { name: "t".to_owned(), aliases: Vec::new() };
    let hide = fineo_schema::Change::HideField { metric: "t".to_owned(), field: "w".to_owned() };
    desk.apply("acme", vec![create, crate::desk::field("t", "w", "string", &[]), hide]).await;
    for sql in [
        "SELECT * FROM t",
        "SELECT t.* FROM t",
        "SELECT t FROM t",
        "SELECT ROW(t) FROM t",
        "SELECT struct(t) FROM t",
        "SELECT to_json(t) FROM t",
        "SELECT count(DISTINCT t) FROM t",
        "SELECT array_agg(t) FROM t",
        "SELECT * FROM t NATURAL JOIN t AS u",
        "SELECT * FROM (SELECT * FROM t) AS u WHERE u.w = 'secret'",
        "SELECT c FROM t WHERE w = 'secret'",
        "SELECT c FROM t ORDER BY w",
        "SELECT column_name FROM information_schema.columns",
        "SELECT * FROM fineo_discovered",
    ] {
        let answer = desk.try_ask("acme", sql, &[]).await;
        let shown = answer.map_err(|error| error.to_string().replace(sql, ""));
        assert!(!format!("{shown:?}").contains("secret"), "{sql}: {shown:?}");
        assert!(!shown.is_ok_and(|answer| answer.split(['|', '\n']).any(|word| word == "w")), "{sql}");
    }
}

#[tokio::test]
async fn what_memory_does_not_hold_goes_to_disk_and_leaves_it() {
    let sql = "SELECT max(n) AS n FROM (SELECT row_number() OVER (ORDER BY t, value DESC) AS n \
               FROM (SELECT value, repeat('x', 200) AS t FROM generate_series(1, 300000)) AS a) AS b";
    let limits = QueryLimits::default().with_memory_bytes_max(40 << 20).with_parallelism(1);
    Desk::with_limits(limits.clone()).refuses(sql, "memory_limit").await;

    let folder = std::env::temp_dir().join(format!("fineo-query-spill-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let desk = Desk::with_limits(limits.with_spill_directory(folder.clone()));
    desk.check(sql, &["n", "300000"]).await;
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing stays");
    std::fs::remove_dir(&folder).unwrap();
}

#[tokio::test]
async fn no_function_grows_beyond_what_a_query_may_take() {
    // Q24, B2
    let desk = small().await;
    for sql in [
        "SELECT repeat('x', 2000000000)",
        "SELECT repeat(v, 1000000000) FROM t",
        "SELECT length(repeat('xy', CAST(v AS BIGINT) * 100000000)) FROM t",
        "SELECT lpad(v, 2000000000) FROM t",
        "SELECT rpad('x', 2000000000, 'y')",
        "SELECT replace(repeat('x', 1000000), 'x', repeat('y', 1000000))",
        "SELECT array_repeat(1, 1000000000000)",
        "SELECT array_repeat(v, 1000000000000) FROM t",
        "SELECT array_resize([1], 1000000000000)",
        "SELECT range(0, 1000000000000)",
        "SELECT generate_series(9223372036854775807)",
        "SELECT range(TIMESTAMP '1700-01-01', TIMESTAMP '2200-01-01', INTERVAL '1 microsecond')",
        "SELECT array_to_string(range(0, 1000000), repeat('x', 1000000))",
        "SELECT regexp_replace(repeat('x', 1000000), 'x', repeat('y', 1000000), 'g')",
    ] {
        desk.refuses(sql, "memory_limit").await;
    }
    desk.check("SELECT v || '-' || c AS j, [1] || [2] AS l FROM t WHERE c = '1'", &["j|l", "100-1|[1, 2]"]).await;
    desk.check("SELECT 'a' || NULL AS n, 1 || 'b' AS b, v || c FROM t WHERE c = '1'", &["n|b|t.v || t.c", "-|1b|1001"])
        .await;
    desk.check("SELECT repeat(v, 2) AS r, lpad(v, 5, '0') AS l FROM t WHERE c = '1'", &["r|l", "100100|00100"]).await;
    desk.check("SELECT cardinality(range(0, 1000000)) AS n", &["n", "1000000"]).await;
    desk.check("SELECT array_to_string(generate_series(1, 5, 2), ',') AS a", &["a", "1,3,5"]).await;
    desk.check(
        "SELECT replace('aaa', 'a', 'bc') AS r, concat(v, c) AS c FROM t WHERE c = '1'",
        &["r|c", "bcbcbc|1001"],
    )
    .await;
}

#[tokio::test]
async fn no_levels_of_a_query_grow_what_they_are_given_beyond_what_it_may_take() {
    // Q24, B2: each level makes twice as much.
    let desk = Desk::with_limits(QueryLimits::default().with_memory_bytes_max(40 << 20));
    let doubled = |first: &str, grown: &str| {
        let first = format!("SELECT {first} AS x FROM generate_series(1, 3)");
        (0..40).fold(first, |inner, _| format!("SELECT {grown} AS x FROM ({inner}) AS level"))
    };
    for sql in ["x || x", "concat(x, x)", "encode(x, 'hex')"].map(|grown| doubled("repeat('x', 1000)", grown)) {
        desk.refuses(&sql, "memory_limit").await;
    }
    for sql in ["struct(x, x)", "named_struct('a', x, 'b', x)", "map(['a'], [struct(x, x)])"]
        .map(|grown| doubled("repeat('x', 1000)", grown))
    {
        desk.refuses(&sql, "memory_limit").await;
    }
    for sql in ["x || x", "array_concat(x, x)", "[x, x]"].map(|grown| doubled("[value, value]", grown)) {
        desk.refuses(&sql, "memory_limit").await;
    }
}

#[tokio::test]
async fn values_of_many_keys_and_levels_are_read_within_bounds() {
    // Q24: as the edge lets in, and beyond.
    let mut desk = small().await;
    let wide: Vec<String> = (0..100_000).map(|key| format!("\"k{key}\":{key}")).collect();
    let (wide, deep) = (format!("{{{}}}", wide.join(",")), format!("{}{}", "[".repeat(60), "]".repeat(60)));
    let (wide, deep): (&'static str, &'static str) = (wide.leak(), deep.leak());
    let deepest: &'static str = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).leak();
    desk.rows("acme", "j", &[&[("v", wide)], &[("v", deep)], &[("v", deepest)], &[("v", "{\"a\":1}")]]).await;
    let create = fineo_schema::Change::CreateMetric { name: "j".to_owned(), aliases: Vec::new() };
    desk.apply("acme", vec![create, crate::desk::field("j", "v", "json", &[])]).await;
    // They are texts that were looked at once, without a level of the stack for each of theirs.
    desk.check("SELECT count(v) AS n, max(length(v)) AS longest FROM j", &["n|longest", "4|1477781"]).await;
    desk.check("SELECT count, alias FROM fineo_conflicts", &["count|alias"]).await;
}
