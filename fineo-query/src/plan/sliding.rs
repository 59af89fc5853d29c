//! Aggregates of doubles over frames that slide, without any subtraction.
//!
//! DataFusion 55.2 takes what leaves a frame off its sum. A double forgets: after `1e20` the ones beside it are gone, after an
//! infinity or a NaN all is NaN for ever, and what is left of squares that were taken off may be negative. Here the rows of a frame
//! wait in a queue that is summed up from both ends, so that what leaves is no part of any sum: two or three additions for each row,
//! however wide the frame, and as many parts in memory as it has rows.

mod moments;
mod queue;

use std::fmt::Debug;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Float64Array},
        datatypes::{DataType, Float64Type},
    },
    common::ScalarValue,
    error::{DataFusionError, Result},
    logical_expr::{Accumulator, function::AccumulatorArgs},
};

use self::{
    moments::{Pairs, Spread, Sum},
    queue::Queue,
};

/// What some rows of a frame, one behind the other, come to.
trait Part: Copy + Debug + Send + Sync + 'static {
    /// What one row comes to; of an aggregate of one column both numbers are the same.
    fn of(row: [f64; 2]) -> Self;

    /// What the rows come to together with those of `later`.
    fn and(self, later: Self) -> Self;
}

/// What takes the place of the engine's accumulator for the aggregate `name` of doubles, if it is one that subtracts.
pub(crate) fn accumulator(name: &str, args: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>> {
    let are_doubles = args.expr_fields.iter().all(|field| *field.data_type() == DataType::Float64);
    if args.is_distinct || args.expr_fields.is_empty() || !are_doubles {
        return None;
    }
    if let Some(answer) = Sum::answer(name) {
        return Some(Box::new(Slides::new(answer)));
    }
    if let Some(answer) = Spread::answer(name) {
        return Some(Box::new(Slides::new(answer)));
    }
    Some(Box::new(Slides::new(Pairs::answer(name)?)))
}

/// An aggregate of the rows that are in a frame.
#[derive(Debug)]
struct Slides<P> {
    rows: Queue<P>,
    answer: fn(P) -> Option<f64>,
}

impl<P: Part> Slides<P> {
    fn new(answer: fn(P) -> Option<f64>) -> Self {
        Self { rows: Queue::default(), answer }
    }
}

impl<P: Part> Accumulator for Slides<P> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for row in rows(values)? {
            self.rows.push(P::of(row));
        }
        Ok(())
    }

    /// The rows that leave a frame are those that came first.
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for _ in rows(values)? {
            self.rows.pop();
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.rows.total().and_then(self.answer)))
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Err(internal("frames are not merged"))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(internal("a frame has no state"))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.rows.size()
    }
}

/// The rows without a null.
fn rows(values: &[ArrayRef]) -> Result<impl Iterator<Item = [f64; 2]>> {
    let first = doubles(values.first())?;
    let second = doubles(values.get(1).or(values.first()))?;
    Ok((0..first.len().min(second.len()))
        .filter(|row| first.is_valid(*row) && second.is_valid(*row))
        .map(|row| [first.value(row), second.value(row)]))
}

fn doubles(values: Option<&ArrayRef>) -> Result<&Float64Array> {
    values.and_then(|values| values.as_primitive_opt::<Float64Type>()).ok_or_else(|| internal("doubles are expected"))
}

fn internal(what: &str) -> DataFusionError {
    DataFusionError::Internal(what.to_owned())
}

#[cfg(test)]
mod tests;
