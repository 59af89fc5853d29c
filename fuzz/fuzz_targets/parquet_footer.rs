//! Feeds `parquet_footer` of `fineo_table`.
#![no_main]

fineo_fuzz::feed!(fineo_table::fuzz, "parquet_footer");
