//! How many values are put in an order in one step.

use std::sync::Arc;

use datafusion::{
    arrow::array::{ArrayRef, Int64Array},
    common::ScalarValue,
    error::Result,
    logical_expr::Accumulator,
};

use super::{Gathers, Keeps, VALUES_MAX};

/// An aggregate that keeps so many bytes.
#[derive(Debug)]
struct Holds(usize);

impl Accumulator for Holds {
    fn update_batch(&mut self, _values: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Null)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(Vec::new())
    }

    fn size(&self) -> usize {
        self.0
    }
}

/// How many batches of a quarter of what may be were taken, and whether they were put in an order.
fn taken(keeps: Keeps, bytes: usize) -> (usize, bool) {
    let mut gathers = Gathers::new(Box::new(Holds(bytes)), "array_agg", keeps);
    let quarter: ArrayRef = Arc::new(Int64Array::from(vec![0; VALUES_MAX as usize / 4]));
    let taken = (0..8).take_while(|_| gathers.update_batch(&[Arc::clone(&quarter)]).is_ok()).count();
    (taken, gathers.evaluate().is_ok() && gathers.state().is_ok())
}

#[test]
fn so_many_values_of_a_group_are_put_in_an_order_and_no_more() {
    // B3
    assert_eq!(taken(Keeps::All, 0), (4, true));
    assert_eq!(taken(Keeps::Distinct, 1000), (8, true), "few differ");
    assert_eq!(taken(Keeps::Distinct, 1 << 30), (8, false), "too many differ");
    assert_eq!(taken(Keeps::Few, 1000), (8, true));
}
