//! Runs cases against backends, one by one or as a test binary.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    process::ExitCode,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use fineo_core::ErrorKind;
use futures::FutureExt;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::{Backend, Case, Verdict, all};

/// The longest that a case may take before it counts as hanging.
const CASE_MAX: Duration = Duration::from_secs(120);

/// Runs every case against every backend, as `args` (of a test binary) say.
pub fn main(args: impl IntoIterator<Item = String>, backends: Vec<Box<dyn Backend>>) -> ExitCode {
    let arguments = Arguments::from_iter(args);
    libtest_mimic::run(&arguments, trials(backends)).exit_code()
}

/// Every case of every backend as a trial, for a test binary that has others too.
pub fn trials(backends: Vec<Box<dyn Backend>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for backend in backends {
        let backend: Arc<dyn Backend> = backend.into();
        for case in all() {
            let backend = Arc::clone(&backend);
            let name = format!("{} {case}", backend.name());
            trials.push(Trial::ignorable_test(name, move || trial(case, backend)));
        }
    }
    trials
}

fn trial(case: Case, backend: Arc<dyn Backend>) -> Result<Completion, Failed> {
    match run(case, backend) {
        Ok(Verdict::Passed) => Ok(Completion::Completed),
        Ok(Verdict::Ignored(reason)) => Ok(Completion::ignored_with(reason)),
        Err(failure) => Err(failure.into()),
    }
}

/// Runs `case` in a runtime of its own. A case that blocks its runtime for ever fails too.
pub(crate) fn run(case: Case, backend: Arc<dyn Backend>) -> Result<Verdict, String> {
    let (sender, receiver) = mpsc::channel();
    let body = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let verdict = match runtime {
            Ok(runtime) => runtime.block_on(ask(case, backend)),
            Err(error) => Err(format!("no runtime: {error}")),
        };
        // The receiver went away only if the case took too long.
        let _ = sender.send(verdict);
    };
    thread::spawn(body);
    receiver.recv_timeout(CASE_MAX).unwrap_or_else(|_| Err(format!("not done within {CASE_MAX:?}")))
}

async fn ask(case: Case, backend: Arc<dyn Backend>) -> Result<Verdict, String> {
    let place = backend.fresh().await.map_err(|error| format!("{error:?}"))?;
    let outcome = AssertUnwindSafe((case.run)(place)).catch_unwind().await;
    match outcome {
        Ok(Ok(verdict)) => Ok(verdict),
        Ok(Err(error)) if error.kind() == ErrorKind::Unsupported => Ok(Verdict::ignored(error.to_string())),
        Ok(Err(error)) => Err(format!("{error:?}")),
        Err(panic) => Err(panic_text(panic.as_ref())),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().cloned();
    let text = owned.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}

#[cfg(test)]
mod tests;
