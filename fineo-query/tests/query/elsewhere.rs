//! Functions of other databases: the error says what to write, and what it says works.

use fineo_schema::Change;

use crate::desk::{Desk, field};

/// Names that are known, as those who ask for them write them.
const ASKED: &str = "time_bucket toStartOfInterval toStartOfFiveMinutes time_slice date_histogram time_bucket_gapfill locf fill \
    interpolate toStartOfHour toStartOfSecond toStartOfQuarter toStartOfYear toMonday toYYYYMM toYYYYMMDD year month day hour \
    minute second quarter week weekofyear isoweek dayofmonth day_of_month dayofyear dayofweek weekday isodow doy dow millisecond \
    toYear toHour toDayOfWeek strftime formatDateTime format_timestamp dayname monthname strptime str_to_date parse_datetime \
    parseDateTimeBestEffort toDateTime datediff date_diff timestampdiff dateadd date_add date_sub timestampadd adddate addHours \
    epoch_ms unix_timestamp toUnixTimestamp epoch fromUnixTimestamp curdate getdate sysdate now64 date last first anyLast \
    arg_max argMax max_by arg_min argMin min_by any arbitrary quantile quantileExact percentile quantile_disc approx_quantile \
    approx_percentile quantileTDigest apercentile countIf count_if sumIf avgIf minIf maxIf groupArray list collect_list \
    groupUniqArray collect_set group_concat listagg uniq uniqCombined approx_count_distinct uniqExact spread histogram derivative \
    rate difference delta non_negative_derivative non_negative_difference increase elapsed moving_average cumulative_sum if iff \
    iif multiIf isnull zeroifnull safe_divide divide toFloat64 to_number toInt64 toString len lcase ucase regexp_extract \
    regexp_matches match locate charindex splitByChar str_split json_extract json_extract_string JSONExtractFloat json_value \
    json_array_length jsonb_array_elements get_json_object";

async fn readings() -> Desk {
    let mut desk = Desk::new();
    let rows: [&[_]; 3] = [
        &[("x", "1"), ("y", "5"), ("n", "1451606400"), ("s", "7")],
        &[("x", "2.5"), ("n", "1451606401"), ("s", "8")],
        &[("x", "4"), ("y", "3"), ("n", "1451606402"), ("s", "7")],
    ];
    desk.rows("acme", "m", &rows).await;
    let number = |name: &str| field("m", name, "double", &[]);
    let create = Change::CreateMetric { name: "m".to_owned(), aliases: Vec::new() };
    let fields = vec![create, number("x"), number("y"), field("m", "n", "long", &[]), field("m", "s", "string", &[])];
    desk.apply("acme", fields).await;
    desk
}

#[tokio::test]
async fn what_is_advised_in_place_of_a_function_works() {
    let desk = readings().await;
    for name in ASKED.split_whitespace() {
        let asked = desk.try_ask("acme", &format!("SELECT {name}(x) FROM m"), &[]).await;
        let error = asked.expect_err(name);
        let hint = error.context().iter().find(|(key, _)| *key == "hint").map(|(_, hint)| hint.to_string());
        let hint = hint.unwrap_or_else(|| panic!("{name}: {error}"));
        let advice = hint.strip_prefix("write ").unwrap_or_else(|| panic!("{name}: {error}"));
        let (forms, _) = advice.split_once("; ").unwrap_or((advice, ""));
        for form in forms.split(" or ") {
            let answer = desk.try_ask("acme", &format!("SELECT {form} AS v FROM m"), &[]).await;
            assert!(answer.is_ok(), "{name}: {form}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn what_is_advised_answers_as_the_function_would() {
    let desk = readings().await;
    for (form, expected) in [
        // The row without y has no greatest y.
        ("last_value(x ORDER BY y NULLS FIRST)", "1.0"),
        ("first_value(x ORDER BY y)", "4.0"),
        ("last_value(x ORDER BY timestamp)", "4.0"),
        ("count(*) FILTER (WHERE x > 1)", "2"),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY x)", "2.5"),
        ("last_value(y ORDER BY timestamp) FILTER (WHERE y IS NOT NULL)", "3.0"),
        ("string_agg(s, ', ' ORDER BY n)", "7, 8, 7"),
    ] {
        desk.check(&format!("SELECT {form} AS v FROM m"), &["v", expected]).await;
    }
    for (form, expected) in [
        ("date_bin(INTERVAL '1 hour', timestamp)", "2026-01-01T00:00:00Z"),
        ("date_bin(INTERVAL '7 days', timestamp)", "2026-01-01T00:00:00Z"),
        ("date_bin(INTERVAL '7 days', timestamp, TIMESTAMP '2000-01-03 00:00:00')", "2025-12-29T00:00:00Z"),
        ("extract(year FROM timestamp)", "2026"),
        ("to_char(timestamp, 'YYYY-MM-DD HH24:MI:SS')", "2026-01-01 00:00:02"),
        ("to_timestamp_seconds(n)", "2016-01-01T00:00:02"),
        ("CASE WHEN x > 1 THEN 'high' ELSE 'low' END", "high"),
        ("substring('{\"lat\": 52.5}' FROM '\"lat\": *([-0-9.]+)')", "52.5"),
    ] {
        desk.check(&format!("SELECT {form} AS v FROM m WHERE x = 4"), &["v", expected]).await;
    }
}

#[tokio::test]
async fn a_function_that_nobody_knows_is_not_guessed_by_two_letters() {
    let desk = readings().await;
    for name in ["bear", "foo", "spreadsheet"] {
        let told = desk.refuses(&format!("SELECT {name}(x) FROM m"), "unknown_function").await;
        assert!(told.contains("as in PostgreSQL") && !told.contains("did you mean"), "{name}: {told}");
    }
    let told = desk.refuses("SELECT stdev(x) FROM m", "unknown_function").await;
    assert!(told.contains("did you mean stddev?"), "{told}");
}

#[tokio::test]
async fn values_that_a_function_does_not_take_are_told_in_one_line() {
    let desk = readings().await;
    for (call, told_as, hint) in [
        ("avg(s)", "function=avg(text)", "CAST(field AS DOUBLE)"),
        ("stddev(s)", "function=stddev(text)", "CAST(field AS DOUBLE)"),
        ("sqrt(timestamp)", "function=sqrt(Timestamp", "CAST(x AS …)"),
        (
            "date_trunc('day', timestamp, 'Europe/Berlin')",
            "function=date_trunc(text, Timestamp",
            "AT TIME ZONE 'Europe/Berlin'",
        ),
    ] {
        let told = desk.refuses(&format!("SELECT {call} FROM m"), "query_invalid").await;
        assert!(told.contains(told_as) && told.contains(hint), "{call}: {told}");
        assert!(!told.contains("signature") && !told.contains("rror:"), "{call}: {told}");
    }
}

#[tokio::test]
async fn what_only_reads_but_is_not_answered_says_what_to_write() {
    let desk = readings().await;
    for (sql, code, hint) in [
        ("PIVOT m ON s USING avg(x)", "unsupported_sql", "FILTER (WHERE"),
        ("UNPIVOT m ON x INTO NAME k VALUE v", "unsupported_sql", "UNION ALL"),
        ("SELECT * FROM m PIVOT (avg(x) FOR s IN ('7'))", "unsupported_sql", "FILTER (WHERE"),
        ("SELECT * FROM (SELECT * FROM m UNPIVOT (v FOR k IN (x, y)))", "unsupported_sql", "UNION ALL"),
        ("COPY (SELECT 1) TO STDOUT", "unsupported_sql", "--format csv"),
        ("COPY m TO STDOUT WITH (FORMAT csv)", "unsupported_sql", "--format csv"),
        ("SHOW FUNCTIONS", "unsupported_sql", "PostgreSQL"),
        ("SHOW DATABASES", "unsupported_sql", "SHOW TABLES"),
        ("SHOW SCHEMAS", "unsupported_sql", "information_schema.schemata"),
        ("SHOW CREATE TABLE m", "unsupported_sql", "DESCRIBE m"),
        ("PRAGMA table_info('m')", "unsupported_sql", "DESCRIBE m"),
        ("SUMMARIZE m", "unsupported_sql", "fineo_discovered"),
        ("FROM m LIMIT 2", "sql_syntax", "hint=SELECT * FROM m LIMIT 2"),
        ("FROM m WHERE x > 1", "sql_syntax", "hint=SELECT * FROM m …"),
        ("SELECT count(*) FROM (FROM m) AS t", "sql_syntax", "hint=SELECT * FROM m"),
        ("WITH t AS (FROM m) SELECT count(*) FROM t", "sql_syntax", "hint=SELECT * FROM m"),
        ("SELECT 1 UNION ALL SELECT 2 UNION ALL TABLE m", "sql_syntax", "hint=SELECT * FROM m"),
        ("SELECT x FROM m WHERE x IN $1", "sql_syntax", "x = ANY($1)"),
        ("SELECT x FROM m WHERE x NOT IN $1", "sql_syntax", "x <> ALL($1)"),
        ("SELECT PM2.5 FROM m", "sql_syntax", "hint=a name with such a dot stands in double quotes: \"PM2.5\""),
        ("SELECT avg(CAST(PM2.5_raw AS DOUBLE)) FROM m", "sql_syntax", "\"PM2.5_raw\""),
        ("SELECT * FROM 'm'", "not_allowed", "double quotes"),
        ("SELECT x FROM m WHERE s = \"seven\"", "unknown_column", "hint=a text stands in single quotes: 'seven'"),
        ("SELECT x FROM m WHERE s IN (\"seven\", \"eight\")", "unknown_column", "single quotes: 'seven'"),
        ("SELECT x FROM \"M\"", "unknown_table", "hint=did you mean m?"),
    ] {
        let told = desk.refuses(sql, code).await;
        assert!(told.contains(hint), "{sql}: {told}");
        assert!(!told.contains("Ident") && !told.contains("only reads"), "{sql}: {told}");
    }
    // What is no name between quotes has no text to be told of.
    assert!(!desk.refuses("SELECT seven FROM m", "unknown_column").await.contains("single quotes"));
    desk.refuses("COPY m TO '/tmp/x'", "not_allowed").await;
}

#[tokio::test]
async fn a_table_by_its_name_alone_is_all_of_it() {
    let desk = readings().await;
    let all = desk.try_ask("acme", "SELECT * FROM m", &[]).await.unwrap();
    assert_eq!(desk.try_ask("acme", "TABLE m", &[]).await.unwrap(), all);
    assert_eq!(desk.try_ask("acme", "table public.\"m\" ORDER BY timestamp LIMIT 9;", &[]).await.unwrap(), all);
    let both = desk.try_ask("acme", "(TABLE m) UNION ALL SELECT * FROM m", &[]).await.unwrap();
    assert_eq!(both.lines().count(), 7);
    desk.refuses("TABLE none", "unknown_table").await;
}
