//! Columns keep what they are given.

use arrow_array::{Array, cast::AsArray, types::Float64Type};

use super::*;

#[test]
fn rows_without_a_cell_are_null_and_texts_stay_where_values_do_not_give_them_back() {
    let mut column = ColumnBuilder::new(FieldType::Double, &["temp".into(), "t".into()]);
    column.text(1, 1, "21.5");
    column.text(3, 0, "21.50");
    column.text(4, 1, "warm");
    assert!(column.value(5, 1, Some(&RecordValue::Double(2.0)), Some("2")));
    assert!(!column.value(6, 1, Some(&RecordValue::Boolean(true)), None));
    let chunk = column.finish(8);
    let values = chunk.values.as_primitive::<Float64Type>();
    let expected = [None, Some(21.5), None, Some(21.5), None, Some(2.0), None, None];
    assert_eq!(values.iter().collect::<Vec<_>>(), expected);
    let texts = chunk.texts.unwrap();
    let expected = [None, None, None, Some("21.50"), Some("warm"), None, None, None];
    assert_eq!(texts.as_string::<i32>().iter().collect::<Vec<_>>(), expected);
    let names = chunk.names.unwrap();
    let ranks = names.as_dictionary::<UInt32Type>().keys();
    let expected = [None, Some(1), None, Some(0), Some(1), Some(1), Some(1), None];
    assert_eq!(ranks.iter().collect::<Vec<_>>(), expected);
    assert_eq!(names.len(), 8);
    // The next chunk begins empty.
    let next = column.finish(2);
    assert!(next.texts.is_none() && !next.has_cells && next.values.len() == 2);
}
