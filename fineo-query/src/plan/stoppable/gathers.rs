//! What gathers the values of a group in an order, such as `array_agg(… ORDER BY …)`: it sorts and merges them in one step, and so
//! takes no more than that takes no time for.

mod differing;

use datafusion::{
    arrow::array::{Array, ArrayRef, AsArray},
    common::ScalarValue,
    error::Result,
    logical_expr::Accumulator,
};

use crate::error::{exceeded, foreign};

use differing::Differing;

/// The aggregates that do so; the others with an order keep but one value.
pub(super) const GATHER: [&str; 3] = ["array_agg", "string_agg", "nth_value"];

/// The most values of a group.
pub(super) const VALUES_MAX: u64 = 1_000_000;

/// Fails when a group has too many values for `aggregate`.
pub(super) fn check(values: u64, aggregate: &str) -> Result<()> {
    if values <= VALUES_MAX {
        return Ok(());
    }
    let error = exceeded("memory_limit", "a group has too many values to put them in an order")
        .with("aggregate", aggregate)
        .with("ordered_values_max", VALUES_MAX)
        .with("hint", "group by shorter times as well, or ask for the rows in an order: SELECT … ORDER BY …");
    Err(foreign(error))
}

/// Which values of a group are kept until its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    All,
    Distinct,
    /// So many that their number was looked at already.
    Few,
}

/// Such an aggregate at work.
#[derive(Debug)]
pub(super) struct Gathers {
    inner: Box<dyn Accumulator>,
    name: &'static str,
    keeps: Keeps,
    /// How many came.
    values: u64,
    /// How many of them differ, where the others are not kept.
    differing: Option<Differing>,
}

impl Gathers {
    pub(super) fn new(inner: Box<dyn Accumulator>, name: &str, keeps: Keeps) -> Self {
        let name = GATHER.into_iter().find(|known| *known == name).unwrap_or("an ordered aggregate");
        let differing = (keeps == Keeps::Distinct).then(Differing::default);
        Self { inner, name, keeps, values: 0, differing }
    }

    /// Counts values that are about to come.
    fn count(&mut self, values: &ArrayRef) -> Result<()> {
        self.values = self.values.saturating_add(values.len() as u64);
        if let Some(differing) = &mut self.differing {
            return differing.add(values);
        }
        if self.keeps == Keeps::All { check(self.values, self.name) } else { Ok(()) }
    }

    /// That those that are left are not too many to be sorted.
    fn check_kept(&self) -> Result<()> {
        match &self.differing {
            Some(differing) if self.values > VALUES_MAX => check(differing.count(), self.name),
            Some(_) | None => Ok(()),
        }
    }
}

impl Accumulator for Gathers {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if let Some(values) = values.first() {
            self.count(values)?;
        }
        self.inner.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        if let Some(lists) = states.first().and_then(|state| state.as_list_opt::<i32>()) {
            for list in lists.iter().flatten() {
                self.count(&list)?;
            }
        }
        self.inner.merge_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.check_kept()?;
        self.inner.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.check_kept()?;
        self.inner.state()
    }

    fn size(&self) -> usize {
        // What the accumulator within takes by itself is in its own size.
        size_of::<Self>() + self.inner.size() + self.differing.as_ref().map_or(0, Differing::size)
    }
}

#[cfg(test)]
mod tests;
