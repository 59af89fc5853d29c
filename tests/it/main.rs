//! Whole-system tests: programs against the facade, on every backend.

mod disk;
mod ideas;
mod isolation;
mod kill;
mod support;
mod user_program;
