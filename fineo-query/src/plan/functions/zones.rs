//! `AT TIME ZONE`, which is `timezone(zone, time)`: what a clock in a zone shows at an instant, and the instant at which it shows
//! a time.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, AsArray, StringArray, TimestampMicrosecondArray},
        datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType},
    },
    common::{Result, ScalarValue, plan_err},
    error::DataFusionError,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};
use jiff::{
    SignedDuration, Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone},
};

use super::rows::{TIME, is_instant, is_text};
use crate::error::{foreign, refused};

/// The name as which `AT TIME ZONE` is planned.
pub(crate) const ZONED: &str = "timezone";

pub(super) fn zoned() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Zoned { signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Zoned {
    signature: Signature,
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl ScalarUDFImpl for Zoned {
    fn name(&self) -> &str {
        ZONED
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [zone, time] = given else { return plan_err!("timezone takes a zone and a time") };
        if !is_text(zone) || !(is_text(time) || is_instant(time)) {
            return plan_err!("AT TIME ZONE takes a time, and a zone as text, not {time} and {zone}");
        }
        // Days and text are instants, as in Postgres.
        let time = if matches!(time, DataType::Timestamp(_, None)) { TIME } else { instant() };
        Ok(vec![DataType::Utf8, time])
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match given {
            [_, DataType::Timestamp(_, None)] => instant(),
            _ => TIME,
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if let Some(Some(zone)) = args.scalar_arguments.first()
            && let Some(Some(name)) = zone.try_as_str()
        {
            zone_of(name)?;
        }
        let given: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(ZONED, self.return_type(&given)?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_one { 1 } else { args.number_rows };
        let given = ColumnarValue::values_to_arrays(&args.args)?;
        let [zones, times] = given.as_slice() else { return plan_err!("timezone takes a zone and a time") };
        let is_clock = matches!(times.data_type(), DataType::Timestamp(_, None));
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let move_one = if is_clock { instant_of } else { clock_at };
        let moved = moved(zones.as_string::<i32>(), times, rows, move_one)?;
        let moved = if is_clock { moved.with_timezone("UTC") } else { moved };
        Ok(match is_one {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&moved, 0)?),
            false => ColumnarValue::Array(Arc::new(moved)),
        })
    }
}

/// Each of `times` in its zone. Those of neighbours are mostly the same.
fn moved(
    zones: &StringArray,
    times: &TimestampMicrosecondArray,
    rows: usize,
    move_one: fn(&TimeZone, i64) -> Option<i64>,
) -> Result<TimestampMicrosecondArray> {
    let mut last: Option<(&str, TimeZone)> = None;
    let mut moved = Vec::with_capacity(rows);
    for row in 0..rows {
        if zones.is_null(row) || times.is_null(row) {
            moved.push(None);
            continue;
        }
        let name = zones.value(row);
        if last.as_ref().is_none_or(|(known, _)| *known != name) {
            last = Some((name, zone_of(name)?));
        }
        let of_row = last.as_ref().and_then(|(_, zone)| move_one(zone, times.value(row)));
        moved.push(Some(of_row.ok_or_else(beyond)?));
    }
    Ok(TimestampMicrosecondArray::from(moved))
}

/// What a clock in `zone` shows at `micros`.
fn clock_at(zone: &TimeZone, micros: i64) -> Option<i64> {
    // The instants that are known there end some hours before the last year does.
    let known = micros.div_euclid(1_000_000).clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    micros.checked_add(micros_of(zone.to_offset(Timestamp::from_second(known).ok()?)))
}

/// When a clock in `zone` shows `micros`. A time that is left out in spring is told from the hour before, one that comes twice in
/// autumn is the second of them.
fn instant_of(zone: &TimeZone, micros: i64) -> Option<i64> {
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let shown = epoch.checked_add(SignedDuration::from_micros(micros)).ok()?;
    let offset = match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Gap { before, .. } => before,
        AmbiguousOffset::Fold { after, .. } => after,
    };
    micros.checked_sub(micros_of(offset))
}

fn micros_of(offset: Offset) -> i64 {
    i64::from(offset.seconds()) * 1_000_000
}

/// The zone that is called `name`, or lies so many hours and minutes east.
fn zone_of(name: &str) -> Result<TimeZone> {
    let zone =
        match name.strip_prefix('+').map(|east| (1, east)).or_else(|| name.strip_prefix('-').map(|west| (-1, west))) {
            Some((sign, distance)) => seconds(distance).and_then(|seconds| Offset::from_seconds(sign * seconds).ok()),
            None if name.eq_ignore_ascii_case("z") => Some(Offset::UTC),
            None => return TimeZone::get(name).map_err(|_| unknown(name)),
        };
    zone.map(TimeZone::fixed).ok_or_else(|| unknown(name))
}

/// The seconds of a distance written as `02`, `02:30`, `0230`.
fn seconds(distance: &str) -> Option<i32> {
    let (hours, minutes) = match (distance.split_once(':'), distance.len()) {
        (Some(parts), _) => parts,
        (None, 4) if distance.is_ascii() => distance.split_at(2),
        (None, _) => (distance, "0"),
    };
    let number = |digits: &str, end: i32| {
        let is_plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.parse::<i32>().ok().filter(|number| is_plain && *number < end)
    };
    Some(number(hours, 24)? * 3_600 + number(minutes, 60)? * 60)
}

fn unknown(name: &str) -> DataFusionError {
    let error = refused("query_invalid", "no such time zone").with("zone", name.chars().take(200).collect::<String>());
    foreign(error.with("hint", "zones are called as 'Europe/Berlin', or written as '+02:00', which is east"))
}

fn beyond() -> DataFusionError {
    foreign(refused("overflow", "a time lies beyond the years that are counted"))
}
