//! The `fineo` program.
fn main() {}
