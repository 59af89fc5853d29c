//! Values in other units: in files as in nearline rows, and where no conversion holds as if there were none.

use fineo_core::Timestamp;
use fineo_schema::{Conversion, FieldType, Source};

use super::{
    TEXTS, TYPES, check, column, expected, row, rows_of_names, shapes, source,
    writer::{Row, Shape},
};

const NUMBERS: [FieldType; 5] = [
    FieldType::Double,
    FieldType::Float,
    FieldType::Int,
    FieldType::Long,
    FieldType::Decimal { precision: 20, scale: 2 },
];

/// Numbers that a double, a scale or a type does not hold.
const HARD: [&str; 12] = [
    "9007199254740995",
    "-9223372036854775808",
    "9223372036854775808",
    "1234567890123456.78",
    "999999999999999999.99",
    "0.001",
    "1.005",
    "2.675",
    "-2.675",
    "1e308",
    "1e400",
    "12345678901234567890123456789012345678901234567890",
];

fn conversion(scale: f64, offset: f64, metric_name: Option<&str>, from: Option<i64>, to: Option<i64>) -> Conversion {
    let instant = |at: Option<i64>| at.map(|at| Timestamp::from_micros(at).unwrap());
    Conversion { scale, offset, metric_name: metric_name.map(Into::into), from: instant(from), to: instant(to) }
}

fn fahrenheit() -> Conversion {
    conversion(5.0 / 9.0, -160.0 / 9.0, None, None, None)
}

/// One row for each text under `v`; a third of them in each of three names of the metric.
fn rows_of_numbers() -> Vec<Row> {
    let texts = HARD.iter().chain(&TEXTS);
    let rows = texts.flat_map(|text| ["m", "m", "other", "third, and a longer one"].map(|alias| (*text, alias)));
    let rows = rows.enumerate();
    rows.map(|(number, (text, alias))| Row { alias, ..row(number.try_into().unwrap(), &[("v", text)]) }).collect()
}

#[test]
fn units_are_converted_by_name_time_and_metric() {
    let mut rows = rows_of_names();
    rows.iter_mut().step_by(3).for_each(|row| row.alias = "other");
    let lists = [
        vec![fahrenheit()],
        vec![conversion(2.0, 0.0, None, Some(9_000_000), Some(20_000_000)), fahrenheit()],
        vec![conversion(-1.0, 3.0, Some("other"), None, None)],
        vec![conversion(10.0, 0.0, None, Some(900_000_000), None)],
        vec![conversion(10.0, 0.0, None, Some(-5), Some(900_000_000))],
    ];
    for conversions in lists {
        for field_type in NUMBERS {
            for shape in shapes([FieldType::Double, FieldType::Long]) {
                let converted = Source { conversions: conversions.clone(), ..source("a") };
                check(&column(Some(field_type), vec![converted.clone(), source("b")]), &rows, &shape);
                check(&column(Some(field_type), vec![source("b"), converted]), &rows, &shape);
            }
        }
    }
}

#[test]
fn numbers_of_any_kind_are_converted_in_files_as_in_nearline_rows() {
    let rows = rows_of_numbers();
    let lists = [
        vec![conversion(2.0, 0.0, Some("other"), None, None)],
        vec![conversion(-0.1, 0.5, None, None, None)],
        vec![conversion(1e10, 0.0, Some("m"), Some(20_000_000), None), fahrenheit()],
        vec![conversion(1e-320, 0.0, None, None, Some(60_000_000))],
    ];
    for conversions in lists {
        let converted = Source { conversions, ..source("v") };
        for field_type in NUMBERS {
            check(&column(Some(field_type), vec![converted.clone()]), &rows, &Shape::of(&[]));
            for stored in TYPES.into_iter().chain([field_type]) {
                check(&column(Some(field_type), vec![converted.clone()]), &rows, &Shape::of(&[("c", stored, &["v"])]));
            }
        }
    }
}

#[test]
fn a_value_that_no_conversion_is_for_is_read_as_if_there_were_none() {
    let rows = rows_of_numbers();
    let lists = [
        vec![conversion(2.0, 0.0, Some("nobody"), None, None)],
        vec![conversion(2.0, 1.0, None, Some(900_000_000_000), None)],
        vec![conversion(2.0, 1.0, Some("m"), None, Some(-1)), conversion(3.0, 0.0, Some("nobody"), Some(0), None)],
    ];
    for conversions in lists {
        let converted = Source { conversions, ..source("v") };
        for field_type in NUMBERS {
            let plain = expected(&column(Some(field_type), vec![source("v")]), &rows);
            let column = column(Some(field_type), vec![converted.clone()]);
            assert_eq!(&expected(&column, &rows), &plain, "{field_type}");
            check(&column, &rows, &Shape::of(&[("c", field_type, &["v"])]));
        }
    }
}

#[test]
fn rows_beside_the_scope_of_a_conversion_keep_every_digit() {
    let rows = rows_of_numbers();
    let converted = Source { conversions: vec![conversion(2.0, 0.0, Some("other"), None, None)], ..source("v") };
    for field_type in NUMBERS {
        let plain = expected(&column(Some(field_type), vec![source("v")]), &rows);
        let found = expected(&column(Some(field_type), vec![converted.clone()]), &rows);
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.alias != "other") {
            assert_eq!(found.slice(at, 1).as_ref(), plain.slice(at, 1).as_ref(), "{field_type}, {row:?}");
        }
    }
}
