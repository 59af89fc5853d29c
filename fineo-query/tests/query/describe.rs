//! What a statement takes and gives is known before it is asked. Semantics 4.6.

use arrow::datatypes::{DataType, TimeUnit};
use fineo_core::TenantId;
use fineo_query::Parameter;

use crate::desk::{Desk, field};

async fn thermostat() -> Desk {
    let mut desk = Desk::new();
    desk.rows("acme", "thermostat", &[&[("temp", "21.5"), ("price", "1.10"), ("raw", "{\"a\":1}"), ("device", "d1")]])
        .await;
    let changes = vec![
        field("thermostat", "temp", "double", &[]),
        field("thermostat", "price", "decimal(10,2)", &[]),
        field("thermostat", "raw", "json", &[]),
    ];
    desk.apply("acme", changes).await;
    desk
}

async fn check(sql: &str, given: &[Option<DataType>], parameters: &[Option<DataType>], columns: &[(&str, DataType)]) {
    let session = thermostat().await.engine.session(&TenantId::new("acme").unwrap());
    let described = session.describe(sql, given).await.unwrap();
    assert_eq!(described.parameters, parameters, "{sql}");
    let fields = described.schema.fields().iter();
    let found: Vec<_> = fields.map(|field| (field.name().as_str(), field.data_type().clone())).collect();
    assert_eq!(found, columns, "{sql}");
}

#[tokio::test]
async fn a_parameter_has_the_type_that_its_place_asks_for() {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let parameters = [Some(DataType::Float64), Some(instant)];
    let sql = "SELECT temp FROM thermostat WHERE temp > $1 AND timestamp >= $2";
    check(sql, &[], &parameters, &[("temp", DataType::Float64)]).await;
}

#[tokio::test]
async fn a_type_that_is_given_stands() {
    let sql = "SELECT $1 AS one FROM thermostat";
    check(sql, &[Some(DataType::Int64)], &[Some(DataType::Int64)], &[("one", DataType::Int64)]).await;
    check(sql, &[], &[None], &[("one", DataType::Utf8View)]).await;
}

#[tokio::test]
async fn a_column_of_json_says_so() {
    let session = thermostat().await.engine.session(&TenantId::new("acme").unwrap());
    let described = session.describe("SELECT raw AS j FROM thermostat", &[]).await.unwrap();
    assert_eq!(described.schema.field(0).extension_type_name(), Some("arrow.json"));
}

#[tokio::test]
async fn decimals_and_days_are_parameters() {
    let desk = thermostat().await;
    let price = Parameter::Decimal { value: 110, scale: 2 };
    let day = Parameter::Date(20_454);
    let sql = "SELECT device FROM thermostat WHERE price = $1 AND CAST(timestamp AS DATE) = $2";
    assert_eq!(desk.try_ask("acme", sql, &[price, day]).await.unwrap(), "device\nd1");
}

#[tokio::test]
async fn what_cannot_be_asked_cannot_be_described() {
    let session = thermostat().await.engine.session(&TenantId::new("acme").unwrap());
    for (sql, code) in
        [("SELECT nothing FROM thermostat WHERE temp = $1", "unknown_column"), ("DROP TABLE thermostat", "not_allowed")]
    {
        let error = session.describe(sql, &[]).await.unwrap_err();
        let found = error.context().iter().find(|(name, _)| *name == "code").map(|(_, code)| code.as_str());
        assert_eq!(found, Some(code), "{sql}: {error}");
    }
}
