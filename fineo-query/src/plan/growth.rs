//! Functions whose result can be larger than what they are given: held to a bound before they begin.
//!
//! The pool of a query counts what operators keep, not what a function makes of one batch. A text repeated a milliard
//! times would not fail: it would end the process.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Int64Array},
        compute::{CastOptions, cast_with_options},
        datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit},
    },
    common::Result,
    error::DataFusionError,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF},
    scalar::ScalarValue,
};

use super::guarded::{Guard, guarded};

/// What a list takes for each item at least.
const ITEM_BYTES: u128 = 16;
/// A value of more parts than this, in all levels, would take longer to look at than to answer.
const PARTS_MAX: usize = 10_000;
const MONTH_MICROS: i128 = 28 * 86_400_000_000;
const DAY_MICROS: i128 = 86_400_000_000;

/// How the size of a result follows from the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// The first, as often as the second says.
    Repeated,
    /// So many characters as the second says.
    Padded,
    /// The first, with the third in place of each of its characters, perhaps.
    Replaced,
    /// The first, with the third in place of each match of the second.
    Matched,
    /// Twice the first.
    Doubled,
    /// All together.
    Joined,
    /// The items of the first, each with the second behind it.
    Separated,
    /// So many items as the second says.
    Listed,
    /// From the first to the second by the third.
    Ranged,
}

fn growth_of(name: &str) -> Option<Growth> {
    Some(match name {
        "repeat" => Growth::Repeated,
        "lpad" | "rpad" => Growth::Padded,
        "replace" => Growth::Replaced,
        "regexp_replace" => Growth::Matched,
        "encode" => Growth::Doubled,
        "||" | "concat" | "concat_ws" | "array_concat" | "make_array" | "struct" | "named_struct" | "map" => {
            Growth::Joined
        }
        "array_to_string" => Growth::Separated,
        "array_repeat" | "array_resize" => Growth::Listed,
        "range" | "generate_series" => Growth::Ranged,
        _ => return None,
    })
}

/// `functions`, none of which makes more than `bytes_max` of one batch.
pub(crate) fn bounded(functions: Vec<Arc<ScalarUDF>>, bytes_max: usize) -> Vec<Arc<ScalarUDF>> {
    let bytes_max = bytes_max as u64;
    guarded(functions, |name| growth_of(name).map(|growth| Bounded { growth, bytes_max }))
}

/// Lets a function fail rather than grow beyond its bound.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Bounded {
    growth: Growth,
    bytes_max: u64,
}

impl Guard for Bounded {
    fn check_type(&self, function: &str, made: &DataType) -> Result<()> {
        if parts_of(made, PARTS_MAX) > PARTS_MAX {
            let message = format!("{function} would make values of more than {PARTS_MAX} parts");
            return Err(DataFusionError::ResourcesExhausted(message));
        }
        Ok(())
    }

    fn check_call(&self, function: &str, args: &ScalarFunctionArgs) -> Result<()> {
        let bytes = bytes_of(self.growth, args);
        if bytes > u128::from(self.bytes_max) {
            let message = format!("{function} would make {bytes} bytes of one batch");
            return Err(DataFusionError::ResourcesExhausted(message));
        }
        Ok(())
    }

    fn given(&self, mut args: ScalarFunctionArgs) -> Result<ScalarFunctionArgs> {
        // The engine takes a length below zero, in a column, for a very large one.
        if self.growth == Growth::Padded
            && let Some(ColumnarValue::Array(lengths)) = args.args.get_mut(1)
            && let Some(numbers) = lengths.as_primitive_opt::<Int64Type>()
        {
            *lengths = Arc::new(numbers.unary::<_, Int64Type>(|length| length.max(0)));
        }
        Ok(args)
    }
}

/// How many columns a value of the type takes; when there are more than `parts_max`, some number above that.
fn parts_of(data_type: &DataType, parts_max: usize) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().fold(1, |parts, field| {
            let left = parts_max.saturating_sub(parts);
            if parts > parts_max { parts } else { parts + parts_of(field.data_type(), left) }
        }),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => 1 + parts_of(field.data_type(), parts_max.saturating_sub(1)),
        _ => 1,
    }
}

/// What the result may take, at most; no less than that for numbers that are none.
fn bytes_of(growth: Growth, args: &ScalarFunctionArgs) -> u128 {
    let rows = rows(args);
    let arg = |index: usize| args.args.get(index);
    let size = |index: usize| arg(index).map(Sizes::of);
    let size_at = |sizes: &Option<Sizes>, row: usize| sizes.as_ref().map_or(0, |sizes| sizes.at(row));
    let number = |index: usize| arg(index).and_then(numbers);
    let number_at = |numbers: &Option<Numbers>, row: usize| numbers.as_ref().map_or(0, |numbers| numbers.at(row));
    let positive = |number: i128| u128::try_from(number).unwrap_or(0);
    let (first, second, third) = (size(0), size(1), size(2));
    let sum = |of_row: &dyn Fn(usize) -> u128| (0..rows).fold(0_u128, |sum, row| sum.saturating_add(of_row(row)));
    match growth {
        Growth::Repeated => {
            let counts = number(1);
            sum(&|row| size_at(&first, row).saturating_mul(positive(number_at(&counts, row))))
        }
        Growth::Padded => {
            let counts = number(1);
            sum(&|row| positive(number_at(&counts, row)).saturating_mul(4))
        }
        Growth::Replaced => sum(&|row| {
            let (whole, by) = (size_at(&first, row), size_at(&third, row));
            // Text for text of a length: each piece of it may become the other.
            let pieces = whole / size_at(&second, row).max(1);
            whole.saturating_add(pieces.saturating_add(1).saturating_mul(by))
        }),
        Growth::Matched => sum(&|row| {
            let (whole, by) = (size_at(&first, row), size_at(&third, row));
            // There may be a match at each place, and the other text may repeat it.
            whole.saturating_add(whole.saturating_add(1).saturating_mul(by).saturating_mul(2))
        }),
        Growth::Doubled => sum(&|row| size_at(&first, row).saturating_mul(2)),
        Growth::Joined => {
            let all: Vec<Sizes> = args.args.iter().map(Sizes::of).collect();
            sum(&|row| all.iter().map(|sizes| sizes.at(row)).sum())
        }
        Growth::Separated => sum(&|row| {
            let first = size_at(&first, row);
            first.saturating_add((first / ITEM_BYTES).saturating_mul(size_at(&second, row)))
        }),
        Growth::Listed => {
            let counts = number(1);
            sum(&|row| positive(number_at(&counts, row)).saturating_mul(ITEM_BYTES.max(size_at(&third, row))))
        }
        Growth::Ranged => items_ranged(args).saturating_mul(ITEM_BYTES),
    }
}

/// How many items there are from the first argument to the second by the third, in all rows.
pub(super) fn items_ranged(args: &ScalarFunctionArgs) -> u128 {
    let number = |index: usize| args.args.get(index).and_then(numbers);
    let number_at = |numbers: &Option<Numbers>, row: usize| numbers.as_ref().map_or(0, |numbers| numbers.at(row));
    let (from, to) = if args.args.len() == 1 { (None, number(0)) } else { (number(0), number(1)) };
    let steps = number(2);
    let of_row = |row: usize| {
        let step = steps.as_ref().map_or(1, |steps| steps.at(row)).unsigned_abs().max(1);
        number_at(&to, row).abs_diff(number_at(&from, row)) / step
    };
    (0..rows(args)).fold(0, |sum: u128, row| sum.saturating_add(of_row(row)))
}

/// How many rows are made: one where all arguments are the same for all.
pub(super) fn rows(args: &ScalarFunctionArgs) -> usize {
    if args.args.iter().any(|arg| matches!(arg, ColumnarValue::Array(_))) { args.number_rows } else { 1 }
}

/// How many bytes each row's value has, about.
enum Sizes {
    Same(u128),
    Each(ArrayRef),
}

impl Sizes {
    fn of(value: &ColumnarValue) -> Self {
        match value {
            ColumnarValue::Array(array) => Self::Each(Arc::clone(array)),
            ColumnarValue::Scalar(scalar) => match scalar.try_as_str().flatten() {
                Some(text) => Self::Same(text.len() as u128),
                None => Self::Same(scalar.size() as u128),
            },
        }
    }

    fn at(&self, row: usize) -> u128 {
        let array = match self {
            Self::Same(size) => return *size,
            Self::Each(array) => array,
        };
        let bytes = match array.data_type() {
            DataType::Utf8View => array.as_string_view().views().get(row).map_or(0, |view| *view as u32 as usize),
            DataType::BinaryView => array.as_binary_view().views().get(row).map_or(0, |view| *view as u32 as usize),
            DataType::Binary => array.as_binary::<i32>().value_length(row).unsigned_abs() as usize,
            DataType::LargeBinary => usize::try_from(array.as_binary::<i64>().value_length(row)).unwrap_or(0),
            DataType::Utf8 => array.as_string::<i32>().value_length(row).unsigned_abs() as usize,
            DataType::LargeUtf8 => usize::try_from(array.as_string::<i64>().value_length(row)).unwrap_or(0),
            DataType::List(_) => {
                let items = array.as_list::<i32>().value_length(row).unsigned_abs() as usize;
                items * (array.get_array_memory_size() / array.as_list::<i32>().values().len().max(1)).max(1)
            }
            DataType::Struct(_) => array.get_array_memory_size() / array.len().max(1),
            _ => ITEM_BYTES as usize,
        };
        bytes as u128
    }
}

/// A whole number for each row: of an instant or an interval its microseconds.
enum Numbers {
    Same(i128),
    Each(Int64Array),
    Intervals(ArrayRef),
}

impl Numbers {
    fn at(&self, row: usize) -> i128 {
        match self {
            Self::Same(number) => *number,
            Self::Each(array) if array.is_null(row) => 0,
            Self::Each(array) => i128::from(array.value(row)),
            Self::Intervals(array) if array.is_null(row) => 0,
            Self::Intervals(array) => {
                let (months, days, nanos) =
                    IntervalMonthDayNanoType::to_parts(array.as_primitive::<IntervalMonthDayNanoType>().value(row));
                i128::from(months) * MONTH_MICROS + i128::from(days) * DAY_MICROS + i128::from(nanos) / 1000
            }
        }
    }
}

fn numbers(value: &ColumnarValue) -> Option<Numbers> {
    let array = match value {
        ColumnarValue::Array(array) => Arc::clone(array),
        ColumnarValue::Scalar(ScalarValue::Int64(number)) => return Some(Numbers::Same(number.map_or(0, i128::from))),
        ColumnarValue::Scalar(scalar) => scalar.to_array().ok()?,
    };
    let cast = |to: &DataType| cast_with_options(&array, to, &CastOptions::default()).ok();
    let found = match array.data_type() {
        DataType::Interval(_) => Numbers::Intervals(cast(&DataType::Interval(IntervalUnit::MonthDayNano))?),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            let micros = cast(&DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Microsecond, None))?;
            Numbers::Each(cast_to_long(&micros)?)
        }
        _ => Numbers::Each(cast_to_long(&array)?),
    };
    let is_one = matches!(value, ColumnarValue::Scalar(_));
    Some(if is_one { Numbers::Same(found.at(0)) } else { found })
}

fn cast_to_long(array: &ArrayRef) -> Option<Int64Array> {
    let numbers = cast_with_options(array, &DataType::Int64, &CastOptions::default()).ok()?;
    Some(numbers.as_primitive::<Int64Type>().clone())
}
