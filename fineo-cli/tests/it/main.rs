//! The program as a user meets it: words in, answers and exit codes out.

mod ask;
mod change;
mod import;
mod program;
mod repair;
mod whole;
