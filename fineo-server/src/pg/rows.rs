//! Rows as the protocol sends them.

use std::{fmt, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch},
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
        Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef, TimeUnit,
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
    error::ArrowError,
    temporal_conversions::date32_to_datetime,
    util::display::{ArrayFormatter, FormatOptions},
};
use arrow_pg::encoder::encode_value;
use bytes::{BufMut, BytesMut};
use pgwire::{
    api::{
        Type,
        results::{DataRowEncoder, FieldFormat, FieldInfo},
    },
    types::{ToSqlText, format::FormatOptions as TextOptions},
};

use super::{failure::Failure, numeric, types};
use crate::floats;

/// Days and microseconds from 1970-01-01 to 2000-01-01, where Postgres begins to count.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;
/// The length of a value that is null.
const NULL: i32 = -1;

/// The rows of one batch, ready to be written one by one.
pub(super) struct Rows {
    columns: Vec<Column>,
    count: usize,
    next: usize,
}

impl Rows {
    /// The rows of `batch`, each column in the format that `format` has for it.
    pub(super) fn new(batch: &RecordBatch, format: impl Fn(usize) -> i16) -> Result<Self, Failure> {
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (index, array) in batch.columns().iter().enumerate() {
            columns.push(Column::new(array, batch.schema(), index, format(index) == 1)?);
        }
        Ok(Self { columns, count: batch.num_rows(), next: 0 })
    }

    /// Writes the next row; false when there is none.
    pub(super) fn write(&mut self, out: &mut BytesMut) -> Result<bool, Failure> {
        if self.next == self.count {
            return Ok(false);
        }
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_i16(self.columns.len() as i16);
        for column in &mut self.columns {
            column.write(self.next, out)?;
        }
        let length = i32::try_from(out.len() - start).map_err(|_| Failure::error("54000", "a row is too long"))?;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        self.next += 1;
        Ok(true)
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({} of {})", self.next, self.count)
    }
}

/// One column of a batch, and how its values are written.
struct Column {
    array: ArrayRef,
    is_binary: bool,
    writer: Writer,
}

/// How the values of a column are written.
enum Writer {
    Boolean(BooleanArray),
    /// Whole numbers of any width, written as this many bytes.
    Whole(Wide, usize),
    Double(PrimitiveArray<Float64Type>),
    Single(PrimitiveArray<Float32Type>),
    Text(ArrayRef),
    Bytes(ArrayRef),
    Date(PrimitiveArray<Date32Type>),
    /// Microseconds, and whether they are instants.
    Instant(PrimitiveArray<TimestampMicrosecondType>, bool),
    Decimal(ArrayRef),
    /// By the crate for the rest.
    Foreign(Box<(FieldInfo, DataRowEncoder, SchemaRef, usize)>),
    /// As the engine shows it.
    Shown,
}

/// Whole numbers as the widest of them.
enum Wide {
    Signed(PrimitiveArray<Int64Type>),
    Unsigned(PrimitiveArray<UInt64Type>),
}

impl Column {
    fn new(array: &ArrayRef, schema: SchemaRef, index: usize, is_binary: bool) -> Result<Self, Failure> {
        let field = &schema.fields()[index];
        let array = match field.data_type() {
            DataType::Dictionary(_, value) => cast(array, value)?,
            _ => Arc::clone(array),
        };
        let of = types::of_field(field);
        let writer = match array.data_type() {
            // Kinds of whole numbers that the metadata calls otherwise have the crate's forms.
            DataType::Int32 if of != Type::INT4 => foreign(field, &of, is_binary, &schema, index),
            DataType::Utf8 if of == Type::CHAR => foreign(field, &of, is_binary, &schema, index),
            DataType::Boolean => Writer::Boolean(array.as_boolean().clone()),
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => Writer::Whole(signed(&array)?, 2),
            DataType::UInt16 | DataType::Int32 => Writer::Whole(signed(&array)?, 4),
            DataType::UInt32 | DataType::Int64 => Writer::Whole(signed(&array)?, 8),
            DataType::UInt64 => Writer::Whole(Wide::Unsigned(array.as_primitive::<UInt64Type>().clone()), 0),
            DataType::Float32 => Writer::Single(array.as_primitive::<Float32Type>().clone()),
            DataType::Float64 => Writer::Double(array.as_primitive::<Float64Type>().clone()),
            DataType::Utf8 | DataType::LargeUtf8 => Writer::Text(cast(&array, &DataType::Utf8View)?),
            DataType::Utf8View => Writer::Text(Arc::clone(&array)),
            DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
                Writer::Bytes(cast(&array, &DataType::BinaryView)?)
            }
            DataType::BinaryView => Writer::Bytes(Arc::clone(&array)),
            DataType::Date32 => Writer::Date(array.as_primitive::<Date32Type>().clone()),
            DataType::Timestamp(unit, zone) => Writer::Instant(micros(&array, unit)?, zone.is_some()),
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                Writer::Decimal(Arc::clone(&array))
            }
            DataType::Null => Writer::Shown,
            DataType::Interval(_)
            | DataType::Duration(_)
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Date64 => foreign(field, &of, is_binary, &schema, index),
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::Struct(_)
                if of != Type::TEXT =>
            {
                foreign(field, &of, is_binary, &schema, index)
            }
            _ => Writer::Shown,
        };
        Ok(Self { array, is_binary, writer })
    }

    fn write(&mut self, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
        if self.array.is_null(row) || matches!(self.array.data_type(), DataType::Null) {
            out.put_i32(NULL);
            return Ok(());
        }
        let is_binary = self.is_binary;
        match &mut self.writer {
            Writer::Foreign(foreign) => {
                let (field, encoder, schema, index) = foreign.as_mut();
                encode_value(encoder, &self.array, row, schema.field(*index), field)?;
                // A row of one value is its length and its bytes.
                out.put_slice(&encoder.take_row().data);
                return Ok(());
            }
            Writer::Shown => {
                let options = FormatOptions::new();
                let formatter = ArrayFormatter::try_new(&self.array, &options).map_err(|error| unshowable(&error))?;
                measured(out, |out| out.put_slice(formatter.value(row).to_string().as_bytes()));
                return Ok(());
            }
            _ => {}
        }
        measured(out, |out| self.put(row, is_binary, out));
        Ok(())
    }

    /// Writes a value that is there, without its length.
    fn put(&self, row: usize, is_binary: bool, out: &mut BytesMut) {
        match &self.writer {
            Writer::Boolean(values) if is_binary => out.put_u8(u8::from(values.value(row))),
            Writer::Boolean(values) => out.put_u8(if values.value(row) { b't' } else { b'f' }),
            Writer::Whole(Wide::Signed(values), width) if is_binary => {
                let bytes = values.value(row).to_be_bytes();
                out.put_slice(&bytes[bytes.len() - width..]);
            }
            Writer::Whole(Wide::Signed(values), _) => put_text(out, values.value(row)),
            Writer::Whole(Wide::Unsigned(values), _) if is_binary => {
                numeric::put_binary(&values.value(row).to_string(), out)
            }
            Writer::Whole(Wide::Unsigned(values), _) => put_text(out, values.value(row)),
            Writer::Double(values) if is_binary => out.put_f64(values.value(row)),
            Writer::Double(values) => match word(values.value(row)) {
                Some(word) => put_str(out, word),
                None => put_number(out, &Type::FLOAT8, &values.value(row)),
            },
            Writer::Single(values) if is_binary => out.put_f32(values.value(row)),
            Writer::Single(values) => match word(values.value(row).into()) {
                Some(word) => put_str(out, word),
                None => put_number(out, &Type::FLOAT4, &values.value(row)),
            },
            Writer::Text(values) => put_str(out, values.as_string_view().value(row)),
            Writer::Bytes(values) if is_binary => out.put_slice(values.as_binary_view().value(row)),
            Writer::Bytes(values) => put_hexadecimal(out, values.as_binary_view().value(row)),
            Writer::Date(values) if is_binary => out.put_i32(values.value(row).saturating_sub(EPOCH_DAYS)),
            Writer::Date(values) => match date32_to_datetime(values.value(row)) {
                Some(day) => put_text(out, day.format("%Y-%m-%d")),
                None => put_text(out, values.value(row)),
            },
            Writer::Instant(values, _) if is_binary => out.put_i64(values.value(row).saturating_sub(EPOCH_MICROS)),
            Writer::Instant(values, is_instant) => put_instant(out, values, row, *is_instant),
            Writer::Decimal(values) => {
                let text = decimal(values, row);
                if is_binary { numeric::put_binary(&text, out) } else { out.put_slice(text.as_bytes()) }
            }
            Writer::Foreign(_) | Writer::Shown => {}
        }
    }
}

/// Writes a value with its length before it.
fn measured(out: &mut BytesMut, value: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_i32(0);
    value(out);
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn put_text(out: &mut BytesMut, value: impl std::fmt::Display) {
    use std::fmt::Write as _;
    write!(out, "{value}").expect("a buffer that grows takes any text");
}

/// Text: a zero byte cannot be told in it, so it is replaced.
fn put_str(out: &mut BytesMut, text: &str) {
    if text.contains('\0') {
        out.put_slice(text.replace('\0', "\u{fffd}").as_bytes());
    } else {
        out.put_slice(text.as_bytes());
    }
}

/// The word for a value that has no digits, or whose digits would lose their sign.
fn word(value: f64) -> Option<&'static str> {
    floats::word(value).or_else(|| (value == 0.0 && value.is_sign_negative()).then_some("-0"))
}

fn put_number(out: &mut BytesMut, of: &Type, number: &impl ToSqlText) {
    number.to_sql_text(of, out, &TextOptions::default()).expect("a number has a text");
}

fn put_hexadecimal(out: &mut BytesMut, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.put_slice(b"\\x");
    for byte in bytes {
        out.put_u8(DIGITS[usize::from(byte >> 4)]);
        out.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}

fn put_instant(out: &mut BytesMut, values: &PrimitiveArray<TimestampMicrosecondType>, row: usize, is_instant: bool) {
    match values.value_as_datetime(row) {
        Some(instant) => put_text(out, instant.format("%Y-%m-%d %H:%M:%S%.f")),
        None => return put_text(out, values.value(row)),
    }
    if is_instant {
        out.put_slice(b"+00");
    }
}

fn decimal(values: &ArrayRef, row: usize) -> String {
    fn digits<T: ArrowPrimitiveType>(values: &ArrayRef, row: usize, scale: i8) -> String
    where
        T::Native: std::fmt::Display,
    {
        numeric::plain(&values.as_primitive::<T>().value(row).to_string(), scale)
    }
    match values.data_type() {
        DataType::Decimal32(_, scale) => digits::<Decimal32Type>(values, row, *scale),
        DataType::Decimal64(_, scale) => digits::<Decimal64Type>(values, row, *scale),
        DataType::Decimal128(_, scale) => digits::<Decimal128Type>(values, row, *scale),
        DataType::Decimal256(_, scale) => digits::<Decimal256Type>(values, row, *scale),
        _ => String::new(),
    }
}

fn signed(array: &ArrayRef) -> Result<Wide, Failure> {
    fn widened<T: ArrowPrimitiveType>(array: &ArrayRef) -> Wide
    where
        T::Native: Into<i64>,
    {
        Wide::Signed(array.as_primitive::<T>().unary(Into::into))
    }
    Ok(match array.data_type() {
        DataType::Int8 => widened::<Int8Type>(array),
        DataType::Int16 => widened::<Int16Type>(array),
        DataType::Int32 => widened::<Int32Type>(array),
        DataType::UInt8 => widened::<UInt8Type>(array),
        DataType::UInt16 => widened::<UInt16Type>(array),
        DataType::UInt32 => widened::<UInt32Type>(array),
        _ => Wide::Signed(array.as_primitive::<Int64Type>().clone()),
    })
}

/// Instants in microseconds, rounded down.
fn micros(array: &ArrayRef, unit: &TimeUnit) -> Result<PrimitiveArray<TimestampMicrosecondType>, Failure> {
    let too_large = || Failure::error("22008", "timestamp out of range");
    Ok(match unit {
        TimeUnit::Second => {
            let scaled = array
                .as_primitive::<TimestampSecondType>()
                .try_unary(|value| value.checked_mul(1_000_000).ok_or_else(too_large));
            scaled?
        }
        TimeUnit::Millisecond => {
            let scaled = array
                .as_primitive::<TimestampMillisecondType>()
                .try_unary(|value| value.checked_mul(1_000).ok_or_else(too_large));
            scaled?
        }
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().clone(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().unary(|value| value.div_euclid(1_000)),
    })
}

fn foreign(field: &arrow::datatypes::FieldRef, of: &Type, is_binary: bool, schema: &SchemaRef, index: usize) -> Writer {
    let format = if is_binary { FieldFormat::Binary } else { FieldFormat::Text };
    let info = FieldInfo::new(field.name().clone(), None, None, of.clone(), format);
    let encoder = DataRowEncoder::new(Arc::new(vec![info.clone()]));
    Writer::Foreign(Box::new((info, encoder, Arc::clone(schema), index)))
}

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Failure> {
    arrow::compute::cast(array, to).map_err(|error| unshowable(&error))
}

fn unshowable(error: &ArrowError) -> Failure {
    Failure::error("XX000", format!("a value cannot be shown: {error}"))
}
