//! Tests of the whole directory.
