//! Lines on their way: made already, not yet arrived.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Waiting lines, first the one that arrives first; ties go by the order in which they were made.
#[derive(Debug, Default)]
pub struct Late {
    arrivals: BinaryHeap<Reverse<(u64, u64)>>,
    lines: HashMap<u64, Vec<u8>>,
    made: u64,
}

impl Late {
    /// Keeps `line` until `arrival`.
    pub fn hold(&mut self, arrival: u64, line: Vec<u8>) {
        self.arrivals.push(Reverse((arrival, self.made)));
        self.lines.insert(self.made, line);
        self.made += 1;
    }

    /// The next line that arrived by `now`, if there is one.
    pub fn arrived(&mut self, now: u64) -> Option<Vec<u8>> {
        let Reverse((arrival, made)) = *self.arrivals.peek()?;
        if arrival > now {
            return None;
        }
        self.arrivals.pop();
        self.lines.remove(&made)
    }

    /// How many lines are still on their way.
    pub fn waiting(&self) -> usize {
        self.lines.len()
    }
}
