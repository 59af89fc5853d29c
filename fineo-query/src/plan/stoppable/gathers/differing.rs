//! About how many values differ, of many: by the smallest of their hashes, which lie the closer the more there are.

use std::collections::BTreeSet;

use datafusion::{
    arrow::array::ArrayRef,
    common::hash_utils::{QualityRandomState, create_hashes},
    error::Result,
};

/// So many hashes are kept: the estimate is right but for some hundredths.
const KEPT_MAX: usize = 1024;

/// The smallest hashes of the values that came.
#[derive(Debug, Default)]
pub(super) struct Differing(BTreeSet<u64>);

impl Differing {
    pub(super) fn add(&mut self, values: &ArrayRef) -> Result<()> {
        let mut hashes = vec![0; values.len()];
        create_hashes([values], &QualityRandomState::with_seed(0), &mut hashes)?;
        for hash in hashes {
            let is_small = self.0.len() < KEPT_MAX || self.0.last().is_some_and(|largest| hash < *largest);
            if is_small && self.0.insert(hash) && self.0.len() > KEPT_MAX {
                self.0.pop_last();
            }
        }
        Ok(())
    }

    pub(super) fn count(&self) -> u64 {
        let kept = self.0.len() as u64;
        match self.0.last() {
            Some(largest) if self.0.len() == KEPT_MAX => {
                let count = u128::from(kept - 1) * (u128::from(u64::MAX) + 1) / (u128::from(*largest) + 1);
                u64::try_from(count).unwrap_or(u64::MAX)
            }
            _ => kept,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.0.len() * size_of::<u64>()
    }
}
