//! The embedded backend: one directory, durable.
