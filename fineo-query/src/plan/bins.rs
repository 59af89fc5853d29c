//! `date_trunc` and `date_bin` of instants of any year.
//!
//! The engine's count nanoseconds inside, which begin in the year 1677 and end in 2262: one device whose clock is wrong would
//! end every query that groups by time. Times of day and text are left to them, and named zones, brought into years that they count.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, AsArray, PrimitiveArray},
        datatypes::{
            DataType, Field, FieldRef, IntervalDayTimeType, IntervalMonthDayNanoType, TimeUnit,
            TimestampMicrosecondType,
        },
    },
    common::{Result, exec_datafusion_err, exec_err},
    logical_expr::{
        ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
        interval_arithmetic::Interval,
        simplify::{ExprSimplifyResult, SimplifyContext},
        sort_properties::{ExprProperties, SortProperties},
        type_coercion::functions::fields_with_udf,
    },
    scalar::ScalarValue,
};
use jiff::{Span, civil::Date};

const TRUNC: &str = "date_trunc";
const BIN: &str = "date_bin";

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
const EPOCH: Date = Date::constant(1970, 1, 1);
/// The Gregorian calendar, weeks too, repeats after 400 years.
const CYCLE: i64 = 146_097 * DAY;
/// From 1680 to 2260 the engine counts.
const FIRST: i64 = -290 * 365 * DAY;
const LAST: i64 = 290 * 365 * DAY;
/// The first Monday behind the epoch.
const MONDAY: i64 = 4 * DAY;

/// `functions`, of which those that cut time into bins do so in any year.
pub(crate) fn of_any_year(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let of_any_year = functions.into_iter().map(|function| match function.name() {
        TRUNC | BIN => {
            let signature = Signature::user_defined(Volatility::Immutable);
            Arc::new(ScalarUDF::from(OfAnyYear { inner: function, signature }))
        }
        _ => function,
    });
    of_any_year.collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfAnyYear {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for OfAnyYear {
    super::guarded::as_inner!();

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let given: Vec<FieldRef> =
            arg_types.iter().map(|given| Arc::new(Field::new("", given.clone(), true))).collect();
        let mut types: Vec<DataType> =
            fields_with_udf(&given, &*self.inner)?.iter().map(|field| field.data_type().clone()).collect();
        if let Some(instant) = arg_types.get(1).and_then(instant_of) {
            types.iter_mut().skip(1).for_each(|own| own.clone_from(&instant));
        }
        Ok(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.inner().return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [first, source, rest @ ..] = args.args.as_slice() else { return self.inner.invoke_with_args(args) };
        let DataType::Timestamp(TimeUnit::Microsecond, zone) = source.data_type() else {
            return self.inner.invoke_with_args(args);
        };
        let is_utc = zone.as_deref().is_none_or(|zone| matches!(zone, "UTC" | "+00:00"));
        let bins = match self.name() {
            TRUNC if !is_utc => return self.in_zone(args),
            TRUNC => unit(first),
            _ => bins(first, rest.first())?,
        };
        match bins {
            Some(bins) => bins.of(source),
            None => self.inner.invoke_with_args(args),
        }
    }
}

impl OfAnyYear {
    /// Cuts what the engine cannot count as it cuts the same time of another year, with that year's summer time.
    fn in_zone(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let instants = args.args[1].to_array(1)?;
        let is_one = matches!(args.args[1], ColumnarValue::Scalar(_));
        let instants = instants.as_primitive::<TimestampMicrosecondType>();
        let shifts: Vec<i64> = instants.values().iter().map(|instant| shift(*instant)).collect();
        let shifted = |begins: &PrimitiveArray<TimestampMicrosecondType>, sign: i64| {
            let values = begins.values().iter().zip(&shifts).map(|(begin, shift)| begin.saturating_add(sign * shift));
            let values = values.collect::<Vec<i64>>().into();
            PrimitiveArray::<TimestampMicrosecondType>::new(values, begins.nulls().cloned())
                .with_data_type(begins.data_type().clone())
        };
        args.args[1] = ColumnarValue::Array(Arc::new(shifted(instants, 1)));
        args.number_rows = instants.len();
        let begins = self.inner.invoke_with_args(args)?.into_array(instants.len())?;
        let begins = shifted(begins.as_primitive(), -1);
        Ok(match is_one {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&begins, 0)?),
            false => ColumnarValue::Array(Arc::new(begins)),
        })
    }
}

/// How far `instant` is from the same time of a year that nanoseconds reach.
fn shift(instant: i64) -> i64 {
    match instant {
        ..FIRST => (FIRST - instant).div_euclid(CYCLE) * CYCLE + CYCLE,
        FIRST..LAST => 0,
        LAST.. => -((instant - LAST).div_euclid(CYCLE) * CYCLE + CYCLE),
    }
}

/// The type as which an argument is cut here: an instant's own, that of a day's midnight.
fn instant_of(given: &DataType) -> Option<DataType> {
    match given {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(given.clone()),
        DataType::Date32 | DataType::Date64 => Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        _ => None,
    }
}

/// Bins side by side, in microseconds, one of which begins at `origin`.
#[derive(Debug, Clone, Copy)]
enum Bins {
    Fixed { nanos: i64, origin: i64 },
    Months { months: i64, origin: i64 },
}

/// The bins of `date_trunc`; none for a unit that it is left to refuse.
fn unit(name: &ColumnarValue) -> Option<Bins> {
    let ColumnarValue::Scalar(name) = name else { return None };
    let fixed = |micros: i64| Some(Bins::Fixed { nanos: micros * 1_000, origin: 0 });
    let months = |months| Some(Bins::Months { months, origin: 0 });
    match name.try_as_str()??.to_ascii_lowercase().as_str() {
        "microsecond" => fixed(1),
        "millisecond" => fixed(1_000),
        "second" => fixed(SECOND),
        "minute" => fixed(60 * SECOND),
        "hour" => fixed(3_600 * SECOND),
        "day" => fixed(DAY),
        "week" => Some(Bins::Fixed { nanos: 7 * DAY * 1_000, origin: MONDAY }),
        "month" => months(1),
        "quarter" => months(3),
        "year" => months(12),
        _ => None,
    }
}

/// The bins of `date_bin`; none for a stride or an origin that it is left to refuse or to answer with null.
fn bins(stride: &ColumnarValue, origin: Option<&ColumnarValue>) -> Result<Option<Bins>> {
    let origin = match origin {
        None => 0,
        Some(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(origin), _))) => *origin,
        Some(_) => return exec_err!("date_bin takes one time as the origin of all bins"),
    };
    let (months, days, nanos) = match stride {
        ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(stride))) => {
            IntervalMonthDayNanoType::to_parts(*stride)
        }
        ColumnarValue::Scalar(ScalarValue::IntervalDayTime(Some(stride))) => {
            let (days, millis) = IntervalDayTimeType::to_parts(*stride);
            (0, days, i64::from(millis) * 1_000_000)
        }
        _ => return Ok(None),
    };
    let fixed = i64::from(days).checked_mul(DAY * 1_000).and_then(|days| days.checked_add(nanos));
    match (months, fixed) {
        (_, None) => exec_err!("the stride of date_bin is too long"),
        (0, Some(nanos)) if nanos > 0 => Ok(Some(Bins::Fixed { nanos, origin })),
        (months, Some(0)) if months > 0 => Ok(Some(Bins::Months { months: months.into(), origin })),
        (0, _) | (_, Some(0)) => exec_err!("the stride of date_bin must be greater than zero"),
        _ => exec_err!("the stride of date_bin is in months or in what is shorter, not in both"),
    }
}

impl Bins {
    /// The beginnings of the bins in which the instants of `source` are.
    fn of(self, source: &ColumnarValue) -> Result<ColumnarValue> {
        match source {
            ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(instant, zone)) => {
                let begin = instant.map(|instant| self.around(instant).map(|(begin, _)| begin)).transpose()?;
                Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(begin, zone.clone())))
            }
            ColumnarValue::Scalar(other) => exec_err!("no instant is cut: {}", other.data_type()),
            ColumnarValue::Array(instants) => {
                let instants = instants.as_primitive::<TimestampMicrosecondType>();
                let begins = self.of_array(instants)?.with_data_type(instants.data_type().clone());
                Ok(ColumnarValue::Array(Arc::new(begins)))
            }
        }
    }

    fn of_array(
        self,
        instants: &PrimitiveArray<TimestampMicrosecondType>,
    ) -> Result<PrimitiveArray<TimestampMicrosecondType>> {
        if let Self::Fixed { nanos, origin: 0 } = self
            && nanos % 1_000 == 0
        {
            let micros = nanos / 1_000;
            return Ok(instants.unary(|instant| instant.saturating_sub(instant.rem_euclid(micros))));
        }
        // One bin mostly has many rows that follow each other.
        let mut bin = (0, 0);
        let begins = instants.iter().map(|instant| {
            let Some(instant) = instant else { return Ok(None) };
            if !(bin.0..bin.1).contains(&instant) {
                bin = self.around(instant)?;
            }
            Ok(Some(bin.0))
        });
        begins.collect()
    }

    /// Where the bin that `instant` is in begins, and where the next one does.
    fn around(self, instant: i64) -> Result<(i64, i64)> {
        let around = match self {
            Self::Fixed { nanos, origin } => fixed(instant, nanos, origin),
            Self::Months { months, origin } => calendar(instant, months, origin),
        };
        around.ok_or_else(|| exec_datafusion_err!("a bin of {instant} µs begins beyond all years"))
    }
}

fn fixed(instant: i64, nanos: i64, origin: i64) -> Option<(i64, i64)> {
    let behind = (i128::from(instant) - i128::from(origin)) * 1_000;
    let begin = behind - behind.rem_euclid(nanos.into());
    let micros = |nanos: i128| i64::try_from(nanos.div_euclid(1_000) + i128::from(origin)).ok();
    // A bin that begins within a microsecond holds those that begin behind it.
    Some((micros(begin)?, micros(begin + i128::from(nanos)).unwrap_or(i64::MAX)))
}

fn calendar(instant: i64, months: i64, origin: i64) -> Option<(i64, i64)> {
    let (source, start) = (day_of(instant)?, day_of(origin)?);
    let years = i64::from(source.year()) - i64::from(start.year());
    let distance = years * 12 + i64::from(source.month()) - i64::from(start.month());
    let begin_of = |bin: i64| {
        let day = start.checked_add(Span::new().try_months(bin.checked_mul(months)?).ok()?).ok()?;
        Some(i64::from(day.since(EPOCH).ok()?.get_days()) * DAY + origin.rem_euclid(DAY))
    };
    let mut bin = distance.div_euclid(months);
    let mut begin = begin_of(bin)?;
    // Within its month the source may be before the origin's day.
    if begin > instant {
        bin -= 1;
        begin = begin_of(bin)?;
    }
    Some((begin, begin_of(bin + 1).unwrap_or(i64::MAX)))
}

fn day_of(micros: i64) -> Option<Date> {
    EPOCH.checked_add(Span::new().try_days(micros.div_euclid(DAY)).ok()?).ok()
}

#[cfg(test)]
mod tests;
