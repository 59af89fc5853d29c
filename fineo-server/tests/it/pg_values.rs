//! Parameters at the Postgres door whose type the place says.

use tokio_postgres::{Client, error::SqlState, types::Type};

use crate::{
    desk::Desk,
    pg::{acme, ask},
};

/// A value as clients send it that leave its type to the server: text.
#[derive(Debug)]
struct Text(&'static str);

impl tokio_postgres::types::ToSql for Text {
    fn to_sql(
        &self,
        _of: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(_of: &Type) -> bool {
        true
    }

    fn encode_format(&self, _of: &Type) -> tokio_postgres::types::Format {
        tokio_postgres::types::Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A value as clients send it that know its type: in the bytes of that type.
#[derive(Debug)]
struct Binary(Vec<u8>);

impl tokio_postgres::types::ToSql for Binary {
    fn to_sql(
        &self,
        _of: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(_of: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// An interval in its bytes: microseconds, days, months.
fn interval(micros: i64, days: i32, months: i32) -> Binary {
    Binary([&micros.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat())
}

async fn count(client: &Client, sql: &str, value: &'static str) -> usize {
    client.query(sql, &[&Text(value)]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).len()
}

/// A table of one column of type real.
const REALS: &str = "SELECT r FROM (SELECT CAST(x AS REAL) AS r FROM (VALUES (0.1), (2.5)) AS t(x)) AS t WHERE r";

#[tokio::test]
async fn a_text_beside_a_real_is_the_real_that_it_says() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    assert_eq!(count(&client, &format!("{REALS} = $1"), "0.1").await, 1);
    assert_eq!(count(&client, &format!("{REALS} <= $1"), "0.1").await, 1);
    assert_eq!(count(&client, &format!("{REALS} > $1"), "0.1").await, 1);
    assert_eq!(count(&client, &format!("{REALS} = ANY($1)"), "{0.1,2.5}").await, 2);
    let binary = client.query(&format!("{REALS} = $1"), &[&0.1_f32]).await.unwrap();
    assert_eq!(binary.len(), 1);
    let called_text = client.prepare_typed(&format!("{REALS} = $1"), &[Type::TEXT]).await.unwrap();
    assert_eq!(client.query(&called_text, &[&"0.1"]).await.unwrap().len(), 1);
    let beyond = client.query(&format!("{REALS} = $1"), &[&Text("1e39")]).await.unwrap_err();
    assert_eq!(beyond.code(), Some(&SqlState::NUMERIC_VALUE_OUT_OF_RANGE));
}

#[tokio::test]
async fn limit_and_offset_take_parameters_of_no_said_type() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    assert_eq!(count(&client, "SELECT device FROM thermostat ORDER BY 1 LIMIT $1", "2").await, 2);
    assert_eq!(count(&client, "SELECT device FROM thermostat ORDER BY 1 OFFSET $1", "2").await, 1);
    assert_eq!(count(&client, "SELECT device FROM thermostat ORDER BY 1 LIMIT ($1)", "2").await, 2);
    let fetched = "SELECT device FROM thermostat ORDER BY 1 OFFSET 1 ROW FETCH NEXT $1 ROWS ONLY";
    assert_eq!(count(&client, fetched, "1").await, 1);
    let prepared = client.prepare("SELECT n FROM thermostat WHERE n < $1 LIMIT $2 OFFSET $3").await.unwrap();
    assert_eq!(prepared.params(), [Type::INT8, Type::INT8, Type::INT8]);
}

#[tokio::test]
async fn a_column_is_of_the_type_that_was_told_whatever_the_value() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let rows =
        client.query("SELECT CAST(n AS INT) + $1 AS x FROM thermostat WHERE n = 7", &[&Text("5")]).await.unwrap();
    assert_eq!(rows[0].get::<_, i32>("x"), 12);
    let rows = client.query("SELECT CAST(n AS INT) + $1 FROM thermostat WHERE n = 7", &[&5_i32]).await.unwrap();
    assert_eq!(rows[0].get::<_, i32>(0), 12);
    let rows = client.query("SELECT CAST(temp AS REAL) + $1 AS x FROM thermostat WHERE n = 7", &[&Text("0.5")]).await;
    assert_eq!(rows.unwrap()[0].get::<_, f32>("x"), 21.0);
}

#[tokio::test]
async fn a_cursor_that_is_to_outlive_its_transaction_is_refused() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let refused = client.simple_query("DECLARE c CURSOR WITH HOLD FOR SELECT 1").await.unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code(), &SqlState::FEATURE_NOT_SUPPORTED);
    assert!(refused.hint().unwrap().contains("WITH HOLD"));
    client.simple_query("BEGIN; DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1; COMMIT").await.unwrap();
}

/// What `sql` answers, a text, for a value of the type `of`.
async fn answered(client: &Client, sql: &str, of: Type, value: &(dyn tokio_postgres::types::ToSql + Sync)) -> String {
    let prepared = client.prepare_typed(sql, &[of]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = client.query_one(&prepared, &[value]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    row.get(0)
}

#[tokio::test]
async fn intervals_and_times_of_day_are_parameters() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let before = "SELECT CAST(TIMESTAMP '2024-03-31 12:00:00' - $1 AS TEXT)";
    let length = interval(4 * 3_600_000_000, 1, 1);
    assert_eq!(answered(&client, before, Type::INTERVAL, &length).await, "2024-02-28T08:00:00");
    assert_eq!(answered(&client, before, Type::INTERVAL, &Text("1 mon 1 day 04:00:00")).await, "2024-02-28T08:00:00");
    assert_eq!(answered(&client, before, Type::INTERVAL, &Text("P1M1DT4H")).await, "2024-02-28T08:00:00");
    let twice = "SELECT CAST(extract(epoch FROM $1 * 2) AS TEXT)";
    assert_eq!(answered(&client, twice, Type::INTERVAL, &interval(1_500_000, 0, 0)).await, "3.0");
    let at = "SELECT CAST(DATE '2024-03-31' + $1 AS TEXT)";
    let noon = Binary((12 * 3_600_000_000_i64).to_be_bytes().to_vec());
    assert_eq!(answered(&client, at, Type::TIME, &noon).await, "2024-03-31T12:00:00");
    assert_eq!(answered(&client, at, Type::TIME, &Text("12:30:00.5")).await, "2024-03-31T12:30:00.500");
    let longer = "SELECT device FROM thermostat WHERE timestamp - TIMESTAMP '2020-01-01 00:00:00' > $1 LIMIT 1";
    let longer = client.prepare_typed(longer, &[Type::INTERVAL]).await.unwrap();
    assert_eq!(client.query(&longer, &[&Text("1 day")]).await.unwrap().len(), 1);
    let prepared = client.prepare_typed(before, &[Type::INTERVAL]).await.unwrap();
    let refused = client.query(&prepared, &[&Text("soon")]).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INVALID_DATETIME_FORMAT));
}

#[tokio::test]
async fn a_parameter_that_is_a_day_keeps_the_hours_that_are_taken_from_it() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let days = 8_796_i32; // 2024-01-31, counted from 2000-01-01.
    let sql = "SELECT CAST($1 - INTERVAL '36 hours' AS TEXT)";
    assert_eq!(answered(&client, sql, Type::DATE, &Text("2024-01-31")).await, "2024-01-29T12:00:00");
    assert_eq!(answered(&client, sql, Type::DATE, &Binary(days.to_be_bytes().to_vec())).await, "2024-01-29T12:00:00");
    let described = client.prepare_typed("SELECT $1 - INTERVAL '36 hours' AS x", &[Type::DATE]).await.unwrap();
    assert_eq!(described.columns()[0].type_(), &Type::TIMESTAMP);
}

#[tokio::test]
async fn a_time_in_a_zone_is_what_a_clock_shows_there() {
    let desk = Desk::open().await;
    let client = acme(&desk).await;
    let sql = "SELECT TIMESTAMP WITH TIME ZONE '2024-07-01 10:00:00Z' AT TIME ZONE 'Europe/Berlin' AS clock, \
               TIMESTAMP '2024-07-01 10:00:00' AT TIME ZONE 'Europe/Berlin' AS instant";
    let prepared = client.prepare(sql).await.unwrap();
    let types: Vec<&Type> = prepared.columns().iter().map(tokio_postgres::Column::type_).collect();
    assert_eq!(types, [&Type::TIMESTAMP, &Type::TIMESTAMPTZ]);
    assert_eq!(ask(&client, sql).await, ["2024-07-01 12:00:00|2024-07-01 08:00:00+00"]);
}
