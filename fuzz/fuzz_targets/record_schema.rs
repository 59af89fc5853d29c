//! Feeds `record_schema` of `fineo_schema`.
#![no_main]

fineo_fuzz::feed!(fineo_schema::fuzz, "record_schema");
