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

const QUARTER: i64 = VALUES_MAX as i64 / 4;

/// How many batches of a quarter of what may be were taken, of so many values that differ, and whether they were put in an order.
fn taken(keeps: Keeps, differ: i64) -> (i64, bool) {
    let mut gathers = Gathers::new(Box::new(Holds(1 << 30)), "array_agg", keeps);
    let quarter = |batch: i64| -> ArrayRef {
        Arc::new((batch * QUARTER..(batch + 1) * QUARTER).map(|value| Some(value % differ)).collect::<Int64Array>())
    };
    let taken = (0..8).take_while(|batch| gathers.update_batch(&[quarter(*batch)]).is_ok()).count();
    (taken as i64, gathers.evaluate().is_ok() && gathers.state().is_ok())
}

#[test]
fn so_many_values_of_a_group_are_put_in_an_order_and_no_more() {
    // B3
    assert_eq!(taken(Keeps::All, 1), (4, true));
    assert_eq!(taken(Keeps::Distinct, 1000), (8, true), "few differ, however large");
    assert_eq!(taken(Keeps::Distinct, 3 * QUARTER), (8, true), "not too many differ");
    assert_eq!(taken(Keeps::Distinct, 8 * QUARTER), (8, false), "too many differ");
    assert_eq!(taken(Keeps::Few, 1000), (8, true));
}

#[test]
fn what_stands_before_an_accumulator_is_counted_too() {
    let gathers = Gathers::new(Box::new(Holds(1000)), "array_agg", Keeps::All);
    assert_eq!(gathers.size(), 1000 + size_of::<Gathers>());
}
