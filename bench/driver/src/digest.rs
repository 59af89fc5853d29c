//! What a result is, independent of the engine: its rows, and the sum of its numbers.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use serde_json::{Value, json};

use crate::Result;

/// Row count, and the sum of every finite numeric cell; neither booleans nor times are numbers.
#[derive(Debug, Default)]
pub(crate) struct Digest {
    rows: usize,
    sum: f64,
}

impl Digest {
    /// Takes in the rows of one batch.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        for column in batch.columns() {
            if !column.data_type().is_numeric() {
                continue;
            }
            let numbers = cast(column, &DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            self.sum += numbers.iter().flatten().filter(|x| x.is_finite()).sum::<f64>();
        }
        Ok(())
    }

    /// `[rows, sum]`, the sum to six significant digits: engines add in different orders.
    pub(crate) fn value(&self) -> Value {
        let rounded: f64 = format!("{:.5e}", self.sum).parse().expect("a formatted number parses");
        json!([self.rows, rounded])
    }
}
