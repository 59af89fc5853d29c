//! Bad and odd inputs through the facade, on every backend: each ends exactly as it says, and never in a panic (B2).

use fineo::{ErrorKind, Fineo};

use crate::support::{ingest, instances, rows, tenant, try_rows};

/// A request, and what becomes of it.
struct Case {
    says: &'static str,
    body: Vec<u8>,
    /// How many events are taken.
    accepted: usize,
    /// The codes of those that are refused with the answer.
    refused: &'static [&'static str],
    /// The codes of those that end in `errors.stream`.
    errors: &'static [&'static str],
    /// A question to ask then, and its answer.
    answer: (&'static str, Vec<String>),
}

const COUNT: &str = "SELECT count(*) FROM m";

fn case(says: &'static str, body: impl Into<Vec<u8>>) -> Case {
    Case { says, body: body.into(), accepted: 0, refused: &[], errors: &[], answer: ("SELECT 1", vec!["1".to_owned()]) }
}

/// One event, refused with the answer.
fn refused(says: &'static str, body: impl Into<Vec<u8>>, refused: &'static [&'static str]) -> Case {
    Case { refused, ..case(says, body) }
}

/// One event, taken, that ends in the errors.
fn error(says: &'static str, body: impl Into<Vec<u8>>, errors: &'static [&'static str]) -> Case {
    Case { accepted: 1, errors, ..case(says, body) }
}

/// One event, taken and stored, and what is then answered.
fn stored(says: &'static str, body: impl Into<Vec<u8>>, question: &'static str, answer: &[&str]) -> Case {
    let answer = answer.iter().map(|line| (*line).to_owned()).collect();
    Case { accepted: 1, answer: (question, answer), ..case(says, body) }
}

fn event(fields: &str) -> String {
    format!(r#"{{"metrictype":"m","timestamp":1,{fields}}}"#)
}

/// E01, E02, E04, E09, E21, E31, E34.
fn what_cannot_be_framed() -> Vec<Case> {
    let wide: Vec<String> = (0..10_001).map(|n| format!("\"f{n}\":1")).collect();
    let sized = |bytes: usize| {
        let head = event("\"v\":\"");
        let head = &head[..head.len() - 1];
        format!("{head}{}\"}}", "x".repeat(bytes - head.len() - 2))
    };
    let mut of_a_thousand: Vec<String> =
        (0..1000).map(|n| format!(r#"{{"metrictype":"m","timestamp":{n}}}"#)).collect();
    of_a_thousand[500] = format!("{{\"a\":{}{}}}", "[".repeat(65), "]".repeat(65));
    vec![
        refused("an empty body has no event", "", &["empty"]),
        refused("white space has no event", " \r\n\t", &["empty"]),
        case("an empty array is no event and no error", "[]"),
        refused("a hundred thousand brackets are too deep", "[".repeat(100_000), &["too_deep"]),
        refused("ten thousand and one fields are too many", event(&wide.join(",")), &["too_many_fields"]),
        refused("a byte that is no UTF-8", b"{\"a\":\"\xff\"}".to_vec(), &["bad_utf8"]),
        refused("an overlong zero", b"{\"a\":\"\xc0\x80\"}".to_vec(), &["bad_utf8"]),
        refused("an object that never ends", r#"{"a":1"#, &["json_unreadable"]),
        stored("an event of a megabyte fits exactly", sized(1 << 20), COUNT, &["1"]),
        refused("a byte more is too large", sized((1 << 20) + 1), &["event_too_large"]),
        refused("a request beyond ten megabytes", " ".repeat((10 << 20) + 1), &["request_too_large"]),
        refused("more events than a request may have", "{}".repeat(10_001), &["too_many_events"]),
        Case {
            accepted: 999,
            answer: (COUNT, vec!["999".to_owned()]),
            ..refused("one bad event of a thousand", of_a_thousand.join("\n"), &["too_deep"])
        },
        stored("a byte order mark is not part of the event", format!("\u{feff}{}", event("\"v\":1")), COUNT, &["1"]),
    ]
}

/// E02, E06, E07, E11, E12, E14, E22, E26, E39.
fn what_is_no_good_event() -> Vec<Case> {
    let long = format!("{}:1", serde_json::json!("n".repeat(256)));
    let huge = format!("{}:1", serde_json::json!("n".repeat(64 << 10)));
    let comments = format!("Tue, {}{} 1 Jul 2003 10:52:37 +0200", "(".repeat(100_000), ")".repeat(100_000));
    let long_metric = serde_json::json!({"metrictype": "m".repeat(1024), "timestamp": 1}).to_string();
    vec![
        error("an object without anything names no metric", "{}", &["metric_missing"]),
        error("null is no object", "null", &["not_an_object"]),
        error("a text is no object", "\"x\"", &["not_an_object"]),
        error("a number is no object", "42", &["not_an_object"]),
        error("a key that comes twice", event(r#""t":1,"t":2"#), &["duplicate_key"]),
        error("a key that comes twice once it is unescaped", event(r#""t":1,"\u0074":2"#), &["duplicate_key"]),
        error("two paths to one name", event(r#""a.b":1,"a":{"b":2}"#), &["duplicate_key"]),
        error("a name of 256 bytes", event(&long), &["name_unreadable"]),
        error("a name of 64 KiB", event(&huge), &["name_unreadable"]),
        error("a name without a character", event(r#""":1"#), &["name_unreadable"]),
        error("a name with a line break", event(r#""a\nb":1"#), &["name_unreadable"]),
        error("a name that is ours", event(r#""_fineo_event_id":"0""#), &["name_reserved"]),
        error("a metric's name that is ours", r#"{"metrictype":"fineo_x","timestamp":1}"#, &["metric_unreadable"]),
        error("a metric's name of a kilobyte", long_metric, &["metric_unreadable"]),
        error("no time", r#"{"metrictype":"m"}"#, &["timestamp_missing"]),
        error("a time that is none", r#"{"metrictype":"m","timestamp":"soon"}"#, &["timestamp_unreadable"]),
        error("a time beyond year 9999", r#"{"metrictype":"m","timestamp":1e18}"#, &["timestamp_unreadable"]),
        error(
            "a date with a hundred thousand nested comments",
            serde_json::json!({"metrictype": "m", "timestamp": comments}).to_string(),
            &["timestamp_unreadable"],
        ),
        Case {
            accepted: 3,
            answer: (COUNT, vec!["2".to_owned()]),
            ..error("a line that is no JSON between two that are", "", &["json_unreadable"])
        }
        .with_body(format!("{}\n{{\"metrictype\":\"m\",}}\n{}", event("\"v\":1"), event("\"v\":2"))),
    ]
}

impl Case {
    fn with_body(self, body: String) -> Self {
        Self { body: body.into(), ..self }
    }
}

/// E14, E16, E17, E19, E27, E37, E39, E42, E44.
fn what_only_looks_bad() -> Vec<Case> {
    let wide: Vec<String> = (0..9_000).map(|n| format!("\"{n:0>40}\":\"{}\"", "v".repeat(45))).collect();
    vec![
        stored(
            "names that mean something elsewhere are names of fields",
            event(r#""__proto__":1,"constructor":2,"_id":3,"event_id":4,"tenant_id":5,"status":6,"size":7,"select":8"#),
            r#"SELECT __proto__, constructor, _id, event_id, tenant_id, status, size, "select" FROM m"#,
            &["1|2|3|4|5|6|7|8"],
        ),
        stored(
            "names of any signs are names of fields",
            event(r#""'":1,"\"":2,"a;b":3,"--":4,"`":5,"$":6,"../..":7,"%2e%2e":8,"\\":9,"CO(GT)":10,"温度":11"#),
            r#"SELECT "'", """", "a;b", "--", "`", "$", "../..", "%2e%2e", "\", "CO(GT)", 温度 FROM m"#,
            &["1|2|3|4|5|6|7|8|9|10|11"],
        ),
        stored(
            "numbers keep their text, whatever their size",
            event(r#""a":9007199254740993,"b":18446744073709551616,"c":1e400,"d":0.10,"e":-0"#),
            "SELECT a, b, c, d, e FROM m",
            &["9007199254740993|18446744073709551616|1e400|0.10|-0"],
        ),
        stored(
            "texts are data, whatever they say",
            event(r#""a":"null","b":"NaN","c":"'; DROP TABLE m","d":"=cmd|'/C calc'!A0","e":"","f":null"#),
            "SELECT a, b, c, d, e FROM m",
            &["null|NaN|'; DROP TABLE m|=cmd|'/C calc'!A0|"],
        ),
        stored(
            "another tenant in the body is a field",
            event(r#""tenant":"canary","_tenant":"canary""#),
            "SELECT tenant, _tenant FROM m",
            &["canary|canary"],
        ),
        stored(
            "a metric may be called like a path",
            r#"{"metrictype":"../../canary/%00#1","timestamp":1,"v":1}"#,
            r#"SELECT v, _fineo_alias FROM "../../canary/%00#1""#,
            &["1|../../canary/%00#1"],
        ),
        Case {
            accepted: 2,
            ..stored(
                "one instant of one device with other values",
                format!("{}{}", event(r#""d":"x","a":1,"b":23"#), event(r#""d":"x","a":12,"b":3"#)),
                "SELECT a, b FROM m ORDER BY a",
                &["1|23", "12|3"],
            )
        },
        stored(
            "nine thousand fields of 400 KiB and as much of names",
            event(&wide.join(",")),
            "SELECT count(*) FROM fineo_discovered WHERE metric = 'm'",
            &["9000"],
        ),
    ]
}

async fn check(fineo: &Fineo, number: usize, case: &Case) {
    let (of, says) = (tenant(&format!("t{number}")), case.says);
    let receipt = fineo.ingest(&of, case.body.clone()).await.unwrap();
    let codes: Vec<&str> = receipt.rejected().iter().map(|(_, rejection)| rejection.code.as_str()).collect();
    assert_eq!((receipt.accepted(), codes.as_slice()), (case.accepted, case.refused), "{says}");
    assert!(receipt.failed().is_empty(), "{says}");
    fineo.wait_until_queryable(&receipt).await.unwrap();
    let errors = rows(fineo, &of, "SELECT class, code FROM errors.stream ORDER BY code").await;
    let expected: Vec<String> = case.errors.iter().map(|code| format!("malformed|{code}")).collect();
    assert_eq!(errors, expected, "{says}");
    let (question, answer) = &case.answer;
    assert_eq!(rows(fineo, &of, question).await, *answer, "{says}");
}

#[tokio::test]
async fn every_bad_event_ends_as_it_should() {
    for instance in instances().await {
        let (fineo, canary) = (&instance.fineo, tenant("canary"));
        ingest(fineo, &canary, event("\"v\":\"sings\"")).await;
        let cases = what_cannot_be_framed().into_iter().chain(what_is_no_good_event()).chain(what_only_looks_bad());
        for (number, case) in cases.enumerate() {
            check(fineo, number, &case).await;
        }
        assert_eq!(rows(fineo, &canary, "SELECT * FROM m").await, ["1970-01-01T00:00:00.001Z|sings"]);
        assert!(rows(fineo, &canary, "SELECT * FROM errors.stream").await.is_empty(), "{}", instance.backend);
    }
}

/// E41.
#[tokio::test]
async fn a_device_that_sends_everything_loses_nothing_and_keeps_nobody_waiting() {
    for instance in instances().await {
        let (fineo, hot, canary) = (&instance.fineo, tenant("hot"), tenant("canary"));
        for request in 0..3 {
            let event =
                |number: u64| format!(r#"{{"metrictype":"m","timestamp":1,"device":"x","n":"{request}{number:04}"}}"#);
            let body: String = (0..5_000).map(event).collect();
            let receipt = fineo.ingest(&hot, body).await.unwrap();
            assert_eq!(receipt.accepted(), 5_000, "{}", instance.backend);
            ingest(fineo, &canary, format!(r#"{{"metrictype":"m","timestamp":{request},"v":"sings"}}"#)).await;
            assert_eq!(rows(fineo, &canary, "SELECT v FROM m").await.len(), request + 1, "{}", instance.backend);
            fineo.wait_until_queryable(&receipt).await.unwrap();
        }
        let sql = "SELECT count(*), count(DISTINCT n), min(n), max(n) FROM m WHERE device = 'x'";
        assert_eq!(rows(fineo, &hot, sql).await, ["15000|15000|00000|24999"], "{}", instance.backend);
    }
}

/// S21: what is deleted here is a metric, which like a tenant may come again under its name.
#[tokio::test]
async fn a_metric_that_is_deleted_and_comes_again_is_another() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        let schema = fineo.schema(&acme);
        schema.declare(r#"{"metrics":{"m":{"aliases":["mm"],"fields":{"s":{"type":"string"}}}}}"#).await.unwrap();
        ingest(fineo, &acme, event(r#""s":"old","x":"old""#)).await;
        schema.delete_metric("m").await.unwrap();
        for name in ["m", "mm"] {
            let refusal = try_rows(&fineo.session(&acme), &format!("SELECT * FROM {name}")).await.unwrap_err();
            assert!(format!("{refusal:?}").contains("code=unknown_table"), "{}: {refusal:?}", instance.backend);
        }
        schema.declare(r#"{"metrics":{"m":{"fields":{"s":{"type":"string"}}}}}"#).await.unwrap();
        assert!(rows(fineo, &acme, "SELECT * FROM m").await.is_empty(), "{}", instance.backend);
        ingest(fineo, &acme, event(r#""s":"new""#)).await;
        assert_eq!(
            rows(fineo, &acme, "SELECT * FROM m").await,
            ["1970-01-01T00:00:00.001Z|new"],
            "{}",
            instance.backend
        );
        assert!(rows(fineo, &acme, "SELECT * FROM fineo_discovered WHERE name = 'x'").await.is_empty());
    }
}

// I5, E29
#[tokio::test]
async fn a_key_that_comes_with_other_content_is_a_conflict() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        fineo.schema(&acme).declare(r#"{"identity":"key"}"#).await.unwrap();
        let body = [r#""event_id":"x","v":"first""#, r#""v":"first","event_id":"x""#, r#""event_id":"x","v":"second""#];
        ingest(fineo, &acme, body.map(event).concat()).await;
        assert_eq!(rows(fineo, &acme, "SELECT v FROM m").await, ["first"], "{}", instance.backend);
        let errors = rows(fineo, &acme, "SELECT stage, class, code, metric, raw FROM errors.stream").await;
        assert_eq!(errors, [r#"staged|malformed|id_conflict|m|{"v":"second"}"#], "{}", instance.backend);
    }
}

/// S04, S07, S09: what is declared, and why not.
const BAD_SCHEMAS: [(&str, &str, ErrorKind, &str); 10] = [
    ("not JSON", "{", ErrorKind::Invalid, ""),
    ("a word that means nothing", r#"{"metricz":{}}"#, ErrorKind::Invalid, "metricz"),
    (
        "a type there is none of",
        r#"{"metrics":{"m":{"fields":{"x":{"type":"vector"}}}}}"#,
        ErrorKind::Invalid,
        "vector",
    ),
    (
        "more digits behind the point than there are",
        r#"{"metrics":{"m":{"fields":{"x":{"type":"decimal(10,12)"}}}}}"#,
        ErrorKind::Invalid,
        "decimal",
    ),
    (
        "more digits than are kept",
        r#"{"metrics":{"m":{"fields":{"x":{"type":"decimal(76,80)"}}}}}"#,
        ErrorKind::Invalid,
        "decimal",
    ),
    (
        "an alias that is another field's",
        r#"{"metrics":{"m":{"fields":{"x":{"type":"int","aliases":["taken"]}}}}}"#,
        ErrorKind::AlreadyExists,
        "held",
    ),
    (
        "a field that is the time",
        r#"{"metrics":{"m":{"fields":{"timestamp":{"type":"int"}}}}}"#,
        ErrorKind::Invalid,
        "timestamp",
    ),
    (
        "a field that is ours",
        r#"{"metrics":{"m":{"fields":{"_fineo_alias":{"type":"int"}}}}}"#,
        ErrorKind::Invalid,
        "_fineo_alias",
    ),
    ("a metric that is ours", r#"{"metrics":{"fineo_conflicts":{}}}"#, ErrorKind::Invalid, "fineo_conflicts"),
    ("a pattern of time that is none", r#"{"timestamp_formats":["%Q"]}"#, ErrorKind::Invalid, "%Q"),
];

#[tokio::test]
async fn every_bad_schema_is_refused_and_changes_nothing() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        let schema = fineo.schema(&acme);
        let good = r#"{"metrics":{"m":{"fields":{"held":{"type":"int","aliases":["taken"]}}}}}"#;
        schema.declare(good).await.unwrap();
        let before = schema.export().await.unwrap();
        for (says, declaration, kind, names) in BAD_SCHEMAS {
            let refusal = schema.declare(declaration).await.unwrap_err();
            assert_eq!(refusal.kind(), kind, "{says}: {refusal:?}");
            assert!(refusal.to_string().contains(names), "{says}: {refusal:?}");
            assert_eq!(schema.export().await.unwrap(), before, "{says}");
        }
    }
}

/// S06, S11, S16.
#[tokio::test]
async fn a_hidden_field_is_hidden_everywhere_and_a_name_that_only_looks_alike_is_another() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        ingest(fineo, &acme, event(r#""secret":"kept","x":1"#)).await;
        // The first letter is Cyrillic.
        ingest(fineo, &acme, "{\"metrictype\":\"\u{43c}\",\"timestamp\":1,\"v\":2}").await;
        let schema = fineo.schema(&acme);
        let declared = r#"{"metrics":{"m":{"fields":{
            "s":{"type":"string","aliases":["secret"]}, "a":{"type":"int","aliases":["x"]}, "b":{"type":"int"}}}}}"#;
        schema.declare(declared).await.unwrap();
        assert_eq!(rows(fineo, &acme, "SELECT s, a, b FROM m").await, ["kept|1|"], "{}", instance.backend);
        assert_eq!(rows(fineo, &acme, "SELECT v FROM \"\u{43c}\"").await, ["2"], "{}", instance.backend);

        // A name that is given to another field answers there, for old rows too.
        let change = |json: &str| serde_json::from_str(json).unwrap();
        let repointed = [
            change(r#"{"op":"remove_field_alias","metric":"m","field":"a","alias":"x"}"#),
            change(r#"{"op":"add_field_alias","metric":"m","field":"b","alias":"x"}"#),
        ];
        schema.apply(repointed.to_vec()).await.unwrap();
        assert_eq!(rows(fineo, &acme, "SELECT a, b, x FROM m").await, ["|1|1"], "{}", instance.backend);

        schema.apply(vec![change(r#"{"op":"hide_field","metric":"m","field":"s"}"#)]).await.unwrap();
        let session = fineo.session(&acme);
        for sql in [
            "SELECT s FROM m",
            "SELECT secret FROM m",
            "SELECT m.secret FROM m",
            "SELECT 1 FROM m WHERE secret = 'kept'",
        ] {
            let refusal = try_rows(&session, sql).await.unwrap_err();
            assert!(format!("{refusal:?}").contains("code=unknown_column"), "{}: {sql}: {refusal:?}", instance.backend);
        }
        for sql in [
            "SELECT * FROM m",
            "SELECT m.* FROM m",
            "SELECT * FROM m NATURAL JOIN m AS other",
            "SELECT * FROM fineo_discovered",
            "SELECT * FROM fineo_conflicts",
            "SELECT * FROM information_schema.columns",
            "DESCRIBE m",
            "EXPLAIN SELECT * FROM m",
        ] {
            let answer = try_rows(&session, sql).await.unwrap().join("\n");
            assert!(!answer.contains("kept") && !answer.contains("secret"), "{}: {sql}: {answer}", instance.backend);
        }
    }
}

/// Q01, Q02, Q09, Q11, Q14, Q16, Q21, Q22, Q32.
fn bad_statements() -> Vec<(String, &'static str)> {
    let mut statements = vec![
        (format!("SELECT {}", vec!["1"; 100_000].join("+")), "too_complex"),
        (format!("SELECT * FROM m WHERE {}", vec!["v = 1"; 20_000].join(" OR ")), "too_complex"),
        (format!("SELECT {}1{}", "abs(".repeat(5_000), ")".repeat(5_000)), "too_complex"),
    ];
    let short = [
        ("COPY m TO '/tmp/x'", "not_allowed"),
        ("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'", "not_allowed"),
        ("SELECT * FROM '/etc/passwd'", "not_allowed"),
        ("INSERT INTO m VALUES (1)", "not_allowed"),
        ("DROP TABLE m", "not_allowed"),
        ("SET x = 1", "not_allowed"),
        ("SHOW ALL", "not_allowed"),
        ("SHOW FUNCTIONS", "unsupported_sql"),
        ("SELECT 1; DROP TABLE m", "multiple_statements"),
        ("SELECT * FROM other.public.m", "unknown_table"),
        ("SELECT * FROM pg_catalog.pg_class", "unknown_table"),
        ("SELECT * FROM pg_stat_activity", "unknown_table"),
        ("DESCRIBE other", "unknown_table"),
        ("SELECT read_text('/etc/passwd')", "unknown_function"),
        ("SELECT * FROM read_csv('/etc/passwd')", "unknown_function"),
        ("SELECT current_setting('x')", "unknown_function"),
        ("SELECT nothing FROM m", "unknown_column"),
        ("SELECT CAST(v AS DOUBLE) FROM m", "cannot_cast"),
        ("SELECT 1 / (length(v) - 4) FROM m", "division_by_zero"),
        ("SELECT 1 FROM m WHERE timestamp > 'yesterday'", "cannot_cast"),
        ("SELECT 1 FROM m WHERE timestamp > 5", "cannot_compare"),
        ("", "sql_syntax"),
        ("--\0", "sql_syntax"),
        ("SELECT 'x", "sql_syntax"),
        ("SELECT \u{0}", "sql_syntax"),
    ];
    statements.extend(short.map(|(sql, code)| (sql.to_owned(), code)));
    statements
}

// T3
#[tokio::test]
async fn every_bad_statement_is_refused_with_its_code_and_the_next_one_is_answered() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        ingest(fineo, &acme, event("\"v\":\"warm\"")).await;
        let session = fineo.session(&acme);
        for (sql, code) in bad_statements() {
            let shown = &sql[..sql.len().min(100)];
            let refusal = try_rows(&session, &sql).await.map(|_| ()).unwrap_err();
            let found = refusal.context().iter().find(|(name, _)| *name == "code").map(|(_, code)| code.as_str());
            assert_eq!(found, Some(code), "{}: {shown}: {refusal:?}", instance.backend);
            assert_ne!(refusal.kind(), ErrorKind::Internal, "{}: {shown}", instance.backend);
        }
        assert_eq!(rows(fineo, &acme, "SELECT v FROM m").await, ["warm"], "{}", instance.backend);
        // Q12: a plan says nothing of where things are.
        let plan = rows(fineo, &acme, "EXPLAIN ANALYZE VERBOSE SELECT * FROM m").await.join("\n");
        assert!(!plan.contains("/tmp") && !plan.contains(".avro") && !plan.contains("segment"), "{plan}");
    }
}
