//! What is said to the doors before chance changes it.

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow_flight::{
    Action, FlightData, FlightDescriptor,
    encode::FlightDataEncoderBuilder,
    sql::{
        ActionCreatePreparedStatementRequest, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTables,
        CommandStatementIngest, CommandStatementQuery, ProstMessageExt,
    },
};
use futures::{FutureExt, TryStreamExt};
use prost::Message;

/// What the door of that name may hear first.
pub(super) fn seeds(door: &str) -> Vec<Vec<u8>> {
    match door {
        "pg" => postgres(),
        "http" => http(),
        _ => flight(),
    }
}

fn postgres() -> Vec<Vec<u8>> {
    let message = |kind: &[u8], body: &[u8]| {
        let length = u32::try_from(body.len() + 4).expect("a short message").to_be_bytes();
        [kind, &length, body].concat()
    };
    let query = |sql: &str| message(b"Q", format!("{sql}\0").as_bytes());
    let parse = |sql: &str| message(b"P", format!("s\0{sql}\0\0\0").as_bytes());
    let said = |messages: &[Vec<u8>]| [b"\x01".as_slice(), &messages.concat()].concat();
    let bind = message(b"B", b"p\0s\0\0\x01\0\0\0\x01\0\0\0\x04t-01\0\x01\0\x01");
    let list = message(b"B", b"\0s\0\0\0\0\x01\0\0\0\x09{t-01,\"}\"}\0\0");
    let [describe, execute] = [message(b"D", b"Pp\0"), message(b"E", b"p\0\0\0\0\x01")];
    let [again, close, sync] = [message(b"E", b"\0\0\0\0\0"), message(b"C", b"Ss\0"), message(b"S", b"")];
    vec![
        [
            b"\0".as_slice(),
            &message(b"", b"\0\x03\0\0user\0acme\0database\0fineo\0\0"),
            &message(b"p", b"SCRAM-SHA-256\0\0\0\0\x09n,,n=,r=a"),
        ]
        .concat(),
        b"\0\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07abcd".to_vec(),
        said(&[query("SELECT device, temp, \"on\" FROM m WHERE timestamp > '2026-01-01' ORDER BY 1 LIMIT 3")]),
        said(&[query(
            "SELECT count(*), max(value), repeat('x', 9) FROM generate_series(1, 99) GROUP BY 3; SELECT 1/0; SELECT 2",
        )]),
        said(&[
            parse("SELECT * FROM m WHERE device = $1"),
            bind,
            describe,
            execute.clone(),
            execute,
            close,
            sync.clone(),
        ]),
        said(&[parse("SELECT device FROM m WHERE device = ANY($1)"), list, again, sync]),
        said(&[query(
            "BEGIN; DECLARE c CURSOR FOR SELECT device FROM m; FETCH FORWARD 1 FROM c; SAVEPOINT s; ROLLBACK TO s; COMMIT",
        )]),
        said(&[query(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = ANY('{r,v}')",
        )]),
        said(&[
            query("SET TimeZone TO 'UTC'; SHOW ALL; SELECT set_config('a', 'b', false), current_setting('a')"),
            message(b"F", b"\0\0\0\x01"),
        ]),
        said(&[message(b"d", b"rows"), message(b"c", b""), message(b"H", b""), message(b"X", b"")]),
    ]
}

fn http() -> Vec<Vec<u8>> {
    let made: &[&str] = &[
        "POST /v1/events?ack=queryable\n[{\"metrictype\":\"m\",\"timestamp\":1767600000000,\"temp\":20.5,\"a\":{\"b\":[1,null]}},{\"x\":1}]",
        "POST /v1/events?metric=m\n{\"timestamp\":\"2026-01-05T08:00:00Z\",\"temp\":\"1e3\"}\n{\"timestamp\":\"x\"}",
        "POST /v1/batches\nmetrictype,timestamp,temp\nm,1000,\"1\"\"\"\n",
        "POST /v1/batches?from=file:///srv/drops/acme/x.csv.gz\n",
        "POST /v1/query\n{\"sql\":\"SELECT device, temp FROM m WHERE temp > $1\",\"params\":[20,null],\"min_position\":\"raw=\",\"wait_ms\":5}",
        "POST /v1/query\n{\"sql\":\"SELECT date_bin(INTERVAL '1 hour', timestamp) AS t, count(*) FROM m GROUP BY 1\"}",
        "POST /v1/schema/changes\n{\"changes\":[{\"op\":\"add_field\",\"metric\":\"m\",\"name\":\"temp\",\"field_type\":\"double\",\"aliases\":[\"t\"]}]}",
        "PUT /v1/schema\n{\"metrics\":{\"m\":{\"fields\":{\"temp\":{\"type\":\"double\",\"aliases\":[\"t\"]}}}}}",
        "POST /v1/replay\n{\"stage\":\"raw\",\"errors_only\":true,\"where\":\"code = 'metric_unknown'\"}",
        "GET /v1/errors?code=timestamp_missing&open=true&limit=3\n",
        "GET /v1/schema/discovered?metric=m\n",
        "POST /v1/schema/suggestions/m%2Ftemp/apply\n",
    ];
    let whole: &[&[u8]] = &[
        b"\0POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer fineo_x\r\ntransfer-encoding: chunked\r\ncontent-encoding: gzip\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\0PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x04\x08\0\0\0\0\0\0\0\0\x01",
    ];
    let made = made.iter().map(|said| [b"\x01", said.as_bytes()].concat());
    made.chain(whole.iter().map(|said| said.to_vec())).collect()
}

fn flight() -> Vec<Vec<u8>> {
    let said = |call: u8, message: Vec<u8>| [[call].as_slice(), &message].concat();
    let sql = "SELECT device, temp FROM m WHERE temp > 20 ORDER BY timestamp";
    let query = CommandStatementQuery { query: sql.to_owned(), transaction_id: None }.as_any().encode_to_vec();
    let prepare = ActionCreatePreparedStatementRequest { query: sql.to_owned(), transaction_id: None };
    let prepare = Action::new("CreatePreparedStatement", prepare.as_any().encode_to_vec());
    let tables = CommandGetTables { table_types: vec!["TABLE".to_owned()], include_schema: true, ..Default::default() };
    let tables = tables.as_any().encode_to_vec();
    let schemas = CommandGetDbSchemas { db_schema_filter_pattern: Some("p%_".to_owned()), catalog: None };
    let info = CommandGetSqlInfo { info: vec![0, 500] };
    vec![
        b"\0PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x08\x06\0\0\0\0\0\x02\x04\x10\x10\x09\x0e\x07\x07"
            .to_vec(),
        said(1, query.clone()),
        said(2, query),
        said(1, tables.clone()),
        said(3, tables),
        said(3, schemas.as_any().encode_to_vec()),
        said(3, info.as_any().encode_to_vec()),
        said(4, prepare.encode_to_vec()),
        said(5, rows()),
        said(6, rows()),
        said(7, b"acme:token".to_vec()),
    ]
}

/// Events as an Arrow client sends them: the command, the schema, the rows.
fn rows() -> Vec<u8> {
    let command = CommandStatementIngest { table: "m".to_owned(), ..Default::default() };
    let batch = RecordBatch::try_from_iter([
        ("timestamp", std::sync::Arc::new(Int64Array::from(vec![1, 2])) as _),
        ("device", std::sync::Arc::new(StringArray::from(vec![Some("t-01"), None])) as _),
    ]);
    let encoder = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command.as_any().encode_to_vec())))
        .build(futures::stream::iter([Ok(batch.expect("two columns of two rows"))]));
    let data: Vec<FlightData> = encoder.try_collect().now_or_never().expect("it is there").expect("it is written");
    data.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}
