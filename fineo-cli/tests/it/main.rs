//! The program as a user meets it: words in, answers and exit codes out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ask;
mod change;
mod damaged;
mod import;
mod lines;
mod program;
mod repair;
mod serve;
#[cfg(feature = "aws")]
mod serve_aws;
mod slips;
mod whole;
