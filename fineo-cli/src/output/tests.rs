//! What is printed says exactly what was answered, and harms no terminal.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
        Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
    },
    datatypes::{DataType, Field, Int32Type},
};

use super::{Style, result_writer, screened};
use crate::args::Format;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn taken(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn printed_bytes(style: Style, batches: &[RecordBatch]) -> Vec<u8> {
    let shared = Shared::default();
    let mut writer = result_writer(style, &batches[0].schema(), Box::new(shared.clone())).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    shared.taken()
}

fn printed(format: Format, columns: Vec<(&str, ArrayRef)>) -> String {
    let batch = batch(columns);
    String::from_utf8(printed_bytes(Style { format, formula_guard: false }, &[batch])).unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn csv_tells_null_from_the_empty_string_and_quotes_what_needs_it() {
    let value = texts(&[None, Some(""), Some("a,b"), Some("say \"hi\""), Some("two\nlines"), Some(" plain ")]);
    let number: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4), Some(5), Some(6)]));
    let expected = "v,\"n,1\"\n,1\n\"\",\n\"a,b\",3\n\"say \"\"hi\"\"\",4\n\"two\nlines\",5\n plain ,6\n";
    assert_eq!(printed(Format::Csv, vec![("v", value), ("n,1", number)]), expected);
}

#[test]
fn csv_defuses_formulas_when_asked() {
    // E44
    let value = texts(&[Some("=cmd|'/C calc'!A0"), Some("-1+2"), Some("plain")]);
    let number: ArrayRef = Arc::new(Int64Array::from(vec![-1, -2, -3]));
    let style = Style { format: Format::Csv, formula_guard: true };
    let text = String::from_utf8(printed_bytes(style, &[batch(vec![("v", value), ("n", number)])])).unwrap();
    assert_eq!(text, "v,n\n\"'=cmd|'/C calc'!A0\",-1\n\"'-1+2\",-2\nplain,-3\n");
}

#[test]
fn every_value_keeps_its_exact_text() {
    let float = |value: f64| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
    let instant = |micros: i64, zone: Option<&str>| {
        let array = TimestampMicrosecondArray::from(vec![micros]);
        match zone {
            Some(zone) => Arc::new(array.with_timezone(zone)) as ArrayRef,
            None => Arc::new(array) as ArrayRef,
        }
    };
    let decimal = Decimal128Array::from(vec![-12_345]).with_precision_and_scale(10, 2).unwrap();
    let dictionary: DictionaryArray<Int32Type> = vec!["x"].into_iter().collect();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None])]);
    let inner: ArrayRef = Arc::new(StringArray::from(vec!["q\"q"]));
    let nested = StructArray::from(vec![(Arc::new(Field::new("k", DataType::Utf8, true)), inner)]);
    for (array, csv, json) in [
        (float(0.1 + 0.2), "0.30000000000000004", "0.30000000000000004"),
        // Q22
        (
            instant(253_402_300_799_999_999, Some("UTC")),
            "9999-12-31T23:59:59.999999Z",
            "\"9999-12-31T23:59:59.999999Z\"",
        ),
        // What a clock shows is no instant.
        (instant(253_402_300_799_999_999, None), "9999-12-31T23:59:59.999999", "\"9999-12-31T23:59:59.999999\""),
        (
            Arc::new(TimestampMillisecondArray::from(vec![i64::MAX])),
            "9223372036854775807 ms after 1970-01-01",
            "\"9223372036854775807 ms after 1970-01-01\"",
        ),
        (
            Arc::new(TimestampNanosecondArray::from(vec![-1]).with_timezone("UTC")),
            "1969-12-31T23:59:59.999999999Z",
            "\"1969-12-31T23:59:59.999999999Z\"",
        ),
        (float(21.0), "21.0", "21.0"),
        (float(1e300), "1e300", "1e300"),
        (float(f64::NAN), "NaN", "\"NaN\""),
        (float(f64::NEG_INFINITY), "-Infinity", "\"-Infinity\""),
        (Arc::new(Float32Array::from(vec![0.1_f32])), "0.1", "0.1"),
        (Arc::new(Int64Array::from(vec![9_007_199_254_740_993])), "9007199254740993", "9007199254740993"),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), "18446744073709551615", "18446744073709551615"),
        (Arc::new(Int32Array::from(vec![-1])), "-1", "-1"),
        (Arc::new(BooleanArray::from(vec![true])), "true", "true"),
        (Arc::new(decimal), "-123.45", "-123.45"),
        (instant(1_700_000_000_123_456, Some("UTC")), "2023-11-14T22:13:20.123456Z", "\"2023-11-14T22:13:20.123456Z\""),
        (instant(0, Some("+02:00")), "1970-01-01T00:00:00Z", "\"1970-01-01T00:00:00Z\""),
        (instant(-62_135_596_800_000_000, Some("UTC")), "0001-01-01T00:00:00Z", "\"0001-01-01T00:00:00Z\""),
        (Arc::new(Date32Array::from(vec![-1])), "1969-12-31", "\"1969-12-31\""),
        (Arc::new(BinaryArray::from(vec![&b"fineo"[..]])), "ZmluZW8=", "\"ZmluZW8=\""),
        (Arc::new(StringViewArray::from(vec!["温度"])), "温度", "\"温度\""),
        (Arc::new(dictionary), "x", "\"x\""),
        (arrow::array::new_null_array(&DataType::Null, 1), "", "null"),
        (Arc::new(list), "\"[1,null]\"", "[1,null]"),
        (Arc::new(nested), "\"{\"\"k\"\":\"\"q\\\"\"q\"\"}\"", "{\"k\":\"q\\\"q\"}"),
    ] {
        assert_eq!(printed(Format::Csv, vec![("v", array.clone())]), format!("v\n{csv}\n"));
        assert_eq!(printed(Format::Ndjson, vec![("v", array)]), format!("{{\"v\":{json}}}\n"));
    }
}

#[test]
fn json_is_one_array_whose_keys_do_not_repeat() {
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let text = printed(Format::Json, vec![("x", one.clone()), ("x", one)]);
    assert_eq!(text, "[\n{\"x\":1,\"x_2\":1},\n{\"x\":2,\"x_2\":2}\n]\n");
    let none: ArrayRef = Arc::new(Int64Array::from(Vec::<i64>::new()));
    assert_eq!(printed(Format::Json, vec![("x", none.clone())]), "[]\n");
    assert_eq!(printed(Format::Ndjson, vec![("x", none)]), "");
}

#[test]
fn a_table_aligns_its_columns_and_shows_what_a_terminal_would_act_on() {
    let value = texts(&[Some("温度"), Some("\u{1b}[31mred\u{7}\n"), None, Some("abc\u{202e}")]);
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1, -20, 300, 4]));
    let expected = [
        " v                    |   n",
        "----------------------+-----",
        " 温度                 |   1",
        " \\u{1b}[31mred\\u{7}\\n | -20",
        " NULL                 | 300",
        " abc\\u{202e}          |   4",
    ];
    let text = printed(Format::Table, vec![("v", value), ("n", number)]);
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    assert!(text.lines().all(|line| !line.contains(char::is_control)));
}

#[test]
fn a_plan_is_printed_line_by_line() {
    let kinds = texts(&[Some("logical_plan"), Some("physical_plan")]);
    let plans = texts(&[Some("Filter\n  Scan\u{7}"), Some("Scan\n")]);
    let expected = [
        " plan_type     | plan",
        "---------------+-------------",
        " logical_plan  | Filter",
        "               |   Scan\\u{7}",
        " physical_plan | Scan",
    ];
    let text = printed(Format::Table, vec![("plan_type", kinds), ("plan", plans)]);
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_table_of_many_rows_is_printed_while_it_comes() {
    let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5_000));
    let text = printed(Format::Table, vec![("n", rows)]);
    assert_eq!(text.lines().count(), 5_002);
    let empty: ArrayRef = Arc::new(Int64Array::from(Vec::<i64>::new()));
    assert_eq!(printed(Format::Table, vec![("n", empty)]), " n\n---\n");
}

#[test]
fn parquet_reads_back_as_what_was_answered() {
    let one = batch(vec![("x", texts(&[Some("a"), None])), ("x", Arc::new(Int64Array::from(vec![1, 2])))]);
    let bytes = printed_bytes(Style { format: Format::Parquet, formula_guard: false }, &[one.clone(), one]);
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes::Bytes::from(bytes), 1024).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
    assert_eq!(batches[0].schema().field(1).name(), "x_2");
}

#[test]
fn text_without_anything_active_is_not_copied() {
    assert!(matches!(screened("plain 温度"), std::borrow::Cow::Borrowed(_)));
    assert_eq!(screened("\u{9b}31m"), "\\u{9b}31m");
}
