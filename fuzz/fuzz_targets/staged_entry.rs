//! Feeds `staged_entry` of `fineo_ingest`.
#![no_main]

fineo_fuzz::feed!(fineo_ingest::fuzz, "staged_entry");
