//! The doors, from outside.
