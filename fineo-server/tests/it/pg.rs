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

pub(crate) async fn connect(desk: &Desk, user: &str, password: &str) -> Client {
    let (client, connection) = config(desk, user, password).connect(NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

pub(crate) async fn acme(desk: &Desk) -> Client {
    connect(desk, "acme", &desk.token).await
}

/// The rows of a simple query: values separated by `|`, null as `-`.
pub(crate) async fn ask(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|index| row.get(index).unwrap_or("-")).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

pub(crate) async fn state(client: &Client, sql: &str) -> SqlState {
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
async fn values_without_digits_are_told_by_the_words_of_postgres() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let sql =
        "SELECT x, CAST(x AS REAL) AS r FROM (VALUES ('Infinity'::double), ('-Infinity'), ('NaN'), (2.5)) AS t(x)";
    assert_eq!(ask(&client, sql).await, ["Infinity|Infinity", "-Infinity|-Infinity", "NaN|NaN", "2.5|2.5"]);
    let zeros = "SELECT -0.0::double precision, CAST(-0.0::double AS REAL), 0.0::double precision, 0.0::real";
    assert_eq!(ask(&client, zeros).await, ["-0|-0|0|0"]);
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
        ("SELECT 1 FROM thermostat WHERE \"on\" = 'maybe'", SqlState::INVALID_TEXT_REPRESENTATION),
        ("SELECT 1 + (SELECT value FROM generate_series(1, 2))", SqlState::from_code("22000")),
        ("FETCH ALL FROM nothing", SqlState::INVALID_CURSOR_NAME),
        ("DEALLOCATE nothing", SqlState::INVALID_SQL_STATEMENT_NAME),
        ("SHOW nothing", SqlState::UNDEFINED_OBJECT),
    ] {
        let error = client.simple_query(sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code(), &expected, "{sql}");
        assert!(error.hint().is_some_and(|hint| hint.len() > 10), "{sql}: {error:?}");
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
