//! The cases of the nearline contract.

pub(super) mod cells;
pub(super) mod latest;
pub(super) mod scan;
pub(super) mod write;
