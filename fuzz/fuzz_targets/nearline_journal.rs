//! Feeds `nearline_journal` of `fineo_backend_local`.
#![no_main]

fineo_fuzz::feed!(fineo_backend_local::fuzz, "nearline_journal");
