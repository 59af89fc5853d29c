//! Two tenants with the same names in one instance: neither ever sees a trace of the other.

use crate::support::{ingest, instances, tenant, try_rows};

/// A word that only the other tenant's data, schema and errors contain.
const CANARY: &str = "kanarienvogel";

fn attacks() -> Vec<String> {
    let tables = [
        "other.public.m",
        "\"other\".\"public\".\"m\"",
        "fineo.other.m",
        "other.m",
        "\"other/m\"",
        "\"other.m\"",
        "public.kanarienvogel",
        "fineo.public.kanarienvogel",
        "\"m'--\"",
        "\"m\"\"\"",
        "n1",
        "errors.other",
        "other.errors.stream",
        "fineo.errors.stream",
        "information_schema.tables",
        "information_schema.columns",
        "information_schema.schemata",
        "information_schema.views",
        "information_schema.df_settings",
        "pg_catalog.pg_class",
        "fineo_discovered",
        "fineo_conflicts",
        "errors.stream",
        "errors.stream e JOIN m ON true",
        "m a JOIN m b ON a.timestamp = b.timestamp",
        "(SELECT * FROM errors.stream) s",
    ];
    let mut attacks: Vec<String> = tables.iter().map(|table| format!("SELECT * FROM {table}")).collect();
    for condition in
        ["1=1", "tenant = 'other'", "_fineo_tenant = 'other'", "v = 'x' OR 1=1", "metric IS NOT NULL OR true"]
    {
        attacks.push(format!("SELECT * FROM m WHERE {condition}"));
        attacks.push(format!("SELECT * FROM errors.stream WHERE {condition}"));
    }
    for statement in [
        "SHOW TABLES",
        "SHOW ALL",
        "SHOW COLUMNS FROM m",
        "DESCRIBE m",
        "DESCRIBE kanarienvogel",
        "EXPLAIN SELECT * FROM m",
        "EXPLAIN VERBOSE SELECT * FROM m",
        "EXPLAIN ANALYZE SELECT * FROM m",
        "SELECT secre FROM m",
        "SELECT kanarienvoge FROM m",
        "SELECT * FROM kanarienvoge",
        "SELECT _fineo_shard, _fineo_position FROM m",
        "WITH o AS (TABLE other.public.m) SELECT * FROM o",
    ] {
        attacks.push(statement.to_owned());
    }
    attacks
}

// T1, T3, T4
#[tokio::test]
async fn no_query_shows_a_trace_of_another_tenant() {
    for instance in instances().await {
        let (mine, other) = (tenant("mine"), tenant("other"));
        for n in 0..5 {
            ingest(
                &instance.fineo,
                &mine,
                format!(r#"{{"metrictype":"m","timestamp":{n},"v":"x{n}"}} {{"metrictype":"m","v":"late"}}"#),
            )
            .await;
            let body = format!(
                r#"{{"metrictype":"m","timestamp":{n},"v":"{CANARY}","secret_{CANARY}":1}}
                   {{"metrictype":"{CANARY}","timestamp":{n},"v":1}} {{"metrictype":"m","v":"{CANARY}"}}"#
            );
            ingest(&instance.fineo, &other, body).await;
        }
        let session = instance.fineo.session(&mine);
        for attack in attacks() {
            let answer = match try_rows(&session, &attack).await {
                Ok(lines) => lines.join("\n"),
                Err(error) => format!("{error:?}").replace(&attack, ""),
            };
            // The attack's own words may come back; what it did not say may not.
            let trace = answer.replace("public.kanarienvogel", "").replace("kanarienvoge ", "");
            let said = attack.contains("kanarienvoge");
            assert!(said || !trace.contains(CANARY), "{}: {attack}: {answer}", instance.backend);
            assert!(!said || !answer.contains("secret_"), "{}: {attack}: {answer}", instance.backend);
        }
        let all = try_rows(&session, "SELECT v FROM m ORDER BY timestamp").await.unwrap();
        assert_eq!(all, ["x0", "x1", "x2", "x3", "x4"], "{}", instance.backend);
    }
}

// T4
#[tokio::test]
async fn a_foreign_table_and_a_missing_one_are_told_alike() {
    for instance in instances().await {
        let (mine, other) = (tenant("mine"), tenant("other"));
        ingest(&instance.fineo, &mine, r#"{"metrictype":"m","timestamp":1,"v":1}"#).await;
        ingest(&instance.fineo, &other, r#"{"metrictype":"foreign","timestamp":1,"v":1}"#).await;
        let session = instance.fineo.session(&mine);
        let foreign = try_rows(&session, "SELECT * FROM foreign").await.unwrap_err();
        let missing = try_rows(&session, "SELECT * FROM missing").await.unwrap_err();
        let told = |error: &fineo::Error, name: &str| format!("{error:?}").replace(name, "NAME");
        assert_eq!(told(&foreign, "foreign"), told(&missing, "missing"), "{}", instance.backend);
    }
}
