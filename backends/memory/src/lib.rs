//! The in-memory backend: the reference and the test double.
