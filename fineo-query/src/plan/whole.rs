//! Whole numbers that leave the range of their type are an error, not another number.
//!
//! DataFusion 55.2 lets `+`, `-`, `*` and `sum` wrap around, and has places in an order as numbers without a sign, so that the
//! difference of two of them is never negative. As in Postgres, what has no answer here is `overflow`, and a place is a `BIGINT`.

mod arithmetic;
mod places;
mod sums;

pub(crate) use arithmetic::ChecksRanges;
pub(crate) use places::{CountPlanner, signed};
pub(crate) use sums::exact;

use datafusion::{arrow::error::ArrowError, error::DataFusionError};

/// What has no answer.
fn overflow(what: impl std::fmt::Display) -> DataFusionError {
    ArrowError::ArithmeticOverflow(what.to_string()).into()
}
