//! Functions that may take very long of few values, such as edit distances: held to a bound before they begin.
//!
//! One call of a function cannot be broken off. What takes time by the square of what is given would go on for minutes
//! after nobody waits for it.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray},
        datatypes::DataType,
    },
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF},
};

use super::{
    growth::{items_ranged, rows},
    guarded::{Guard, guarded},
    planners::check_wanted,
};
use crate::error::{exceeded, foreign};

/// How many comparisons of two signs, or what takes as long, one call may make: some seconds at most.
pub(super) const STEPS_MAX: u128 = 1_000_000_000;
/// How many of them a day of a calendar takes.
const STEPS_OF_TIME: u128 = 200;
/// How many of them a sign takes that a pattern is looked for at once.
const STEPS_OF_PATTERN: u128 = 16;
/// How many of them an item takes that is sorted.
const STEPS_OF_SORT: u128 = 30;

/// How the work follows from the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Work {
    /// Each part of the first is compared with each of the second.
    Compared,
    /// The first is looked through from each of its places on.
    Matched,
    /// The same where the flags say so, else it is looked through once.
    Replaced,
    /// The first is looked through once.
    Sought,
    /// Times of a calendar, from the first to the second by the third.
    Ranged,
    /// The items of the first are sorted.
    Sorted,
}

fn work_of(name: &str) -> Option<Work> {
    Some(match name {
        "levenshtein" | "array_has_all" | "array_has_any" => Work::Compared,
        "regexp_count" | "regexp_instr" => Work::Matched,
        "regexp_replace" => Work::Replaced,
        "regexp_like" | "regexp_match" => Work::Sought,
        "range" | "generate_series" => Work::Ranged,
        "array_sort" => Work::Sorted,
        _ => return None,
    })
}

/// Whether a call of `function` may take long of few rows.
pub(super) fn takes_long(function: &str) -> bool {
    work_of(function).is_some()
}

/// `functions`, none of which takes longer than so of one batch.
pub(crate) fn bounded(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    guarded(functions, work_of)
}

/// Lets a function fail rather than work for longer.
impl Guard for Work {
    fn check_call(&self, function: &str, args: &ScalarFunctionArgs) -> Result<()> {
        // What is known before there are rows is computed while the statement is planned.
        check_wanted()?;
        if steps(*self, args)? > STEPS_MAX {
            let error = exceeded("too_complex", "a function has too much to do at once").with("function", function);
            return Err(foreign(error.with("steps_max", STEPS_MAX).with("hint", hint(*self))));
        }
        Ok(())
    }
}

fn hint(work: Work) -> &'static str {
    match work {
        Work::Compared => "the lengths of both are multiplied: substr or array_slice takes a part",
        Work::Matched | Work::Replaced | Work::Sought => "the text is too long: substr takes a part",
        Work::Ranged => "FROM generate_series(…) makes rows as they are read",
        Work::Sorted => "ORDER BY sorts rows, and can be broken off",
    }
}

/// How many steps the call takes, at most.
fn steps(work: Work, args: &ScalarFunctionArgs) -> Result<u128> {
    if work == Work::Ranged {
        let is_of_times = args.args.first().is_some_and(|first| first.data_type().is_temporal());
        return Ok(if is_of_times { items_ranged(args).saturating_mul(STEPS_OF_TIME) } else { 0 });
    }
    let is_matched = work == Work::Matched || work == Work::Replaced && args.args.get(3).is_some_and(may_repeat);
    let lengths = |index: usize| args.args.get(index).map(Lengths::of).transpose();
    let (first, second) = (lengths(0)?, lengths(1)?);
    let at = |lengths: &Option<Lengths>, row: usize| lengths.as_ref().map_or(0, |lengths| lengths.at(row));
    let of_row = |row: usize| {
        let first = at(&first, row);
        match work {
            Work::Compared => first.saturating_mul(at(&second, row)),
            _ if is_matched => first.saturating_mul(first),
            Work::Sorted => first.saturating_mul(STEPS_OF_SORT),
            Work::Matched | Work::Replaced | Work::Sought | Work::Ranged => first.saturating_mul(STEPS_OF_PATTERN),
        }
    };
    Ok((0..rows(args)).fold(0_u128, |sum, row| sum.saturating_add(of_row(row))))
}

/// Whether `flags` may say that each match counts.
fn may_repeat(flags: &ColumnarValue) -> bool {
    match flags {
        ColumnarValue::Array(_) => true,
        ColumnarValue::Scalar(flags) => flags.try_as_str().flatten().is_some_and(|flags| flags.contains('g')),
    }
}

/// How long each row's value is: of a text its bytes, of a list its items.
pub(super) struct Lengths {
    array: ArrayRef,
    is_one: bool,
}

impl Lengths {
    fn of(value: &ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Array(array) => Self::of_array(array),
            ColumnarValue::Scalar(scalar) => Self { array: scalar.to_array()?, is_one: true },
        })
    }

    pub(super) fn of_array(array: &ArrayRef) -> Self {
        Self { array: Arc::clone(array), is_one: false }
    }

    pub(super) fn at(&self, row: usize) -> u128 {
        let (array, row) = (&self.array, if self.is_one { 0 } else { row });
        if array.is_null(row) {
            return 0;
        }
        let length = match array.data_type() {
            DataType::Utf8View => array.as_string_view().value(row).len(),
            DataType::Utf8 => array.as_string::<i32>().value(row).len(),
            DataType::LargeUtf8 => array.as_string::<i64>().value(row).len(),
            DataType::List(_) => array.as_list::<i32>().value_length(row).unsigned_abs() as usize,
            DataType::LargeList(_) => usize::try_from(array.as_list::<i64>().value_length(row)).unwrap_or(0),
            DataType::FixedSizeList(_, size) => size.unsigned_abs() as usize,
            _ => 1,
        };
        length as u128
    }
}
