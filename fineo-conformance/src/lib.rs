//! The contracts, executable: cases for every backend, models and fault wrappers.
