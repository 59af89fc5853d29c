//! The program on AWS, which `scripts/services start` stands for.
//!
//! Without the emulators' endpoints in the environment every test is ignored, and says so: no test ever meets an account.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cold;
mod errors;
mod objects;
mod place;
#[path = "../it/program.rs"]
mod program;
mod whole;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

use place::Place;

fn trial(name: &str, run: fn(&Place)) -> Trial {
    Trial::ignorable_test(format!("aws: {name}"), move || {
        Ok(match Place::new() {
            Ok(place) => {
                run(&place);
                Completion::Completed
            }
            Err(missing) if std::env::var_os("FINEO_TEST_AWS").is_some_and(|said| said == "required") => {
                return Err(missing.into());
            }
            Err(missing) => Completion::ignored_with(missing),
        })
    })
}

fn main() -> ExitCode {
    let trials = vec![
        trial("what keeps the program from working is said with what to do about it", errors::are_told),
        trial("the doctor finds a place ill until it is made", errors::the_doctor_finds_them),
        trial("a place answers every verb as a directory does", whole::answers_every_verb),
        trial("cold segments are restored before a replay, when that is told to", cold::are_restored_when_told_to),
        trial("objects of S3 are taken in as files of their names", objects::are_taken_in),
        trial("objects that cannot be taken in are named", objects::are_named),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
