//! Whole queries over the memory backend.

mod bad_inputs;
mod desk;
mod explain;
mod isolation;
mod names;
mod values;
mod views;
