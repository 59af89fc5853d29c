//! Feeds `sums` of `fineo_table`.
#![no_main]

fineo_fuzz::feed!(fineo_table::fuzz, "sums");
