//! The `fineo` program: reads the words, does the thing, and says in its exit code whether it was done.

use std::{io, process::ExitCode};

use clap::{Parser, error::ErrorKind};
use futures::future::LocalBoxFuture;

mod args;
mod backup;
mod catalog;
mod compact;
mod demo;
mod engine;
mod errors;
mod failure;
mod hints;
mod ingest;
mod input;
mod instant;
mod listing;
mod output;
mod place;
mod progress;
mod replay;
mod report;
mod schema;
mod serve;
mod shell;
mod sql;
mod statements;
mod stop;
mod tables;
mod token;

use args::{Arguments, Verb};
use engine::Opener;
use failure::Failure;

/// The stack of the threads that plan and run queries: deep statements need it.
const THREAD_STACK_BYTES: usize = 8 * 1024 * 1024;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Where SQL is taken, a mistyped option was taken for it, and what is told of is the word behind it.
            if error.kind() == ErrorKind::UnknownArgument
                && let Some(message) = args::slip::of_sql(std::env::args_os())
            {
                return Failure::Misuse(message).report();
            }
            // Help and version go to standard output with code 0, misuse to standard error with code 2.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // A server logs as its configuration says.
    if !matches!(arguments.verb, Verb::Serve(_)) {
        log_to_stderr();
    }
    // The main thread's stack is the operating system's affair: the work runs on a thread whose stack is ours.
    let work = std::thread::Builder::new().stack_size(THREAD_STACK_BYTES).spawn(move || work(arguments));
    match work.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        Ok(Ok(Err(failure))) => failure.report(),
        // The panic has printed its message.
        Ok(Err(_)) => ExitCode::FAILURE,
        Err(error) => Failure::from(error).report(),
    }
}

fn work(arguments: Arguments) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(THREAD_STACK_BYTES).build()?;
    let result = runtime.block_on(run(arguments));
    // A thread that still waits for standard input must not keep the program from ending.
    runtime.shutdown_background();
    result
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

/// Does what `arguments` say.
fn run(arguments: Arguments) -> LocalBoxFuture<'static, Result<(), Failure>> {
    Box::pin(async move {
        let opener = Opener { place: arguments.place(), creates_missing: arguments.verb.creates_missing() };
        match &arguments.verb {
            Verb::Ingest(args) => ingest::run(args, &opener).await,
            Verb::Sql(args) => sql::run(args, &opener).await,
            Verb::Schema(args) => schema::run(args, &opener).await,
            Verb::Errors(args) => errors::run(args, &opener).await,
            Verb::Replay(args) => replay::run(args, &opener).await,
            Verb::Compact(args) => compact::run(args, &opener).await,
            Verb::Tables(args) => tables::run(args, &opener).await,
            Verb::Serve(args) => serve::run(args, &opener.place).await,
            Verb::Token(args) => token::run(args, &opener).await,
            Verb::Backup(args) => backup::back_up(args, &opener).await,
            Verb::Restore(args) => backup::restore(args, &opener).await,
            Verb::Status(args) => report::status(args, &opener).await,
            Verb::Capabilities(args) => report::capabilities(args, &opener).await,
            Verb::Bootstrap(args) => opener.place.bootstrap(args).await,
            Verb::Doctor => opener.place.doctor().await,
            Verb::Demo => demo::run(arguments.chosen_directory()).await,
        }
    })
}
