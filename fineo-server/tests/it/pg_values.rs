//! Parameters at the Postgres door whose type the place says.

use tokio_postgres::{Client, error::SqlState, types::Type};

use crate::{desk::Desk, pg::acme};

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
