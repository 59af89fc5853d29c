//! Tests of the whole directory: what survives, what is refused, what is reported.

mod fixture;
mod nearline_model;
mod recovery;
