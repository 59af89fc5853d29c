//! The template deploys and its functions work: on an emulator that runs their binaries behind real mappings.
//!
//! `scripts/services start` starts it. Without its endpoint in the environment the test is ignored, and says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cloud;
mod deployed;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial, run};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let url = std::env::var("FINEO_TEST_S3_URL").ok().filter(|url| !url.is_empty());
    let is_required = std::env::var("FINEO_TEST_AWS").is_ok_and(|value| value == "required");
    let name = "aws lambda: events of every way in become rows and tables behind the deployed template, once";
    let is_there = url.is_some();
    let trial = Trial::test(name, move || {
        let url = url.ok_or_else(|| Failed::from("FINEO_TEST_S3_URL is not set: run scripts/services start"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(deployed::events_become_rows_and_tables(&url));
        Ok(())
    });
    if !is_there && !is_required {
        eprintln!("ignored: FINEO_TEST_S3_URL is not set, scripts/services start starts the emulator");
    }
    run(&arguments, vec![trial.with_ignored_flag(!is_there && !is_required)]).exit_code()
}
