//! Feeds `nearline_footer` of `fineo_backend_local`.
#![no_main]

fineo_fuzz::feed!(fineo_backend_local::fuzz, "nearline_footer");
