//! Times of a result that no calendar has a date for: they would be shown as the text of an error.

use datafusion::arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, RecordBatch},
    compute::{max, min},
    datatypes::{
        DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampSecondType,
    },
    temporal_conversions::{
        date32_to_datetime, date64_to_datetime, timestamp_ms_to_datetime, timestamp_s_to_datetime,
        timestamp_us_to_datetime,
    },
};
use fineo_core::Result;

use crate::error::refused;

/// Refuses `batch` where one of its columns has such a time.
pub(crate) fn check(batch: &RecordBatch) -> Result<()> {
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let has_dates = match column.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => {
                of::<TimestampSecondType>(column, |value| timestamp_s_to_datetime(value).is_some())
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                of::<TimestampMillisecondType>(column, |value| timestamp_ms_to_datetime(value).is_some())
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                of::<TimestampMicrosecondType>(column, |value| timestamp_us_to_datetime(value).is_some())
            }
            DataType::Date32 => of::<Date32Type>(column, |value| date32_to_datetime(value).is_some()),
            DataType::Date64 => of::<Date64Type>(column, |value| date64_to_datetime(value).is_some()),
            _ => true,
        };
        if !has_dates {
            return Err(refused("overflow", "a time is beyond all years").with("column", field.name()));
        }
    }
    Ok(())
}

/// Whether the first and the last of `column` are dates, so that all of it is.
fn of<T: ArrowPrimitiveType>(column: &ArrayRef, is_date: impl Fn(T::Native) -> bool) -> bool {
    let values = column.as_primitive::<T>();
    [min(values), max(values)].into_iter().flatten().all(is_date)
}
