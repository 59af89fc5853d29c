//! What takes long ends with whoever asked for it, and answers as ever.

use std::{sync::Arc, time::Duration};

use fineo_query::QueryLimits;

use crate::{bad_inputs::small, desk::Desk};

#[tokio::test]
async fn a_result_that_nobody_reads_stops_and_its_stream_can_be_dropped() {
    // Q29, B3
    let desk = small().await;
    let session = desk.engine.session(&fineo_core::TenantId::new("acme").unwrap());
    let mut stream = session.query("SELECT * FROM generate_series(1, 1000000000000)", &[]).await.unwrap();
    assert!(stream.next_batch().await.unwrap().is_some());
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_long_ends_when_nobody_wants_its_rows() {
    // Q06, B3: joins that make many rows of few, or look at many and find none; windows; groups in an order; functions.
    let desk = small().await;
    let joined = "generate_series(1, 100000) a CROSS JOIN generate_series(1, 100000) b CROSS JOIN t";
    let frame = "OVER (ORDER BY value ROWS BETWEEN 50000 PRECEDING AND CURRENT ROW)";
    let window = format!("(SELECT median(value) {frame} AS m FROM generate_series(1, 1000000)) w CROSS JOIN t");
    let in_order = "string_agg(CAST(value AS VARCHAR), ',' ORDER BY value % 10, value) AS m";
    let groups = format!("(SELECT {in_order} FROM generate_series(1, 1000000) GROUP BY value / 100) w CROSS JOIN t");
    let long = "repeat('ab' || CAST(a.value AS VARCHAR), 2000)";
    for (from, filter) in [
        (joined, "t.c <> ''"),
        (joined, "a.value * b.value + CAST(t.v AS BIGINT) < 0"),
        (joined, "a.value % 1000 = b.value % 1000"),
        (joined, "a.value % 10 = b.value % 10 AND a.value + b.value < 0"),
        (&window, "w.m > 0"),
        (&groups, "w.m <> ''"),
        ("generate_series(1, 1000000) a CROSS JOIN t", &format!("regexp_like({long}, '(a|b|[0-9])*c$')")),
    ] {
        let idle = Arc::strong_count(&desk.nearline);
        let session = desk.engine.session(&fineo_core::TenantId::new("acme").unwrap());
        let sql = format!("SELECT count(*) FROM {from} WHERE {filter}");
        let asked = tokio::spawn(async move { session.query(&sql, &[]).await?.next_batch().await });
        while Arc::strong_count(&desk.nearline) == idle {
            tokio::task::yield_now().await;
        }
        asked.abort();
        let ends = async {
            assert!(asked.await.is_err_and(|error| error.is_cancelled()), "{filter}");
            while Arc::strong_count(&desk.nearline) > idle {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ends).await.unwrap_or_else(|_| panic!("it goes on: {filter}"));
    }
}

#[tokio::test]
async fn the_rows_behind_very_many_others_are_found_by_sorting_where_there_is_room() {
    // So few rows do not touch it.
    let spilling = QueryLimits::default().with_spill_directory(std::env::temp_dir());
    let behind = "FROM generate_series(1, 200000) ORDER BY (value * 7919) % 200003 DESC LIMIT 2 OFFSET 150000";
    for (limits, node) in [(spilling, "LocalLimitExec: fetch=150002"), (QueryLimits::default(), "StepsExec")] {
        let desk = Desk::with_limits(limits);
        desk.check(&format!("SELECT (value * 7919) % 200003 AS m {behind}"), &["m", "50000", "49999"]).await;
        let plan = desk.explain(&format!("SELECT value {behind}")).await;
        assert!(plan.contains(node) && plan.contains("TopK") == (node == "StepsExec"), "{plan}");
        let few = desk.explain("SELECT value FROM generate_series(1, 200000) ORDER BY value % 7 LIMIT 2").await;
        assert!(few.contains("TopK(fetch=2)") && !few.contains("StepsExec"), "{few}");
    }
}

#[tokio::test]
async fn aggregates_that_sort_in_one_step_hand_their_thread_over() {
    let desk = small().await;
    for (aggregate, has_steps) in
        [("array_agg", true), ("string_agg", true), ("first_value", false), ("last_value", false)]
    {
        let separator = if aggregate == "string_agg" { ", ','" } else { "" };
        let plan = desk.explain(&format!("SELECT {aggregate}(c{separator} ORDER BY v) FROM t")).await;
        // In a task of its own: whoever asks can hear of something else.
        assert_eq!(plan.contains("StepsExec") && plan.contains("StoppableExec"), has_steps, "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_computed_while_a_statement_is_planned_ends_when_nobody_waits_for_the_plan() {
    // Q06, B3: of so many calls each takes a moment.
    let desk = small().await;
    let calls: Vec<String> =
        (0..100).map(|n| format!("levenshtein(repeat('a', 3000), repeat('b', {n} + 3000))")).collect();
    let sql = format!("SELECT {} FROM t", calls.join(", "));
    let idle = Arc::strong_count(&desk.nearline);
    let session = desk.engine.session(&fineo_core::TenantId::new("acme").unwrap());
    let asked = tokio::spawn(async move { session.query(&sql, &[]).await });
    while Arc::strong_count(&desk.nearline) == idle {
        tokio::task::yield_now().await;
    }
    asked.abort();
    let ends = async {
        while Arc::strong_count(&desk.nearline) > idle {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ends).await.unwrap_or_else(|_| panic!("it is planned on"));
}

#[tokio::test]
async fn what_ends_with_its_reader_answers_as_ever() {
    // Windows over whole partitions and over frames, in more than one partition, with filters; rows in slices.
    let desk = small().await;
    let numbers = "(SELECT value AS v, value % 3 AS k FROM generate_series(1, 1000)) AS n";
    for (sql, expected) in [
        ("max(sum(v) OVER (PARTITION BY k ORDER BY v ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING))", "2991"),
        ("max(count(*) FILTER (WHERE v > 500) OVER (PARTITION BY k))", "167"),
        ("max(sum(v) OVER (ORDER BY v DESC ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING))", "500500"),
        ("max(count(DISTINCT k) OVER (ORDER BY v ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))", "3"),
        ("max(rank() OVER (PARTITION BY k ORDER BY v))", "334"),
        ("max(nth_value(v, 2) OVER (ORDER BY v ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING))", "1000"),
        ("max(lag(v, 1, 0) OVER (ORDER BY v))", "999"),
        ("array_length(array_agg(v ORDER BY k DESC, v)) + (array_agg(v ORDER BY k DESC, v))[2]", "1005"),
        ("array_agg(DISTINCT k ORDER BY k DESC)", "[2, 1, 0]"),
        ("string_agg(CAST(v AS VARCHAR), ',' ORDER BY v DESC) FILTER (WHERE v % 400 = 0)", "800,400"),
        ("nth_value(v, 2 ORDER BY k DESC, v)", "5"),
        ("max(v) FILTER (WHERE regexp_like(CAST(v AS VARCHAR), '^9+$'))", "999"),
    ] {
        let (outer, inner) = match sql.strip_prefix("max(").and_then(|inner| inner.strip_suffix(')')) {
            Some(inner) if inner.contains(" OVER ") => ("max(m)", format!("(SELECT {inner} AS m FROM {numbers})")),
            _ => (sql, numbers.to_owned()),
        };
        desk.check(&format!("SELECT {outer} AS m FROM {inner}"), &["m", expected]).await;
    }
}
