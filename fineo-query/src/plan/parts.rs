//! `date_part` and `extract`: seconds with what is behind the point, and a difference of two times in days and a time of day.
//!
//! DataFusion 55.2 has whole seconds, and of a difference all the minutes or seconds that it is long, counted in 32 bits: the
//! nanoseconds of three seconds have no room there, nor have the seconds of 68 years.

use std::{str::FromStr, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Float64Array, Int64Array},
        compute::{DatePart, cast, date_part, kernels::cast_utils::IntervalUnit},
        datatypes::{
            DataType, FieldRef, Float64Type, Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType,
            IntervalUnit as Units, TimeUnit,
        },
    },
    common::{Result, ScalarValue, exec_datafusion_err, exec_err},
    logical_expr::{
        ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        interval_arithmetic::Interval,
        preimage::PreimageResult,
        simplify::{ExprSimplifyResult, SimplifyContext},
        sort_properties::{ExprProperties, SortProperties},
    },
};

/// The function as which `extract` is planned, too.
pub(super) const PART: &str = "date_part";

const SECOND: i64 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND as i128;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;

/// `functions`, of which `date_part` loses nothing.
pub(crate) fn in_full(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let in_full = functions.into_iter().map(|function| match function.name() {
        PART => Arc::new(ScalarUDF::from(InFull { inner: function })),
        _ => function,
    });
    in_full.collect()
}

/// A part that the engine cuts; weeks and what is only of days are left to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Epoch,
    Year,
    Quarter,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl Part {
    fn of(name: &ScalarValue) -> Option<Self> {
        let name = name.try_as_str()??.trim_matches(['\'', '"']);
        match name.to_ascii_lowercase().as_str() {
            "epoch" => return Some(Self::Epoch),
            "quarter" | "qtr" => return Some(Self::Quarter),
            _ => {}
        }
        Some(match IntervalUnit::from_str(name).ok()? {
            IntervalUnit::Year => Self::Year,
            IntervalUnit::Month => Self::Month,
            IntervalUnit::Day => Self::Day,
            IntervalUnit::Hour => Self::Hour,
            IntervalUnit::Minute => Self::Minute,
            IntervalUnit::Second => Self::Second,
            IntervalUnit::Millisecond => Self::Millisecond,
            IntervalUnit::Microsecond => Self::Microsecond,
            IntervalUnit::Nanosecond => Self::Nanosecond,
            IntervalUnit::Century | IntervalUnit::Decade | IntervalUnit::Week => return None,
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct InFull {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for InFull {
    super::guarded::as_inner!();

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(arg_types)
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.inner.preimage(args, literal, info)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let part = args.scalar_arguments.first().copied().flatten().and_then(Part::of);
        let field = self.inner.inner().return_field_from_args(args)?;
        Ok(match part {
            Some(Part::Second | Part::Millisecond) => {
                Arc::new(field.as_ref().clone().with_data_type(DataType::Float64))
            }
            _ => field,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let part = match args.args.first() {
            Some(ColumnarValue::Scalar(name)) => Part::of(name),
            _ => None,
        };
        let (Some(part), Some(source)) = (part, args.args.get(1)) else { return self.inner.invoke_with_args(args) };
        let times = source.to_array(1)?;
        let parts = match (times.data_type(), part) {
            (DataType::Duration(unit), _) => of_differences(&times, *unit, part)?,
            (_, Part::Second) => seconds(&times, 1.0)?,
            (_, Part::Millisecond) => seconds(&times, 1_000.0)?,
            _ => return self.inner.invoke_with_args(args),
        };
        Ok(match source {
            ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&parts, 0)?),
            ColumnarValue::Array(_) => ColumnarValue::Array(parts),
        })
    }
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => SECOND,
    }
}

/// The part of differences of two times, all of whose parts have one sign.
fn of_differences(differences: &ArrayRef, unit: TimeUnit, part: Part) -> Result<ArrayRef> {
    let counts = cast(differences, &DataType::Int64)?;
    let counts = counts.as_primitive::<Int64Type>();
    let nanos = |count: i64| i128::from(count) * i128::from(SECOND / per_second(unit));
    let whole = |of: &dyn Fn(i128) -> i128| -> Result<ArrayRef> {
        let narrow = |count: i64| {
            i32::try_from(of(nanos(count)))
                .map_err(|_| exec_datafusion_err!("overflow: a difference has too many days"))
        };
        Ok(Arc::new(counts.try_unary::<_, Int32Type, _>(narrow)?))
    };
    let within_minute = |count: i64| (nanos(count) % MINUTE) as f64;
    match part {
        Part::Epoch => {
            Ok(Arc::new(counts.unary::<_, Float64Type>(|count| count as f64 / per_second(unit) as f64)) as ArrayRef)
        }
        Part::Year | Part::Month => whole(&|_| 0),
        Part::Quarter => whole(&|_| 1),
        Part::Day => whole(&|nanos| nanos / DAY),
        Part::Hour => whole(&|nanos| nanos % DAY / HOUR),
        Part::Minute => whole(&|nanos| nanos % HOUR / MINUTE),
        Part::Second => Ok(Arc::new(counts.unary::<_, Float64Type>(|count| within_minute(count) / 1e9))),
        Part::Millisecond => Ok(Arc::new(counts.unary::<_, Float64Type>(|count| within_minute(count) / 1e6))),
        Part::Microsecond => whole(&|nanos| nanos % MINUTE / 1_000),
        Part::Nanosecond => Ok(Arc::new(counts.unary::<_, Int64Type>(|count| (nanos(count) % MINUTE) as i64))),
    }
}

/// The seconds of the minute of each of `times`, each in so many parts.
fn seconds(times: &ArrayRef, parts: f64) -> Result<ArrayRef> {
    let whole = date_part(times, DatePart::Second)?;
    let whole = whole.as_primitive::<Int32Type>();
    let rest = rests(times)?;
    let seconds = whole.iter().zip(&rest).map(|(whole, rest)| {
        let nanos = i64::from(whole?) * SECOND + rest.unwrap_or_default();
        Some(nanos as f64 / (SECOND as f64 / parts))
    });
    Ok(Arc::new(seconds.collect::<Float64Array>()))
}

/// The nanoseconds of the second of each of `times`.
fn rests(times: &ArrayRef) -> Result<Int64Array> {
    let counted = |unit: TimeUnit| -> Result<Int64Array> {
        let counts = match times.data_type() {
            DataType::Time32(_) => cast(&cast(times, &DataType::Int32)?, &DataType::Int64)?,
            _ => cast(times, &DataType::Int64)?,
        };
        let rest = |count: i64| count.rem_euclid(per_second(unit)) * (SECOND / per_second(unit));
        Ok(counts.as_primitive::<Int64Type>().unary(rest))
    };
    match times.data_type() {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => counted(*unit),
        DataType::Interval(Units::MonthDayNano) => {
            let intervals = times.as_primitive::<IntervalMonthDayNanoType>();
            Ok(intervals.unary(|interval| interval.nanoseconds % SECOND))
        }
        DataType::Interval(Units::DayTime) => {
            let intervals = times.as_primitive::<IntervalDayTimeType>();
            Ok(intervals.unary(|interval| i64::from(interval.milliseconds % 1_000) * 1_000_000))
        }
        DataType::Date32 | DataType::Date64 => Ok(Int64Array::from(vec![0; times.len()])),
        other => exec_err!("{other} has no seconds"),
    }
}
