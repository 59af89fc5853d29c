//! Rows that show one value again and again.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal128Array,
        Decimal256Array, DictionaryArray, DurationNanosecondArray, DurationSecondArray, FixedSizeBinaryArray,
        FixedSizeListArray, Float32Array, Float64Array, Int32Array, Int64Array, Int64Builder, IntervalDayTimeArray,
        IntervalMonthDayNanoArray, IntervalYearMonthArray, LargeStringArray, ListArray, MapBuilder, NullArray,
        RecordBatch, RunArray, StringArray, StringBuilder, StringViewArray, StructArray, Time64NanosecondArray,
        TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
    },
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, Int32Type, IntervalDayTime, IntervalMonthDayNano, i256},
};

use super::{super::lines, named_bytes, rows_within};

const LONG: usize = 100_000;

fn long() -> String {
    "x".repeat(LONG)
}

fn fitting(column: ArrayRef, bytes_max: usize) -> usize {
    rows_within(&RecordBatch::try_from_iter([("c", column)]).unwrap(), 0, 0, 1_000, bytes_max)
}

#[test]
fn a_value_counts_as_often_as_it_is_shown() {
    let keys = Int32Array::from(vec![0; 50]);
    let dictionary: ArrayRef =
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(StringArray::from(vec![long()]))));
    let runs: ArrayRef = Arc::new(
        RunArray::<Int32Type>::try_new(&Int32Array::from(vec![50]), &StringArray::from(vec![long()])).unwrap(),
    );
    let views: ArrayRef = Arc::new(StringViewArray::from(vec![long(); 50]));
    let struct_of: ArrayRef =
        Arc::new(StructArray::from(vec![(Arc::new(Field::new("v", DataType::Utf8View, true)), Arc::clone(&views))]));
    for column in [dictionary, runs, views, struct_of] {
        assert_eq!(fitting(Arc::clone(&column), 10 * LONG + 1_000), 10, "{}", column.data_type());
        assert_eq!(fitting(Arc::clone(&column), LONG / 2), 0, "{}", column.data_type());
        assert_eq!(fitting(column, 100 * LONG), 50);
    }
}

#[test]
fn a_list_counts_all_of_its_items_and_no_longer_than_they_fit() {
    let items = || Arc::new(Field::new("item", DataType::Utf8View, true));
    let views = Arc::new(StringViewArray::from(vec![long(); 20]));
    let list = ListArray::new(items(), OffsetBuffer::from_lengths([20]), views, None);
    assert_eq!(fitting(Arc::new(list.clone()), 19 * LONG), 0);
    assert_eq!(fitting(Arc::new(list), 21 * LONG), 1);
    // Nothing in the batch, and years of nulls in JSON.
    let nulls = FixedSizeListArray::new(
        Arc::new(Field::new("item", DataType::Null, true)),
        i32::MAX,
        Arc::new(NullArray::new(i32::MAX as usize)),
        None,
    );
    assert_eq!(fitting(Arc::new(nulls), 10_000), 0);
}

#[test]
fn rows_begin_where_they_are_asked_for() {
    let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(0..10)) as ArrayRef)]).unwrap();
    assert_eq!(rows_within(&batch, 0, 0, 4, 10_000), 4);
    assert_eq!(rows_within(&batch, 8, 0, 4, 10_000), 2);
    assert_eq!(rows_within(&batch, 10, 0, 4, 10_000), 0);
}

#[test]
fn what_names_the_metric_counts_in_each_row() {
    let batch = RecordBatch::try_from_iter([("n", Arc::new(NullArray::new(50)) as ArrayRef)]).unwrap();
    let each = named_bytes("metrictype", &long());
    assert_eq!(rows_within(&batch, 0, each, 1_000, 10 * LONG + 1_000), 10);
    assert_eq!(rows_within(&batch, 0, each, 1_000, LONG), 0);
}

/// The longest values of types whose values have no length of their own.
fn plain() -> Vec<ArrayRef> {
    let decimal = |scale| Decimal256Array::from(vec![i256::MIN, i256::MAX]).with_precision_and_scale(76, scale);
    let zone = "America/Argentina/ComodRivadavia";
    vec![
        Arc::new(decimal(76).unwrap()),
        Arc::new(decimal(1).unwrap()),
        Arc::new(decimal(i8::MIN).unwrap()),
        Arc::new(Decimal128Array::from(vec![i128::MIN]).with_precision_and_scale(38, i8::MIN).unwrap()),
        Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(i32::MIN, i32::MIN, i64::MIN)])),
        Arc::new(IntervalDayTimeArray::from(vec![IntervalDayTime::new(i32::MIN, i32::MIN)])),
        Arc::new(IntervalYearMonthArray::from(vec![i32::MIN])),
        Arc::new(TimestampNanosecondArray::from(vec![i64::MIN + 1, i64::MAX]).with_timezone(zone)),
        Arc::new(TimestampNanosecondArray::from(vec![i64::MIN + 1, i64::MAX])),
        Arc::new(TimestampSecondArray::from(vec![i64::MIN, -6_000_000_000_000]).with_timezone(zone)),
        Arc::new(Date32Array::from(vec![i32::MIN])),
        Arc::new(Date64Array::from(vec![i64::MIN])),
        Arc::new(Time64NanosecondArray::from(vec![86_399_999_999_999, i64::MIN])),
        Arc::new(DurationNanosecondArray::from(vec![i64::MIN])),
        Arc::new(DurationSecondArray::from(vec![i64::MIN])),
        Arc::new(Float64Array::from(vec![-f64::MIN_POSITIVE, f64::MIN, f64::NAN, f64::NEG_INFINITY])),
        Arc::new(Float32Array::from(vec![-f32::MIN_POSITIVE, f32::MIN])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), None])),
        Arc::new(UInt64Array::from(vec![u64::MAX])),
        Arc::new(BooleanArray::from(vec![false])),
        Arc::new(NullArray::new(3)),
    ]
}

/// Values that grow when they are written, and values that others stand for.
fn long_or_shared() -> Vec<ArrayRef> {
    let text = "\u{1}\u{1f}\u{7f}\"\\\n\u{fe0f}";
    let keys = Int32Array::from(vec![0; 3]);
    let texts = Arc::new(StringArray::from(vec![text]));
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value(text);
    map.values().append_value(i64::MIN);
    map.append(true).unwrap();
    let bytes: [&[u8]; 3] = [b"", b"x", b"xxxx"];
    vec![
        Arc::new(StringViewArray::from(vec!["", text])),
        Arc::new(LargeStringArray::from(vec!["", text])),
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::<StringArray>::clone(&texts))),
        Arc::new(RunArray::<Int32Type>::try_new(&Int32Array::from(vec![3]), &*texts).unwrap()),
        Arc::new(BinaryArray::from(bytes.to_vec())),
        Arc::new(BinaryViewArray::from(bytes.to_vec())),
        Arc::new(FixedSizeBinaryArray::try_from_iter([b"x", b"y"].into_iter()).unwrap()),
        Arc::new(map.finish()),
    ]
}

#[test]
fn rows_take_no_more_than_they_count() {
    let (key, metric, name) = ("a \"key\"", "a \"metric\"", "a \"name\"\n");
    let check = |column: ArrayRef| {
        let batch = RecordBatch::try_from_iter([(name, column)]).unwrap();
        let written = lines(&batch, key, metric).unwrap().len();
        let fit = rows_within(&batch, 0, named_bytes(key, metric), 1_000, written - 1);
        assert!(fit < batch.num_rows(), "{written} bytes of {:?}", batch.schema().field(0));
    };
    for column in plain().into_iter().chain(long_or_shared()) {
        let field = Arc::new(Field::new(name, column.data_type().clone(), true));
        let lengths = OffsetBuffer::from_lengths([column.len()]);
        check(Arc::new(ListArray::new(Arc::clone(&field), lengths, Arc::clone(&column), None)));
        check(Arc::new(StructArray::from(vec![(field, Arc::clone(&column))])));
        check(column);
    }
}
