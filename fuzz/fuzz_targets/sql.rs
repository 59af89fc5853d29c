//! Feeds `sql` of `fineo_query`.
#![no_main]

fineo_fuzz::feed!(fineo_query::fuzz, "sql");
