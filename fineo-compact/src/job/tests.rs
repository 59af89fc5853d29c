//! Events become a file and come back as they were sent.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::testing::{Event, batches, make, make_with, read_back, schema};

const DAY: i64 = 86_400_000_000;

fn known(ids: &[u128]) -> Known {
    Known { committed: ids.iter().map(|id| EventId(id.to_be_bytes())).collect(), ..Known::default() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[tokio::test]
async fn every_cell_stands_in_one_place_and_comes_back_as_it_was_sent() {
    let schema = schema(&[("temp", "double", &["t", "tmp"]), ("n", "int", &[]), ("at", "timestamp", &[])]).await;
    let metric = schema.metric_named("m").unwrap();
    let events = [
        Event::new(1, 1, &[("temp", "21.5"), ("rssi", "-41"), ("n", "7")]),
        Event::new(2, 2, &[("t", "157.10"), ("rssi", "-42"), ("n", "1.0"), ("at", "2016-02-14T00:00:00Z")]),
        Event::new(3, 3, &[("tmp", "warm"), ("temp", "1"), ("rssi", "weak"), ("n", "1.5"), ("at", "1000")]),
        Event::new(4, 4, &[("温度", "21"), ("Rssi", "x"), ("", ""), ("a b", "c"), ("_fineo", "1"), ("day", "monday")]),
    ];
    for written in [None, Some(&**metric)] {
        let made = make(&schema, &events, written, &Known::default());
        let file = made.outcome.file.unwrap();
        assert_eq!(file.rows, 4);
        let mut expected = events.to_vec();
        expected.iter_mut().for_each(|event| event.position = 0);
        assert_eq!(read_back(&schema, &file.bytes), expected);
        let (layout, _) = batches(&file.bytes);
        let column = |name: &str| layout.columns.iter().find(|column| &*column.column == name);
        let temp = column("temp").unwrap();
        assert_eq!(temp.names.iter().map(|name| &**name).collect::<Vec<_>>(), ["temp", "t"]);
        assert_eq!(temp.field.unwrap().to_string(), "f1");
        assert!(temp.text.is_some() && temp.name.is_some());
        // The better name has the column, the other one is in the rest; what differs in case only, and ours, too.
        for name in ["tmp", "Rssi", "day"] {
            assert!(layout.rest_names.iter().any(|known| &**known == name), "{name}");
        }
        assert!(column("a_b").is_some() && column("温度").is_some() && column("rssi").is_some());
    }
}

#[tokio::test]
async fn declared_columns_have_their_types_and_field_ids() {
    let schema = schema(&[("temp", "double", &[]), ("d", "decimal(9,2)", &[]), ("ok", "boolean", &[])]).await;
    let events = [Event::new(1, 1, &[("temp", "21.5"), ("d", "157.10"), ("ok", "true"), ("rssi", "-41")])];
    let file = make(&schema, &events, None, &Known::default()).outcome.file.unwrap();
    let (layout, batches) = batches(&file.bytes);
    assert!(layout.columns.iter().all(|column| column.text.is_none() && column.name.is_none()), "{layout:?}");
    let described: Vec<String> = batches[0]
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let id = field.metadata().get("PARQUET:field_id").map_or("", |id| id);
            format!("{} {} {id}", field.name(), field.data_type())
        })
        .collect();
    assert_eq!(
        described,
        [
            "timestamp Timestamp(µs, \"UTC\") ",
            "_fineo_event_id Binary ",
            "_fineo_alias Utf8 ",
            "_fineo_ingested_at Timestamp(µs, \"UTC\") ",
            "temp Float64 1",
            "d Decimal128(9, 2) 2",
            "ok Boolean 3",
            "rssi Int64 ",
        ]
    );
}

#[tokio::test]
async fn numbers_that_hardly_repeat_have_no_dictionary() {
    let schema = schema(&[("level", "double", &[]), ("meter", "double", &[])]).await;
    let texts: Vec<(String, String)> =
        (0..200).map(|number| (format!("{}.5", number % 9), format!("{number}.25"))).collect();
    let event = |(number, (level, meter)): (u128, &(String, String))| {
        Event::new(number as i64, number, &[("level", level), ("meter", meter)])
    };
    let events: Vec<Event> = (1_u128..).zip(&texts).map(event).collect();
    let file = make(&schema, &events, None, &Known::default()).outcome.file.unwrap();
    let reader = parquet::file::reader::SerializedFileReader::new(bytes::Bytes::from(file.bytes.clone())).unwrap();
    let group = parquet::file::reader::FileReader::metadata(&reader).row_group(0);
    let has_dictionary = |name: &str| {
        let column = group.columns().iter().find(|column| column.column_path().string() == name).unwrap();
        column.dictionary_page_offset().is_some()
    };
    assert!(has_dictionary("level") && !has_dictionary("meter"));
    assert_eq!(read_back(&schema, &file.bytes).len(), 200);
}

#[tokio::test]
async fn an_event_has_one_row_whoever_sends_it_how_often() {
    // I4, U6
    let schema = schema(&[]).await;
    let mut again = Event::new(1, 1, &[("a", "1")]);
    again.position = 9;
    let events =
        [Event::new(1, 1, &[("a", "1")]), Event::new(2, 2, &[("a", "2")]), again, Event::new(3, 3, &[("a", "3")])];
    let made = make(&schema, &events, None, &known(&[3, 77]));
    assert_eq!(made.outcome.duplicates, 2);
    let file = made.outcome.file.unwrap();
    assert_eq!(read_back(&schema, &file.bytes).iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(file.positions.iter().map(|(_, last)| last.to_u128().unwrap()).collect::<Vec<_>>(), [2]);
    assert!(make(&schema, &events, None, &known(&[1, 2, 3])).outcome.file.is_none());
}

#[tokio::test]
async fn a_record_that_was_read_twice_is_no_duplicate() {
    let schema = schema(&[]).await;
    let events = [Event::new(1, 1, &[("a", "1")]), Event::new(1, 1, &[("a", "1")])];
    let made = make(&schema, &events, None, &Known::default());
    assert_eq!((made.outcome.duplicates, made.outcome.file.unwrap().rows), (0, 1));
}

#[tokio::test]
async fn rows_stand_by_device_then_time() {
    let schema = schema(&[]).await;
    let devices = ["dev-c", "dev-a", "dev-b"];
    let events: Vec<Event> = (0..60_u128)
        .map(|number| {
            let index = usize::try_from(number % 3).unwrap();
            let micros = 60 - i64::try_from(number).unwrap();
            Event::new(micros, number, &[("device", devices[index]), ("site", "x"), ("v", &number.to_string())])
        })
        .collect();
    let made = make(&schema, &events, None, &Known::default());
    let key = &made.recipe.plan.columns[made.recipe.plan.key.unwrap() as usize];
    assert_eq!(&*key.column, "device");
    let read = read_back(&schema, &made.outcome.file.unwrap().bytes);
    let mut expected: Vec<(String, i64)> =
        events.iter().map(|event| (event.cells["device"].clone(), event.micros)).collect();
    expected.sort();
    assert_eq!(read.iter().map(|event| (event.cells["device"].clone(), event.micros)).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_same_events_make_the_same_bytes_in_whatever_order_they_come() {
    // R1
    let schema = schema(&[("temp", "double", &["t"])]).await;
    let mut events: Vec<Event> = (0..500_u128)
        .map(|number| {
            let name = if number % 3 == 0 { "t" } else { "temp" };
            let extra = format!("x{}", number % 40);
            let micros = i64::try_from(number * 7 % 500).unwrap();
            Event::new(micros, number, &[(name, &format!("{number}.5")), (&extra, "1"), ("Rssi", "1"), ("rssi", "2")])
        })
        .collect();
    let first = make(&schema, &events, None, &Known::default()).outcome.file.unwrap();
    events.reverse();
    events.rotate_left(123);
    let second = make(&schema, &events, None, &Known::default()).outcome.file.unwrap();
    assert!(first.bytes == second.bytes);
}

/// Texts that are now this, now that.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,3}(\\.[0-9]{1,2})?",
        "(true|false|True)",
        "[a-c]{0,3}",
        "-?[0-9]{15,20}",
        ".{0,4}",
        Just("2016-02-14T00:00:00Z".to_owned()),
        Just("AQI=".to_owned()),
        Just("{\"a\": 1}".to_owned()),
    ]
}

fn event() -> impl Strategy<Value = (i64, BTreeMap<String, String>)> {
    let name = prop_oneof![
        "(temp|t|n|d|ok|at|on|raw|j|s|f|rssi|Rssi|RSSI|a b|a_b|timestamp|day|_fineo_x)",
        "x[0-9]{1,2}",
        ".{1,3}",
    ];
    (0..DAY, proptest::collection::btree_map(name, text(), 0..8))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_events_come_back_as_they_were_sent(
        drawn in proptest::collection::vec(event(), 1..60),
        columns_max in 0..30_usize,
        is_declared in any::<bool>(),
    ) {
        let fields: [(&str, &str, &[&str]); 10] = [
            ("temp", "double", &["t"]), ("n", "int", &[]), ("d", "decimal(9,2)", &[]), ("ok", "boolean", &["rssi"]),
            ("at", "timestamp", &[]), ("on", "date", &[]), ("raw", "bytes", &[]), ("j", "json", &[]),
            ("s", "string", &["x1", "x2"]), ("f", "float", &[]),
        ];
        let schema = runtime().block_on(schema(&fields));
        let metric = schema.metric_named("m").cloned();
        let written = metric.as_deref().filter(|_| is_declared);
        let mut events: Vec<Event> = (1..).zip(drawn).map(|(id, (micros, cells))| {
            Event { micros, id, position: 0, alias: if id % 2 == 0 { "m2" } else { "m" }, cells }
        }).collect();
        let shredding = crate::plan::Shredding { presence_min: 0.05, columns_max };
        let made = make_with(&schema, &events, written, &Known::default(), shredding);
        let mut read = read_back(&schema, &made.outcome.file.unwrap().bytes);
        read.sort_by_key(|event| event.id);
        events.sort_by_key(|event| event.id);
        prop_assert_eq!(read, events);
    }
}

#[test]
fn values_are_typed_where_they_fit() {
    let schema: Arc<_> = runtime().block_on(schema(&[("n", "int", &[])]));
    let events: Vec<Event> = ["1", "1.0", "1.5", "x"]
        .iter()
        .zip(1..)
        .map(|(text, id)| Event::new(i64::try_from(id).unwrap(), id, &[("n", text)]))
        .collect();
    let file = make(&schema, &events, None, &Known::default()).outcome.file.unwrap();
    let (_, batches) = batches(&file.bytes);
    let shown = |name: &str| {
        let column = batches[0].column_by_name(name).unwrap();
        (0..4).map(|row| crate::rewrite::printed_or_null(column, row)).collect::<Vec<_>>()
    };
    assert_eq!(shown("n"), ["1", "1", "null", "null"]);
    assert_eq!(shown("_fineo_text_n"), ["null", "1.0", "1.5", "x"]);
}
