//! The Flight SQL door, as the Arrow client sees it.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
    util::pretty::pretty_format_batches,
};
use arrow_flight::{
    Action, FlightData, FlightDescriptor, FlightInfo, Ticket,
    sql::{CommandGetDbSchemas, CommandGetTables, CommandStatementIngest, client::FlightSqlServiceClient},
};
use bytes::Bytes;
use fineo::TenantId;
use fineo_server::DoorLimits;
use futures::TryStreamExt;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

use crate::desk::Desk;

pub(crate) type Client = FlightSqlServiceClient<Channel>;

async fn stranger(desk: &Desk) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{}", desk.flight)).unwrap();
    FlightSqlServiceClient::new(endpoint.connect().await.unwrap())
}

pub(crate) async fn acme(desk: &Desk) -> Client {
    let mut client = stranger(desk).await;
    client.set_token(desk.token.clone());
    client
}

async fn rows(client: &mut Client, info: FlightInfo) -> Vec<RecordBatch> {
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    client.do_get(ticket).await.unwrap().try_collect().await.unwrap()
}

pub(crate) async fn shown(client: &mut Client, info: FlightInfo) -> String {
    pretty_format_batches(&rows(client, info).await).unwrap().to_string()
}

#[tokio::test]
async fn a_statement_is_answered_in_arrow() {
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let sql = "SELECT device, temp FROM thermostat WHERE temp > 21";
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    let schema = info.clone().try_decode_schema().unwrap();
    assert_eq!(schema.field(1).data_type(), &DataType::Float64);
    let answer = shown(&mut client, info).await;
    assert!(answer.contains("| t-02   | 21.5 |"), "{answer}");
}

#[tokio::test]
async fn a_prepared_statement_takes_parameters() {
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let mut prepared = client.prepare("SELECT device FROM thermostat WHERE temp < $1".to_owned(), None).await.unwrap();
    assert_eq!(prepared.parameter_schema().unwrap().field(0).data_type(), &DataType::Float64);
    let schema = Arc::new(Schema::new(vec![Field::new("$1", DataType::Float64, true)]));
    let values = RecordBatch::try_new(schema, vec![Arc::new(Float64Array::from(vec![21.0]))]).unwrap();
    prepared.set_parameters(values).unwrap();
    let info = prepared.execute().await.unwrap();
    let answer = shown(&mut client, info).await;
    assert!(answer.contains("t-01") && !answer.contains("t-02"), "{answer}");
    prepared.close().await.unwrap();
}

#[tokio::test]
async fn a_statement_is_asked_with_one_row_of_as_many_values_as_it_takes() {
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let values = |columns: usize, rows: usize| {
        let column = || -> Arc<dyn arrow::array::Array> { Arc::new(Float64Array::from(vec![21.0; rows])) };
        RecordBatch::try_from_iter((1..=columns).map(|number| (format!("${number}"), column()))).unwrap()
    };
    let mut prepared = client.prepare("SELECT device FROM thermostat WHERE temp < $1".to_owned(), None).await.unwrap();
    prepared.set_parameters(values(2, 1)).unwrap();
    let refused = prepared.execute().await.unwrap_err().to_string();
    assert!(refused.contains("taken=1, given=2"), "{refused}");
    prepared.set_parameters(values(1, 3)).unwrap();
    let refused = prepared.execute().await.unwrap_err().to_string();
    assert!(refused.contains("one row, not 3: ask once for each"), "{refused}");
    prepared.set_parameters(values(1, 1)).unwrap();
    for refused in [prepared.execute_update().await, client.execute_update(String::new(), None).await] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("no executemany") && refused.contains("bulk ingest"), "{refused}");
    }
    let nameless = CommandStatementIngest::default();
    let refused = client.execute_ingest(nameless, futures::stream::iter([Ok(texts(1, 1))])).await.unwrap_err();
    assert!(refused.to_string().contains("has no name"), "{refused}");
}

#[tokio::test]
async fn metadata_is_the_tenants_own() {
    // T3
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let info = client.get_catalogs().await.unwrap();
    assert!(shown(&mut client, info).await.contains("fineo"));
    let schemas = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
    let info = client.get_db_schemas(schemas).await.unwrap();
    assert!(shown(&mut client, info).await.contains("public"));
    let tables = CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: None,
        table_types: Vec::new(),
        include_schema: true,
    };
    let info = client.get_tables(tables).await.unwrap();
    let batches = rows(&mut client, info).await;
    let names = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let names = names.column_by_name("table_name").unwrap();
    let names: Vec<&str> = arrow::array::AsArray::as_string::<i32>(names).iter().flatten().collect();
    assert!(names.contains(&"thermostat") && !names.contains(&"canary"), "{names:?}");
    let info = client.get_table_types().await.unwrap();
    assert!(shown(&mut client, info).await.contains("VIEW"));
    client.get_sql_info(Vec::new()).await.unwrap();
    client.get_xdbc_type_info(arrow_flight::sql::CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
}

#[tokio::test]
async fn a_ticket_is_good_for_one_token_only() {
    // W21
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let info = client.execute("SELECT device FROM thermostat".to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut rival = stranger(&desk).await;
    rival.set_token(desk.rival.clone());
    assert!(rival.do_get(ticket.clone()).await.is_err());
    for index in [ticket.ticket.len() / 2, ticket.ticket.len() - 1] {
        let mut forged = ticket.ticket.to_vec();
        forged[index] ^= 1;
        assert!(client.do_get(Ticket::new(forged)).await.is_err(), "byte {index}");
    }
    assert!(stranger(&desk).await.do_get(ticket.clone()).await.is_err());
    client.do_get(ticket).await.unwrap();
}

#[tokio::test]
async fn a_stranger_is_let_in_by_user_and_token_alone() {
    let desk = Desk::open().await;
    let mut client = stranger(&desk).await;
    assert!(client.execute("SELECT 1".to_owned(), None).await.is_err());
    client.handshake("acme", &desk.token).await.unwrap();
    client.execute("SELECT 1".to_owned(), None).await.unwrap();
    let mut other = stranger(&desk).await;
    assert!(other.handshake("rival", &desk.token).await.is_err());
}

#[tokio::test]
async fn each_row_of_a_batch_is_an_event() {
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let schema = Arc::new(Schema::new(vec![
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("level", DataType::Float64, true),
        Field::new("tank", DataType::Utf8, true),
    ]));
    let count = 2_500;
    let times = (0..count).map(|index| 1_767_600_000_000_000 + i64::from(index));
    let batch = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            Arc::new(Float64Array::from_iter_values((0..count).map(f64::from))),
            Arc::new(StringArray::from_iter_values((0..count).map(|index| format!("t{index}")))),
        ],
    )
    .unwrap();
    let command = CommandStatementIngest {
        table_definition_options: None,
        table: "tank".to_owned(),
        schema: None,
        catalog: None,
        temporary: false,
        transaction_id: None,
        options: Default::default(),
    };
    let stored = client.execute_ingest(command, futures::stream::iter([Ok(batch)])).await.unwrap();
    assert_eq!(stored, i64::from(count));
    desk.shared.fineo.wait_until_drained().await.unwrap();
    let info = client.execute("SELECT count(*) AS n, max(tank) AS last FROM tank".to_owned(), None).await.unwrap();
    let answer = shown(&mut client, info).await;
    assert!(answer.contains("2500") && answer.contains("t999"), "{answer}");
}

#[tokio::test]
async fn values_that_json_has_no_number_for_are_put_as_their_words() {
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let wanted = ["NaN", "Infinity", "-Infinity", "2.5"];
    let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.5];
    let mut lists = arrow::array::ListBuilder::new(arrow::array::Float64Builder::new());
    numbers.into_iter().for_each(|number| lists.append_value([Some(number), Some(1.5)]));
    let columns: [(&str, Arc<dyn arrow::array::Array>); 4] = [
        ("timestamp", Arc::new(TimestampMicrosecondArray::from_iter_values(0..4).with_timezone("UTC"))),
        ("level", Arc::new(Float64Array::from_iter_values(numbers))),
        ("real", Arc::new(arrow::array::Float32Array::from_iter_values(numbers.map(|number| number as f32)))),
        ("many", Arc::new(lists.finish())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    assert_eq!(client.execute_ingest(tank(), futures::stream::iter([Ok(batch)])).await.unwrap(), 4);
    desk.shared.fineo.wait_until_drained().await.unwrap();
    for column in ["level", "real"] {
        let sql = format!("SELECT {column} FROM tank ORDER BY timestamp");
        let info = client.execute(sql, None).await.unwrap();
        let answer = shown(&mut client, info).await;
        let cells: Vec<&str> =
            answer.lines().skip(3).filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
        assert_eq!(cells, wanted, "{answer}");
    }
    let info = client.execute("SELECT many FROM tank".to_owned(), None).await.unwrap();
    let answer = shown(&mut client, info).await;
    assert!(wanted.iter().all(|word| answer.contains(word)) && !answer.contains("null"), "{answer}");
}

/// The schema that a prepared statement promises with one value, and the rows that come.
async fn prepared(desk: &Desk, sql: &str, value: Arc<dyn arrow::array::Array>) -> String {
    let mut client = acme(desk).await;
    let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    prepared.set_parameters(RecordBatch::try_from_iter([("$1", value)]).unwrap()).unwrap();
    let info = prepared.execute().await.unwrap();
    let promised = info.clone().try_decode_schema().unwrap();
    let batches = rows(&mut client, info).await;
    assert_eq!(promised, *batches[0].schema(), "{sql}");
    pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test]
async fn a_prepared_statement_is_described_with_the_values_that_were_bound() {
    let desk = Desk::open().await;
    let number = || -> Arc<dyn arrow::array::Array> { Arc::new(arrow::array::Int64Array::from(vec![2])) };
    let text = || -> Arc<dyn arrow::array::Array> { Arc::new(StringArray::from(vec!["2.5"])) };
    assert!(
        prepared(&desk, "SELECT CAST(n AS INT) + $1 AS x FROM thermostat WHERE n = 7", number()).await.contains("9")
    );
    assert!(prepared(&desk, "SELECT coalesce(device, $1) AS x FROM thermostat", text()).await.contains("t-01"));
    assert!(prepared(&desk, "SELECT CAST($1 AS DOUBLE) AS x", number()).await.contains("2.0"));
    assert!(prepared(&desk, "SELECT CAST($1 AS DOUBLE) AS x", text()).await.contains("2.5"));
    assert!(prepared(&desk, "SELECT $1 AS x", number()).await.contains("2"));
    let two = prepared(&desk, "SELECT device FROM thermostat ORDER BY 1 LIMIT $1", number()).await;
    assert!(two.contains("t-02") && !two.contains("t-03"), "{two}");
}

fn tank() -> CommandStatementIngest {
    CommandStatementIngest { table: "tank".to_owned(), ..CommandStatementIngest::default() }
}

/// A batch of `count` rows, each with a text of `length` characters.
pub(crate) fn texts(count: i64, length: usize) -> RecordBatch {
    let columns: [(&str, Arc<dyn arrow::array::Array>); 2] = [
        ("timestamp", Arc::new(TimestampMicrosecondArray::from_iter_values(0..count).with_timezone("UTC"))),
        ("text", Arc::new(StringArray::from_iter_values((0..count).map(|_| "x".repeat(length))))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[tokio::test]
async fn rows_that_are_too_long_for_one_request_are_events_each() {
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let stored = client.execute_ingest(tank(), futures::stream::iter([Ok(texts(12, 900_000))])).await.unwrap();
    assert_eq!(stored, 12);
    let mixed = [Ok(texts(2, 2_000_000)), Ok(texts(1, 10))];
    assert_eq!(client.execute_ingest(tank(), futures::stream::iter(mixed)).await.unwrap(), 1, "two are too large");
}

#[tokio::test]
async fn a_table_is_named_as_a_metric_may_be() {
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let named = |table: String| CommandStatementIngest { table, ..CommandStatementIngest::default() };
    for table in ["x".repeat(256), "x".repeat(3 << 20), "fineo_x".to_owned()] {
        let refused = client.execute_ingest(named(table), futures::stream::iter([Ok(texts(1_000, 10))])).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("1-255 bytes") || refused.contains("fineo_ are reserved"), "{refused}");
    }
    let longest = client.execute_ingest(named("x".repeat(255)), futures::stream::iter([Ok(texts(1_000, 10))])).await;
    assert_eq!(longest.unwrap(), 1_000);
}

// S19, P4
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_ends_what_is_being_put_with_it() {
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let rows = futures::stream::unfold(receiver, |mut rows| async move { Some((rows.recv().await?, rows)) });
    let putting = tokio::spawn(async move { client.execute_ingest(tank(), rows).await });
    sender.send(Ok(texts(10, 10))).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    while desk.shared.fineo.pipeline().counters().tenant(&acme).accepted < 10 {
        tokio::task::yield_now().await;
    }
    desk.shared.credentials.revoke(&desk.token_id).await.unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), putting).await.expect("it ends");
    assert!(ended.unwrap().unwrap_err().to_string().contains("permission_revoked"));
}

#[tokio::test]
async fn what_is_not_offered_is_said_to_be_unknown() {
    // W22
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    for path in ["../../etc/passwd", "thermostat"] {
        let descriptor = FlightDescriptor::new_path(vec![path.to_owned()]);
        let refused = client.inner_mut().get_flight_info(authorized(&desk, descriptor)).await.unwrap_err();
        assert!(matches!(refused.code(), Code::Unimplemented | Code::InvalidArgument), "{refused:?}");
    }
    let action = Action { r#type: "DropEverything".to_owned(), body: Bytes::new() };
    let refused = client.inner_mut().do_action(authorized(&desk, action)).await.unwrap_err();
    assert!(matches!(refused.code(), Code::Unimplemented | Code::InvalidArgument), "{refused:?}");
    let nothing = futures::stream::iter([FlightData::new()]);
    let refused = client.inner_mut().do_exchange(authorized(&desk, nothing)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let refused = client.inner_mut().do_get(authorized(&desk, Ticket::new("../../x"))).await.unwrap_err();
    assert!(matches!(refused.code(), Code::Unimplemented | Code::InvalidArgument), "{refused:?}");
}

fn authorized<T>(desk: &Desk, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {}", desk.token).parse().unwrap());
    request
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_the_door_stays_open() {
    // W24
    let desk = Desk::open().await;
    let mut client = acme(&desk).await;
    let long = format!("SELECT '{}'", "x".repeat(17 << 20));
    let refused = client.execute(long, None).await;
    assert!(refused.is_err());
    let mut headers = stranger(&desk).await;
    headers.set_token(desk.token.clone());
    headers.set_header("x-many", "y".repeat(64 << 10));
    assert!(headers.execute("SELECT 1".to_owned(), None).await.is_err());
    let mut rival = stranger(&desk).await;
    rival.set_token(desk.rival.clone());
    let info = rival.execute("SELECT secret FROM canary".to_owned(), None).await.unwrap();
    assert!(shown(&mut rival, info).await.contains("tweet"));
    let info = acme(&desk).await.execute("SELECT 1".to_owned(), None).await.unwrap();
    shown(&mut acme(&desk).await, info).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_takes_its_query_with_it() {
    // B3
    let mut limits = DoorLimits::default();
    limits.connections_per_tenant_max = 1;
    let desk = Desk::with_limits(limits).await;
    let mut client = acme(&desk).await;
    let long = "SELECT value, repeat('x', 1000) AS text FROM generate_series(1, 100000000)";
    let info = client.execute(long.to_owned(), None).await.unwrap();
    let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(rows.try_next().await.unwrap().is_some());
    let tenant = TenantId::new("acme").unwrap();
    assert!(desk.shared.connections.admit_tenant(&tenant).is_none(), "the call is counted while it runs");
    drop((rows, client));
    let gone = async {
        while desk.shared.connections.admit_tenant(&tenant).is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), gone).await.expect("the query ends within two seconds");
}
