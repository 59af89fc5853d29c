//! The values of `$1`, `$2`, … as the one row of an Arrow batch.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{
        DECIMAL128_MAX_PRECISION, DataType, Date32Type, Decimal128Type, Float64Type, Int64Type,
        IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    },
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use fineo::{Parameter, Timestamp};
use tonic::Status;

/// One row as bytes, to be kept in a handle.
pub(super) fn to_bytes(batch: &RecordBatch) -> Result<Vec<u8>, Status> {
    if batch.num_rows() != 1 {
        let rows = batch.num_rows();
        return Err(Status::invalid_argument(format!("parameters are one row, not {rows}: ask once for each")));
    }
    let unwritable =
        |error: arrow::error::ArrowError| Status::invalid_argument(format!("unreadable parameters: {error}"));
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).map_err(unwritable)?;
    writer.write(batch).and_then(|()| writer.finish()).map_err(unwritable)?;
    drop(writer);
    Ok(bytes)
}

const DAY_MICROS: i64 = 86_400_000_000;

/// The values in such bytes.
pub(super) fn from_bytes(bytes: &[u8]) -> Result<Vec<Parameter>, Status> {
    let unreadable =
        |error: arrow::error::ArrowError| Status::invalid_argument(format!("unreadable parameters: {error}"));
    let mut reader = StreamReader::try_new(bytes, None).map_err(unreadable)?;
    let batch = reader.next().transpose().map_err(unreadable)?;
    let batch = batch.ok_or_else(|| Status::invalid_argument("no parameters"))?;
    batch.columns().iter().map(value).collect()
}

/// The first value of `column`.
fn value(column: &ArrayRef) -> Result<Parameter, Status> {
    if column.is_empty() || column.is_null(0) || column.data_type() == &DataType::Null {
        return Ok(Parameter::Null);
    }
    let as_type = |wanted: DataType| {
        let unfit =
            |error: arrow::error::ArrowError| Status::invalid_argument(format!("a parameter does not fit: {error}"));
        let converted = cast(column, &wanted).map_err(unfit)?;
        if converted.is_null(0) { Err(Status::invalid_argument("a parameter does not fit")) } else { Ok(converted) }
    };
    Ok(match column.data_type() {
        DataType::Boolean => Parameter::Boolean(column.as_boolean().value(0)),
        data_type if data_type.is_integer() => {
            Parameter::Long(as_type(DataType::Int64)?.as_primitive::<Int64Type>().value(0))
        }
        data_type if data_type.is_floating() => {
            Parameter::Double(as_type(DataType::Float64)?.as_primitive::<Float64Type>().value(0))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            Parameter::from(as_type(DataType::Utf8View)?.as_string_view().value(0))
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Parameter::Bytes(as_type(DataType::BinaryView)?.as_binary_view().value(0).into())
        }
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            let widest = as_type(DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale))?;
            Parameter::Decimal { value: widest.as_primitive::<Decimal128Type>().value(0), scale: *scale }
        }
        DataType::Date32 | DataType::Date64 => {
            Parameter::Date(as_type(DataType::Date32)?.as_primitive::<Date32Type>().value(0))
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let micros = as_type(DataType::Time64(TimeUnit::Microsecond))?;
            let micros = micros.as_primitive::<Time64MicrosecondType>().value(0);
            if !(0..DAY_MICROS).contains(&micros) {
                return Err(Status::invalid_argument("a time of day is one from 00:00 to 23:59:59.999999"));
            }
            Parameter::Time(micros)
        }
        DataType::Interval(_) => {
            let length = as_type(DataType::Interval(IntervalUnit::MonthDayNano))?;
            let length = length.as_primitive::<IntervalMonthDayNanoType>().value(0);
            let (months, days, nanos) = IntervalMonthDayNanoType::to_parts(length);
            Parameter::Interval { months, days, nanos }
        }
        DataType::Timestamp(..) => {
            let micros = as_type(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>().value(0);
            let instant = Timestamp::from_micros(micros);
            Parameter::Timestamp(instant.map_err(|error| Status::invalid_argument(error.to_string()))?)
        }
        other => return Err(Status::invalid_argument(format!("a value of type {other} cannot be a parameter"))),
    })
}
