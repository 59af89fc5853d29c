//! Which Postgres type stands for which Arrow type, and back.

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, Schema, TimeUnit};
use arrow_pg::datatypes::field_into_pg_type;
use pgwire::{
    api::Type,
    messages::data::{FieldDescription, RowDescription},
};

use super::statements::words;
use crate::paging;

/// What marks a text column as JSON.
const EXTENSION_NAME: &str = "ARROW:extension:name";
/// The type modifier of a type that has none.
const NO_MODIFIER: i32 = -1;
/// What Postgres adds to the modifier of a type with a precision.
const MODIFIER_OFFSET: i32 = 4;

/// The Postgres type of a result column; what has no equal is shown as text.
pub(super) fn of_field(field: &FieldRef) -> Type {
    let is_json = field.metadata().get(EXTENSION_NAME).is_some_and(|name| name == "arrow.json");
    match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_json => Type::JSON,
        DataType::Null => Type::TEXT,
        DataType::Decimal256(..) | DataType::Decimal64(..) | DataType::Decimal32(..) => Type::NUMERIC,
        DataType::Dictionary(_, value) => {
            of_field(&FieldRef::new(field.as_ref().clone().with_data_type((**value).clone())))
        }
        _ => field_into_pg_type(field).unwrap_or(Type::TEXT),
    }
}

/// The Postgres type of a parameter; one of unknown type is text.
pub(super) fn of_parameter(known: Option<&DataType>) -> Type {
    known.map_or(Type::TEXT, |data_type| of_field(&FieldRef::new(Field::new("parameter", data_type.clone(), true))))
}

/// The Arrow type of a parameter that the client calls `oid`; none leaves it to its place in the statement.
pub(super) fn of_oid(oid: u32) -> Option<DataType> {
    Some(match Type::from_oid(oid)? {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 | Type::OID => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => DataType::Decimal128(38, 10),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::JSON | Type::JSONB | Type::UUID => {
            DataType::Utf8View
        }
        Type::BYTEA => DataType::Binary,
        Type::TIMESTAMPTZ | Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        of => list(match of_oid(item_of(&of)?.oid())? {
            DataType::Utf8View => DataType::Utf8,
            DataType::Int16 | DataType::Int32 => DataType::Int64,
            DataType::Float32 => DataType::Float64,
            item => item,
        }),
    })
}

/// The type of the items of a list that a client can send; none where `of` is no such list.
pub(super) fn item_of(of: &Type) -> Option<Type> {
    Some(match *of {
        Type::BOOL_ARRAY => Type::BOOL,
        Type::INT2_ARRAY => Type::INT2,
        Type::INT4_ARRAY => Type::INT4,
        Type::INT8_ARRAY => Type::INT8,
        Type::OID_ARRAY => Type::OID,
        Type::FLOAT4_ARRAY => Type::FLOAT4,
        Type::FLOAT8_ARRAY => Type::FLOAT8,
        Type::NUMERIC_ARRAY => Type::NUMERIC,
        Type::TEXT_ARRAY | Type::CHAR_ARRAY => Type::TEXT,
        Type::VARCHAR_ARRAY => Type::VARCHAR,
        Type::NAME_ARRAY => Type::NAME,
        Type::UUID_ARRAY => Type::UUID,
        Type::TIMESTAMP_ARRAY => Type::TIMESTAMP,
        Type::TIMESTAMPTZ_ARRAY => Type::TIMESTAMPTZ,
        Type::DATE_ARRAY => Type::DATE,
        _ => return None,
    })
}

/// A list of items of this type.
pub(super) fn list(item: DataType) -> DataType {
    DataType::List(FieldRef::new(Field::new_list_field(item, true)))
}

/// `sql` with each parameter that was `told` to be a number of few bytes cast to that type: the engine's own have the most.
/// None where there is no such parameter.
pub(super) fn as_told(sql: &str, told: &[Type]) -> Option<String> {
    let paged = paging::parameters(sql);
    let name = |word: &str| {
        let index = word.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)?;
        match *told.get(index).filter(|_| !paged.contains(&index))? {
            Type::INT2 => Some("SMALLINT"),
            Type::INT4 => Some("INT"),
            Type::FLOAT4 => Some("REAL"),
            _ => None,
        }
    };
    let (mut cast, mut at) = (String::new(), 0);
    for word in words(sql) {
        let Some(name) = name(word) else { continue };
        // Words are parts of the text, so where one begins can be told.
        let begin = word.as_ptr() as usize - sql.as_ptr() as usize;
        cast.push_str(&format!("{}CAST({word} AS {name})", &sql[at..begin]));
        at = begin + word.len();
    }
    (at > 0).then(|| cast + &sql[at..])
}

/// How the columns of `schema` are described, in the format that `format` has for each.
pub(super) fn row_description(schema: &Schema, format: impl Fn(usize) -> i16) -> RowDescription {
    let column = |(index, field): (usize, &FieldRef)| {
        let of = of_field(field);
        FieldDescription::new(field.name().clone(), 0, 0, of.oid(), size(&of), modifier(field), format(index))
    };
    RowDescription::new(schema.fields().iter().enumerate().map(column).collect())
}

/// The bytes of a value of this type, -1 where they differ.
fn size(of: &Type) -> i16 {
    match *of {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID => 4,
        Type::REGCLASS | Type::REGTYPE | Type::REGPROC | Type::REGNAMESPACE | Type::REGROLE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => 8,
        Type::INTERVAL => 16,
        Type::NAME => 64,
        _ => -1,
    }
}

fn modifier(field: &Field) -> i32 {
    match field.data_type() {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            ((i32::from(*precision) << 16) | (i32::from(*scale) & 0xffff)) + MODIFIER_OFFSET
        }
        _ => NO_MODIFIER,
    }
}
