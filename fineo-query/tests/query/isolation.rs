//! Two tenants with the same names: neither finds a trace of the other. T1, T3, T4, T5.

use crate::desk::Desk;

/// What only the other tenant has.
const CANARY: &str = "canary_7f3a";

async fn two() -> Desk {
    let mut desk = Desk::new();
    desk.rows("acme", "m", &[&[("v", "own")]]).await;
    desk.rows("other", "m", &[&[("v", "canary_7f3a"), ("canary_7f3a_field", "1")]]).await;
    desk.rows("other", "canary_7f3a_metric", &[&[("v", "canary_7f3a")]]).await;
    desk
}

#[tokio::test]
async fn no_query_shows_a_trace_of_another_tenant() {
    let desk = two().await;
    for sql in [
        "SELECT * FROM m",
        "SELECT * FROM public.m",
        "SELECT * FROM fineo.public.m",
        "SELECT * FROM other.m",
        "SELECT * FROM \"other\".\"public\".\"m\"",
        "SELECT * FROM other.public.m",
        "SELECT * FROM \"other/m\"",
        "SELECT * FROM \"m\" UNION ALL SELECT * FROM \"m\"",
        "SELECT * FROM m a JOIN m b ON true",
        "SELECT * FROM errors.stream",
        "SELECT * FROM other.errors.stream",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM information_schema.schemata",
        "SELECT * FROM information_schema.df_settings",
        "SELECT * FROM other.information_schema.tables",
        "SELECT * FROM pg_catalog.pg_tables",
        "SELECT * FROM pg_stat_activity",
        "SELECT * FROM fineo_discovered",
        "SELECT * FROM fineo_conflicts",
        "SELECT canary FROM m",
        "SELECT canary_7f3 FROM m",
        "SELECT * FROM canary_7f3a_metri",
        "SELECT v FROM m WHERE _fineo_alias = 'm' OR 1 = 1",
        "SHOW TABLES",
        "SHOW ALL",
        "SHOW FUNCTIONS",
        "SHOW COLUMNS FROM m",
        "DESCRIBE other.m",
        "EXPLAIN SELECT * FROM m",
        "EXPLAIN ANALYZE SELECT * FROM m",
        "EXPLAIN VERBOSE SELECT * FROM m",
        "SELECT v, (SELECT max(v) FROM other.public.m) FROM m",
        "WITH m AS (SELECT * FROM m) SELECT * FROM m",
    ] {
        let shown = match desk.try_ask("acme", sql, &[]).await {
            Ok(answer) => answer,
            Err(error) => format!("{error:?}"),
        };
        assert!(!shown.contains("canary_7f3a") || sql.contains("canary"), "{sql}: {shown}");
        assert!(!shown.contains("canary_7f3a_field"), "{sql}: {shown}");
    }
}

#[tokio::test]
async fn what_another_tenant_has_and_what_nobody_has_are_refused_alike() {
    // T4
    let desk = two().await;
    for (foreign, missing) in [
        ("SELECT * FROM canary_7f3a_metric", "SELECT * FROM nobody_7f3a_metric"),
        ("SELECT canary_7f3a_field FROM m", "SELECT nobody_7f3a_field FROM m"),
        ("SELECT * FROM other.canary_7f3a_metric", "SELECT * FROM other.nobody_7f3a_metric"),
        ("DESCRIBE canary_7f3a_metric", "DESCRIBE nobody_7f3a_metric"),
    ] {
        let foreign = desk.try_ask("acme", foreign, &[]).await.unwrap_err();
        let missing = desk.try_ask("acme", missing, &[]).await.unwrap_err();
        assert_eq!(foreign.kind(), missing.kind());
        assert_eq!(foreign.to_string().replace("canary", "nobody"), missing.to_string());
    }
    assert!(desk.try_ask("other", "SELECT * FROM m", &[]).await.unwrap().contains(CANARY));
}
