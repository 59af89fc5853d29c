//! The Postgres door, as tokio-postgres sees it.

use std::time::Duration;

use futures::TryStreamExt;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, error::SqlState, types::Type};

use crate::desk::Desk;

fn config(desk: &Desk, user: &str, password: &str) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(desk.pg.port()).user(user).password(password).dbname("fineo");
    config
}

async fn connect(desk: &Desk, user: &str, password: &str) -> Client {
    let (client, connection) = config(desk, user, password).connect(NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

async fn acme(desk: &Desk) -> Client {
    connect(desk, "acme", &desk.token).await
}

/// The rows of a simple query: values separated by `|`, null as `-`.
async fn ask(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|index| row.get(index).unwrap_or("-")).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

async fn state(client: &Client, sql: &str) -> SqlState {
    client.simple_query(sql).await.unwrap_err().code().unwrap().clone()
}

#[tokio::test]
async fn every_type_is_told_as_text() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let sql = "SELECT timestamp, device, temp, price, \"on\", raw, n, day, blob FROM thermostat ORDER BY timestamp";
    assert_eq!(
        ask(&client, sql).await,
        [
            "2026-01-05 08:00:00+00|t-01|20.5|1.10|t|{\"a\":1}|7|2026-02-28|\\x010203",
            "2026-01-05 08:30:00.123456+00|t-02|21.5|-|f|-|8|-|-",
            "2026-01-05 09:00:00+00|t-03|-|-|-|-|-|-|-",
        ]
    );
}

#[tokio::test]
async fn every_type_is_told_as_binary_with_its_number() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let sql = "SELECT timestamp, device, temp, \"on\", raw, n, price, day, blob, make_array(n, n + 1) AS many \
               FROM thermostat WHERE device = 't-01'";
    let statement = client.prepare(sql).await.unwrap();
    let types: Vec<Type> = statement.columns().iter().map(|column| column.type_().clone()).collect();
    let expected = [
        Type::TIMESTAMPTZ,
        Type::TEXT,
        Type::FLOAT8,
        Type::BOOL,
        Type::JSON,
        Type::INT8,
        Type::NUMERIC,
        Type::DATE,
        Type::BYTEA,
        Type::INT8_ARRAY,
    ];
    assert_eq!(types, expected);
    let row = client.query_one(&statement, &[]).await.unwrap();
    let at: std::time::SystemTime = row.get(0);
    assert_eq!(at.duration_since(std::time::UNIX_EPOCH).unwrap(), Duration::from_secs(1_767_600_000));
    assert_eq!(row.get::<_, &str>(1), "t-01");
    assert_eq!(row.get::<_, f64>(2), 20.5);
    assert!(row.get::<_, bool>(3));
    assert_eq!(row.get::<_, i64>(5), 7);
    assert_eq!(row.get::<_, &[u8]>(8), [1, 2, 3]);
    assert_eq!(row.get::<_, Vec<i64>>(9), [7, 8]);
}

#[tokio::test]
async fn parameters_have_the_types_that_their_places_ask_for() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let statement = client.prepare("SELECT device FROM thermostat WHERE temp > $1 AND device <> $2").await.unwrap();
    assert_eq!(statement.params(), [Type::FLOAT8, Type::TEXT]);
    let rows = client.query(&statement, &[&20.0_f64, &"t-01"]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["t-02"]);
    let since = std::time::UNIX_EPOCH + Duration::from_secs(1_767_601_000);
    let sql = "SELECT count(*) FROM thermostat WHERE timestamp >= $1";
    assert_eq!(client.query_one(sql, &[&since]).await.unwrap().get::<_, i64>(0), 2);
}

#[tokio::test]
async fn a_portal_is_fetched_in_parts() {
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT device FROM thermostat ORDER BY device", &[]).await.unwrap();
    let sizes = [2, 2, 2];
    let mut found = Vec::new();
    for size in sizes {
        found.push(transaction.query_portal(&portal, size).await.unwrap().len());
    }
    assert_eq!(found, [2, 1, 0]);
    transaction.commit().await.unwrap();
    ask(&client, "BEGIN; DECLARE c CURSOR FOR SELECT device FROM thermostat ORDER BY device").await;
    assert_eq!(ask(&client, "FETCH FORWARD 2 FROM c").await, ["t-01", "t-02"]);
    assert_eq!(ask(&client, "FETCH ALL FROM c").await, ["t-03"]);
    ask(&client, "CLOSE c; COMMIT").await;
}

#[tokio::test]
async fn an_error_has_a_state_a_position_and_a_hint() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let error = client.simple_query("SELECT tmp FROM thermostat").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code(), &SqlState::UNDEFINED_COLUMN);
    assert_eq!(error.position(), Some(&tokio_postgres::error::ErrorPosition::Original(8)));
    assert!(error.hint().is_some_and(|hint| hint.contains("temp")), "{error:?}");
    for (sql, expected) in [
        ("SELEC 1", SqlState::SYNTAX_ERROR),
        ("SELECT * FROM nothing", SqlState::UNDEFINED_TABLE),
        ("SELECT nothing(1)", SqlState::UNDEFINED_FUNCTION),
        ("SELECT 1/0", SqlState::DIVISION_BY_ZERO),
        ("SELECT CAST(device AS DOUBLE) FROM thermostat", SqlState::INVALID_TEXT_REPRESENTATION),
        ("DROP TABLE thermostat", SqlState::INSUFFICIENT_PRIVILEGE),
        ("INSERT INTO thermostat VALUES (1)", SqlState::INSUFFICIENT_PRIVILEGE),
        ("COPY thermostat TO '/tmp/x'", SqlState::INSUFFICIENT_PRIVILEGE),
    ] {
        assert_eq!(state(&client, sql).await, expected, "{sql}");
    }
    assert_eq!(ask(&client, "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn a_failed_transaction_waits_for_its_end() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    ask(&client, "BEGIN").await;
    assert_eq!(state(&client, "SELECT nothing FROM thermostat").await, SqlState::UNDEFINED_COLUMN);
    assert_eq!(state(&client, "SELECT 1").await, SqlState::IN_FAILED_SQL_TRANSACTION);
    ask(&client, "ROLLBACK").await;
    assert_eq!(ask(&client, "SELECT 1; SELECT 2").await, ["1", "2"]);
}

#[tokio::test]
async fn the_catalog_has_the_tenants_names_and_no_others() {
    // T3
    let desk = Desk::open().await;
    let [acme, rival] = [acme(&desk).await, connect(&desk, "rival", &desk.rival).await];
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";
    assert_eq!(ask(&acme, tables).await, ["fineo_conflicts", "fineo_discovered", "thermostat"]);
    assert_eq!(ask(&rival, tables).await, ["canary", "fineo_conflicts", "fineo_discovered"]);
    let classes = "SELECT relname FROM pg_catalog.pg_class WHERE relkind = 'r' ORDER BY 1";
    assert_eq!(ask(&acme, classes).await, ["thermostat"]);
    assert_eq!(ask(&acme, "SELECT current_user, current_database()").await, ["acme|fineo"]);
    let columns =
        "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON a.attrelid = c.oid WHERE c.relname = 'canary'";
    assert_eq!(ask(&acme, columns).await, Vec::<String>::new());
    let missing = ["SELECT * FROM canary", "SELECT * FROM rival.public.canary", "SELECT * FROM never.public.there"];
    for sql in missing {
        assert_eq!(state(&acme, sql).await, SqlState::UNDEFINED_TABLE, "{sql}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_all_the_same() {
    let desk = Desk::open().await;
    for (user, password) in [("acme", "wrong"), ("nobody", "wrong"), ("rival", desk.token.as_str()), ("acme", "")] {
        let error = config(&desk, user, password).connect(NoTls).await.err().unwrap();
        let Some(error) = error.as_db_error() else { continue };
        assert_eq!((error.code(), error.message()), (&SqlState::INVALID_PASSWORD, "password authentication failed"));
    }
}

#[tokio::test]
async fn settings_are_kept_and_shown_and_tenants_are_not_set() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    ask(&client, "SET application_name TO 'a tool'; SET extra_float_digits = 3").await;
    assert_eq!(ask(&client, "SHOW application_name").await, ["a tool"]);
    assert_eq!(ask(&client, "SHOW TimeZone").await, ["UTC"]);
    assert_eq!(ask(&client, "SHOW transaction isolation level").await, ["read committed"]);
    assert_eq!(state(&client, "SET ROLE rival").await.code(), "42501");
    assert_eq!(state(&client, "SET SESSION AUTHORIZATION rival").await.code(), "42501");
    ask(&client, "DISCARD ALL; RESET ALL; DEALLOCATE ALL; UNLISTEN *").await;
}

/// A query that works for as long as it may.
const LONG: &str =
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT count(*) FROM n";

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_request_stops_the_query() {
    // B3
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let cancel = client.cancel_token();
    let running = tokio::spawn(async move { (client.simple_query(LONG).await, client) });
    let mut attempts = 0;
    while !running.is_finished() {
        cancel.cancel_query(NoTls).await.unwrap();
        attempts += 1;
        assert!(attempts < 1_000, "the query was not cancelled");
        tokio::task::yield_now().await;
    }
    let (outcome, client) = running.await.unwrap();
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    // A request that came late may stop what comes next: requests have no order, neither here nor with Postgres.
    while let Err(error) = client.simple_query("SELECT 1").await {
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_its_session() {
    // P4
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let running = tokio::spawn(async move { client.simple_query(LONG).await });
    desk.shared.credentials.revoke(&desk.token_id).await.unwrap();
    let error = running.await.unwrap().unwrap_err();
    assert!(error.is_closed() || error.code().is_some_and(|state| state.code() == "28000"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_takes_its_query_with_it() {
    // B3
    let desk = Desk::open().await;
    let (client, connection) = config(&desk, "acme", &desk.token).connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let running = tokio::spawn(async move { drop(client.simple_query(LONG).await) });
    while desk.shared.connections.open() == 0 {
        tokio::task::yield_now().await;
    }
    running.abort();
    connection.abort();
    let gone = async {
        while desk.shared.connections.open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), gone).await.expect("the session ends within two seconds");
}

#[tokio::test]
async fn a_long_answer_streams() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let sql = "SELECT value, repeat('x', 100) FROM generate_series(1, 200000)";
    let rows = client.query_raw(sql, Vec::<String>::new()).await.unwrap();
    let count = rows.try_fold(0, |count, _| async move { Ok(count + 1) }).await.unwrap();
    assert_eq!(count, 200_000);
}

#[tokio::test]
async fn a_list_may_be_written_as_a_text() {
    // What pgcli asks to complete the names of tables, and other spellings of it.
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let tables = "SELECT n.nspname schema_name, c.relname table_name FROM pg_catalog.pg_class c \
                  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind ";
    for (listed, expected) in [
        ("= ANY('{r,p,f}')", &["public|thermostat"][..]),
        ("= any ('{r, p, \"f\"}'::text[])", &["public|thermostat"]),
        ("= ANY(CAST('{r}' AS \"char\"[]))", &["public|thermostat"]),
        ("= ANY(ARRAY['r', 'p'])", &["public|thermostat"]),
        ("= ANY('{p,f}')", &[]),
        ("= ANY('{}')", &[]),
        ("<> ALL('{v,m,i,S,t}') AND c.relname <> ALL('{}')", &["public|thermostat"][..]),
    ] {
        let found = ask(&client, &format!("{tables}{listed} AND n.nspname = 'public' ORDER BY 1, 2")).await;
        assert_eq!(found, expected, "{listed}");
    }
    let nothing = "SELECT count(*) FROM pg_class WHERE relname = ANY('{NULL,\"null\"}') OR relname = ANY(E'{a\\\\,b}')";
    assert_eq!(ask(&client, nothing).await, ["0"]);
    let quoted = "SELECT relname FROM pg_class WHERE relname = ANY('{\"a, b\",thermostat}')";
    assert_eq!(ask(&client, quoted).await, ["thermostat"]);
    // Whose items are of a type that only the list's place tells, as psycopg sends them.
    for (sql, list) in [
        ("SELECT relname FROM pg_class WHERE relkind = ANY($1) AND relname <> ALL($2)", vec!["r", "p"]),
        ("SELECT relname FROM pg_class c WHERE (c.relkind)::text = ANY(($1)) AND NOT oid = ANY($2)", vec!["r"]),
    ] {
        let rows =
            client.query(sql, &[&list, &Vec::<&str>::new()]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["thermostat"], "{sql}");
    }
    let numbered = "SELECT typname FROM pg_catalog.pg_type WHERE oid = ANY('{16,25}') ORDER BY oid";
    assert_eq!(ask(&client, numbered).await, ["bool", "text"]);
    for text in ["r,p", "{r,}", "{\"r\"p}", "{{r}}", "{\"r}"] {
        let malformed = format!("SELECT relname FROM pg_class WHERE relkind = ANY('{text}')");
        assert_eq!(state(&client, &malformed).await, SqlState::INVALID_TEXT_REPRESENTATION, "{text}");
    }
    let columns = "SELECT nsp.nspname, cls.relname, att.attname, att.atttypid::regtype::text, att.atthasdef, \
                   pg_catalog.pg_get_expr(def.adbin, def.adrelid, true) as default FROM pg_catalog.pg_attribute att \
                   INNER JOIN pg_catalog.pg_class cls ON att.attrelid = cls.oid \
                   INNER JOIN pg_catalog.pg_namespace nsp ON cls.relnamespace = nsp.oid \
                   LEFT OUTER JOIN pg_attrdef def ON def.adrelid = att.attrelid AND def.adnum = att.attnum \
                   WHERE cls.relkind = ANY('{r,p,f}') AND NOT att.attisdropped AND att.attnum > 0 \
                   ORDER BY 1, 2, att.attnum";
    assert!(ask(&client, columns).await.iter().any(|row| row.starts_with("public|thermostat|temp|")));
}

#[tokio::test]
async fn what_no_tenant_has_is_null_where_clients_look_it_up_for_each_column() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let columns = "SELECT a.attname, (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d \
                   WHERE a.atthasdef AND d.adrelid = a.attrelid AND d.adnum = a.attnum) AS \"default\", \
                   CASE WHEN a.attcollation != 0 AND (SELECT t.typcollation FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid) \
                   != a.attcollation THEN (SELECT c.collname FROM pg_catalog.pg_collation c WHERE c.oid = a.attcollation) END \
                   FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
                   WHERE c.relname = 'thermostat' AND a.attname = 'temp'";
    assert_eq!(ask(&client, columns).await, ["temp|-|-"]);
    let keys = "SELECT result.column_name, result.key_seq FROM (SELECT a.attname AS column_name, \
                (information_schema._pg_expandarray(i.indkey)).n AS key_seq, \
                information_schema._pg_expandarray(i.indkey) AS keys, a.attnum AS a_attnum FROM pg_catalog.pg_class ct \
                JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid) \
                WHERE i.indisprimary) result WHERE result.a_attnum = (result.keys).x ORDER BY result.key_seq";
    assert_eq!(ask(&client, keys).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_no_tenant_has_is_asked_for_in_words_of_every_kind() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let rows = async |sql: &str, names: &[&str]| {
        let statement = client.prepare(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let found: Vec<&str> = statement.columns().iter().map(|column| column.name()).collect();
        assert_eq!(found, names, "{sql}");
        ask(&client, sql).await
    };
    // What drivers ask for: indexes of a table, keys, types one by one, settings that they need to begin with.
    let indexes = "SELECT i.indrelid, c.relname, c.reloptions, array_agg(a.attname ORDER BY k.ord) FILTER (WHERE k.n > 0) \
                   FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON i.indexrelid = c.oid LEFT OUTER JOIN (SELECT \
                   indexrelid, unnest(indkey) AS n, generate_subscripts(indkey, 1) AS ord FROM pg_index) k ON true \
                   LEFT JOIN pg_attribute a ON a.attnum = k.n GROUP BY 1, 2, 3 ORDER BY i.indrelid";
    assert!(rows(indexes, &["indrelid", "relname", "reloptions", "array_agg"]).await.is_empty());
    let options = "SELECT relname, reloptions, NULL, NULL FROM pg_class WHERE relname = 'thermostat'";
    let found = rows(options, &["relname", "reloptions", "?column?", "?column?_2"]).await;
    assert_eq!(found, ["thermostat|-|-|-"]);
    let list_type =
        "SELECT typinput = 'pg_catalog.array_in'::regproc AS is_list, typname FROM pg_type WHERE oid IN (16, 1007)";
    let mut found = rows(list_type, &["is_list", "typname"]).await;
    found.sort();
    assert_eq!(found, ["f|bool", "t|_int4"]);
    let based = "SELECT typname FROM pg_type t WHERE (SELECT CASE WHEN b.oid = 23 THEN 4 ELSE 1111 END FROM pg_type b \
                 WHERE b.oid = t.typelem) = 4";
    assert_eq!(rows(based, &["typname"]).await, ["_int4"]);
    let keys = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_index_keys'";
    assert_eq!(rows(keys, &["setting"]).await, ["32"]);
    let views = "SELECT viewname, definition IS NULL AS u FROM pg_views ORDER BY 1";
    assert_eq!(rows(views, &["viewname", "u"]).await.first().map(String::as_str), Some("fineo_conflicts|f"));
    let defined =
        "SELECT count(*) AS n FROM pg_description d RIGHT JOIN pg_class c ON d.objoid = c.oid WHERE c.relkind = 'r'";
    assert_eq!(rows(defined, &["n"]).await, ["1"]);
    let types = (0..700).map(|oid| format!("oid = {oid}")).collect::<Vec<_>>().join(" OR ");
    assert!(!ask(&client, &format!("SELECT typname FROM pg_type WHERE {types}")).await.is_empty());
}

#[tokio::test]
async fn a_list_is_a_parameter_where_it_is_compared_with() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let by_text = client.prepare("SELECT device FROM thermostat WHERE device = ANY($1) ORDER BY 1").await.unwrap();
    assert_eq!(by_text.params(), [Type::TEXT_ARRAY]);
    for (list, expected) in [(vec!["t-03", "t-01", "x, \"y"], vec!["t-01", "t-03"]), (vec![], vec![])] {
        let rows = client.query(&by_text, &[&list]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), expected);
    }
    assert!(client.query(&by_text, &[&None::<Vec<&str>>]).await.unwrap().is_empty());
    let count = async |sql: &str, list: &(dyn tokio_postgres::types::ToSql + Sync)| {
        let sql = format!("SELECT count(*) FROM thermostat WHERE {sql}");
        client.query_one(&sql, &[list]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get::<_, i64>(0)
    };
    assert_eq!(count("temp = ANY($1)", &vec![20.5, 3.0]).await, 1);
    assert_eq!(count("n <> ALL($1)", &vec![7_i64]).await, 1);
    assert_eq!(count("device <> ALL($1)", &Vec::<&str>::new()).await, 3);
    assert_eq!(count("NOT device = ANY($1)", &Vec::<&str>::new()).await, 3);
    assert_eq!(count("device = ANY($1::text[]) OR temp > 21", &vec!["t-01"]).await, 2);
    let at = std::time::UNIX_EPOCH + Duration::from_secs(1_767_600_000);
    assert_eq!(count("timestamp = ANY($1)", &vec![at]).await, 1);
    let elsewhere = client.prepare_typed("SELECT $1", &[Type::TEXT_ARRAY]).await.unwrap_err();
    assert_eq!(elsewhere.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED));
}
