//! A text that is exact under a type comes back from its value.

use proptest::prelude::*;

use super::*;

const TYPES: [FieldType; 12] = [
    FieldType::String,
    FieldType::Boolean,
    FieldType::Int,
    FieldType::Long,
    FieldType::Float,
    FieldType::Double,
    FieldType::Decimal { precision: 9, scale: 2 },
    FieldType::Decimal { precision: 38, scale: 0 },
    FieldType::Timestamp,
    FieldType::Date,
    FieldType::Bytes,
    FieldType::Json,
];

/// What a value of `text` is written as.
fn rewritten(text: &str, field_type: FieldType) -> Option<String> {
    let mut out = String::new();
    match field_type {
        FieldType::String => out.push_str(text),
        FieldType::Json => out.push_str(json(text)?),
        FieldType::Boolean => write_boolean(boolean(text)?, &mut out),
        FieldType::Int => write_int(int(text)?, &mut out),
        FieldType::Long => write_long(long(text)?, &mut out),
        FieldType::Float => write_float(float(text)?, &mut out),
        FieldType::Double => write_double(double(text)?, &mut out),
        FieldType::Decimal { precision, scale } => write_decimal(decimal(text, precision, scale)?, scale, &mut out),
        FieldType::Timestamp => write_timestamp(timestamp(text)?, &mut out),
        FieldType::Date => write_date(date(text)?, &mut out),
        FieldType::Bytes => write_bytes(&bytes(text)?, &mut out),
    }
    Some(out)
}

/// A text is exact under a type if and only if its value is written as it.
fn check(text: &str) -> Result<(), TestCaseError> {
    for field_type in TYPES {
        let back = rewritten(text, field_type);
        prop_assert_eq!(is_exact(text, field_type), back.as_deref() == Some(text), "{} as {}", text, field_type);
        // What was written is exact: writing is stable.
        if let Some(back) = back {
            prop_assert!(is_exact(&back, field_type), "{} as {} of {}", back, field_type, text);
        }
    }
    Ok(())
}

#[test]
fn texts_that_look_like_values_are_exact_or_not() {
    for (text, field_type, expected) in [
        ("21.5", FieldType::Double, true),
        ("157.10", FieldType::Double, false),
        ("157.10", FieldType::Decimal { precision: 9, scale: 2 }, true),
        ("1.0", FieldType::Long, false),
        ("9223372036854775807", FieldType::Long, true),
        ("9223372036854775808", FieldType::Long, false),
        ("-0", FieldType::Double, true),
        ("-0", FieldType::Long, false),
        ("True", FieldType::Boolean, false),
        ("2016-02-14", FieldType::Date, true),
        ("2016-02-14T00:00:00Z", FieldType::Date, false),
        ("2016-02-14T00:00:00Z", FieldType::Timestamp, true),
        ("1455408000000", FieldType::Timestamp, false),
        ("AQI=", FieldType::Bytes, true),
        ("AQI", FieldType::Bytes, false),
        ("warm", FieldType::Double, false),
    ] {
        assert_eq!(is_exact(text, field_type), expected, "{text} as {field_type}");
    }
}

proptest! {
    #[test]
    fn any_text(text in ".{0,20}") {
        check(&text)?;
    }

    #[test]
    fn any_text_like_a_number(text in "-?0?[0-9]{0,20}(\\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?") {
        check(&text)?;
    }

    #[test]
    fn any_double(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
        let mut text = String::new();
        write_double(value, &mut text);
        prop_assert_eq!(double(&text).map(f64::to_bits), Some(value.to_bits()));
        check(&text)?;
    }

    #[test]
    fn any_instant(micros in Timestamp::MIN.micros()..=Timestamp::MAX.micros()) {
        let mut text = String::new();
        write_timestamp(micros, &mut text);
        prop_assert_eq!(timestamp(&text), Some(micros));
        check(&text)?;
    }

    #[test]
    fn any_bytes(value in proptest::collection::vec(any::<u8>(), 0..20)) {
        let mut text = String::new();
        write_bytes(&value, &mut text);
        prop_assert_eq!(bytes(&text), Some(value));
    }
}
