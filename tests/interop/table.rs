//! A table with every type, late names, conflicts and odd values, compacted twice; and what SQL says is in it.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use fineo::{
    Clock, Fineo, TenantId,
    core::{SystemClock, SystemEntropy},
    schema::SchemaStore,
};
use fineo_compact::{CompactOptions, Compactor, CompactorParts};
use serde_json::{Value, json};

const DECLARATION: &str = r#"{"metrics": {"thermostat": {"fields": {
    "temp": {"type": "double", "aliases": ["t"]}, "on": {"type": "boolean"}, "count": {"type": "long"},
    "price": {"type": "decimal(9,2)"}, "at": {"type": "timestamp"}, "birthday": {"type": "date"},
    "note": {"type": "string"}, "payload": {"type": "bytes"}}}}}"#;
const LATER: &str = r#"{"metrics": {"thermostat": {"fields": {"温度": {"type": "double"}}}}}"#;
/// What is compared with SQL: everything declared, and the time.
const COLUMNS: &str =
    "_fineo_event_id, timestamp, temp, \"on\", \"count\", price, at, birthday, note, payload, \"温度\"";

/// Columns with types, and rows in order of event ids.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) columns: BTreeMap<String, String>,
    pub(crate) rows: Vec<BTreeMap<String, Value>>,
}

/// A compacted table.
#[derive(Debug)]
pub(crate) struct Compacted {
    /// Where it is.
    pub(crate) location: String,
    /// What Fineo's SQL says.
    pub(crate) expected: Rows,
    _folder: tempfile::TempDir,
}

impl Compacted {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(Self::make())
    }

    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = || async { Fineo::local(folder.path()).open().await.unwrap() };
        let fineo = open().await;
        let tenant = TenantId::new("acme").unwrap();
        fineo.schema(&tenant).declare(DECLARATION).await.unwrap();
        send(&fineo, &tenant, 0..300).await;
        // Closing archives everything.
        fineo.close().await.unwrap();
        let fineo = open().await;
        compact(&fineo).await;
        // Another column, more rows of the same days, and one day more.
        fineo.schema(&tenant).declare(LATER).await.unwrap();
        send(&fineo, &tenant, 300..420).await;
        fineo.close().await.unwrap();
        let fineo = open().await;
        let before = rows(&fineo, &tenant).await;
        compact(&fineo).await;
        let expected = rows(&fineo, &tenant).await;
        assert_eq!(before.rows, expected.rows, "compaction changes no answer");
        assert_eq!(expected.rows.len(), 420);
        let tables = fineo.tables(&tenant).await.unwrap();
        assert_eq!((tables.len(), tables[0].metric.as_str(), tables[0].rows), (1, "thermostat", 420), "{tables:?}");
        fineo.close().await.unwrap();
        Self { location: tables[0].location.clone(), expected, _folder: folder }
    }
}

async fn send(fineo: &Fineo, tenant: &TenantId, numbers: std::ops::Range<i64>) {
    let events: Vec<String> = numbers.map(|number| event(number).to_string()).collect();
    let receipt = fineo.ingest(tenant, events.join("\n")).await.unwrap();
    fineo.wait_until_queryable(&receipt).await.unwrap();
}

/// One event; every name is missing in some, and some values do not fit.
fn event(number: i64) -> Value {
    // Three days, ten minutes apart.
    let mut event = json!({"metrictype": "thermostat", "timestamp": 1_795_305_600_000_i64 + number * 600_000});
    let mut set = |every: i64, name: &str, value: Value| {
        if number % every != 0 {
            event[name] = value;
        }
    };
    set(7, if number % 2 == 0 { "temp" } else { "t" }, json!(number as f64 / 3.0));
    set(5, "on", json!(number % 2 == 0));
    set(4, "count", json!(number * 1_000_000_007));
    set(6, "price", json!(format!("{}.{:02}", number, number % 100)));
    set(8, "at", json!(format!("2024-02-29T12:34:56.{number:06}Z")));
    set(9, "birthday", json!(format!("19{:02}-01-31", number % 100)));
    set(3, "note", json!(format!("grüße 温度 \"{number}\" \\ \t,;")));
    set(10, "payload", json!("AAH/gA=="));
    set(2, "humidity", json!(format!("{number}%")));
    set(11, "温度", json!(-0.5 * number as f64));
    if number % 50 == 49 {
        event["temp"] = json!("warm");
        event["count"] = json!("9223372036854775808");
        event["rare"] = json!({"deep": [1, 2, {"x": null}]});
    }
    event
}

async fn compact(fineo: &Fineo) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let parts = CompactorParts {
        archive: Arc::clone(&fineo.parts().archive),
        repo: Arc::clone(&fineo.parts().repo),
        schemas: SchemaStore::new(Arc::clone(&fineo.parts().repo), Arc::clone(&clock)),
        tables: fineo.open_tables().clone(),
        nearline: Arc::clone(&fineo.parts().nearline),
        notifier: None,
        clock,
        entropy: Arc::new(SystemEntropy::new()),
    };
    let report = Compactor::new(parts, CompactOptions::default()).run(&|_| {}).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
}

async fn rows(fineo: &Fineo, tenant: &TenantId) -> Rows {
    let sql = format!("SELECT {COLUMNS} FROM thermostat ORDER BY _fineo_event_id");
    let stream = fineo.sql(tenant, &sql).await.unwrap();
    let schema = stream.schema().clone();
    let columns = schema.fields().iter().map(|field| (field.name().clone(), type_name(field.data_type()))).collect();
    let mut rows = Vec::new();
    for batch in stream.collect().await.unwrap() {
        rows.extend((0..batch.num_rows()).map(|row| of_row(&batch, row)));
    }
    Rows { columns, rows }
}

fn of_row(batch: &RecordBatch, row: usize) -> BTreeMap<String, Value> {
    let fields = batch.schema();
    let cells = fields.fields().iter().zip(batch.columns());
    cells.map(|(field, column)| (field.name().clone(), plain(column, row))).collect()
}

/// The type as `readers.py` names it.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "binary".into()
        }
        DataType::Boolean => "boolean".into(),
        DataType::Int64 => "long".into(),
        DataType::Float64 => "double".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(_, Some(_)) => "timestamp".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => format!("{other}"),
    }
}

/// The value as `readers.py` prints it.
fn plain(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    let hex = |bytes: &[u8]| Value::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Binary => hex(column.as_binary::<i32>().value(row)),
        DataType::BinaryView => hex(column.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => hex(column.as_fixed_size_binary().value(row)),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Timestamp(_, _) => column.as_primitive::<TimestampMicrosecondType>().value(row).into(),
        DataType::Decimal128(_, _) => column.as_primitive::<Decimal128Type>().value_as_string(row).into(),
        DataType::Date32 => {
            let date = column.as_primitive::<Date32Type>().value_as_date(row).unwrap();
            date.to_string().into()
        }
        other => panic!("{other}"),
    }
}
