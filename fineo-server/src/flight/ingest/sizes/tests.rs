//! Rows that show one value again and again.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, DictionaryArray, FixedSizeListArray, Int32Array, Int64Array, ListArray, NullArray, RecordBatch,
        RunArray, StringArray, StringViewArray, StructArray,
    },
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, Int32Type},
};

use super::rows_within;

const LONG: usize = 100_000;

fn long() -> String {
    "x".repeat(LONG)
}

fn fitting(column: ArrayRef, bytes_max: usize) -> usize {
    rows_within(&RecordBatch::try_from_iter([("c", column)]).unwrap(), 0, 1_000, bytes_max)
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
    assert_eq!(rows_within(&batch, 0, 4, 10_000), 4);
    assert_eq!(rows_within(&batch, 8, 4, 10_000), 2);
    assert_eq!(rows_within(&batch, 10, 4, 10_000), 0);
}
