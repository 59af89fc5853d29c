//! Feeds `log_frame` of `fineo_backend_local`.
#![no_main]

fineo_fuzz::feed!(fineo_backend_local::fuzz, "log_frame");
