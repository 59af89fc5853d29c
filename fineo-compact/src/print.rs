//! Values of records as texts.

use fineo_schema::{FieldType, RecordValue, coerce::text};

/// Appends the text of a value of `field_type`; nothing for none.
pub(crate) fn print(value: Option<&RecordValue<'_>>, field_type: FieldType, out: &mut String) {
    match value {
        None => {}
        Some(RecordValue::Text(value)) => out.push_str(value),
        Some(RecordValue::Boolean(value)) => text::write_boolean(*value, out),
        Some(RecordValue::Integer(value)) => match field_type {
            FieldType::Timestamp => text::write_timestamp(*value, out),
            FieldType::Date => text::write_date(i32::try_from(*value).unwrap_or(i32::MAX), out),
            FieldType::Int
            | FieldType::Long
            | FieldType::String
            | FieldType::Boolean
            | FieldType::Float
            | FieldType::Double
            | FieldType::Decimal { .. }
            | FieldType::Bytes
            | FieldType::Json => text::write_long(*value, out),
        },
        Some(RecordValue::Float(value)) => text::write_float(*value, out),
        Some(RecordValue::Double(value)) => text::write_double(*value, out),
        Some(RecordValue::Decimal(value)) => {
            let scale = match field_type {
                FieldType::Decimal { scale, .. } => scale,
                FieldType::String
                | FieldType::Boolean
                | FieldType::Int
                | FieldType::Long
                | FieldType::Float
                | FieldType::Double
                | FieldType::Timestamp
                | FieldType::Date
                | FieldType::Bytes
                | FieldType::Json => 0,
            };
            text::write_decimal(*value, scale, out);
        }
        Some(RecordValue::Bytes(value)) => text::write_bytes(value, out),
    }
}
