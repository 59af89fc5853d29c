//! Feeds `segment` of `fineo_ingest`.
#![no_main]

fineo_fuzz::feed!(fineo_ingest::fuzz, "segment");
