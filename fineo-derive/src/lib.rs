//! `#[derive(FineoEvent)]`.
