//! The AWS backend keeps the contracts against emulators, which `scripts/services start` starts.
//!
//! Without their endpoints in the environment every case is ignored, and says so: no test ever meets an account.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cases;
mod cold;
mod days;
mod delivered;
mod faults;
mod patient;
mod place;
mod rows;
mod segments;
mod silent;
mod stub;
mod sweep;
mod tails;
mod way;

use std::process::ExitCode;

use fineo_conformance::Backend;
use libtest_mimic::{Arguments, run};

use place::{Emulated, Part};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let backends: Vec<Box<dyn Backend>> = vec![
        Box::new(Emulated {
            name: "aws-dynoxide",
            parts: &[Part::Repo, Part::Nearline],
            variable: "FINEO_TEST_DYNAMODB_URL",
            fan_out: false,
        }),
        Box::new(Emulated {
            name: "aws-ministack",
            parts: &[Part::Archive],
            variable: "FINEO_TEST_S3_URL",
            fan_out: false,
        }),
        Box::new(Emulated {
            name: "aws-firehose",
            parts: &[Part::Archive],
            variable: "FINEO_TEST_S3_URL",
            fan_out: false,
        }),
        Box::new(Emulated {
            name: "aws-kinesalite",
            parts: &[Part::Stream],
            variable: "FINEO_TEST_KINESALITE_URL",
            fan_out: false,
        }),
        Box::new(Emulated {
            name: "aws-kinesis-local",
            parts: &[Part::Stream],
            variable: "FINEO_TEST_KINESIS_URL",
            fan_out: false,
        }),
        Box::new(Emulated {
            name: "aws-kinesis-local-fan-out",
            parts: &[Part::Stream],
            variable: "FINEO_TEST_KINESIS_URL",
            fan_out: true,
        }),
        // The same once more, when not all goes well.
        Box::new(Emulated {
            name: "aws-dynoxide-faulty",
            parts: &[Part::Repo, Part::Nearline],
            variable: "FINEO_TEST_DYNAMODB_URL",
            fan_out: false,
        }),
        Box::new(Emulated {
            name: "aws-ministack-faulty",
            parts: &[Part::Archive],
            variable: "FINEO_TEST_S3_URL",
            fan_out: false,
        }),
        Box::new(Emulated {
            name: "aws-kinesalite-faulty",
            parts: &[Part::Stream],
            variable: "FINEO_TEST_KINESALITE_URL",
            fan_out: false,
        }),
    ];
    println!("faults come by seed {}; FINEO_FAULT_SEED sets another", place::seed());
    let mut trials = fineo_conformance::trials(backends);
    // A case of a contract that an emulator does not speak is nobody's case.
    trials.retain(|trial| place::is_asked(trial.name()) && !place::takes_minutes(trial.name()));
    trials.extend(cases::trials());
    trials.extend(rows::trials());
    trials.extend(days::trials());
    trials.extend(segments::trials());
    trials.extend(cold::trials());
    trials.extend(delivered::trials());
    trials.extend(faults::trials());
    trials.extend(sweep::trials());
    run(&arguments, trials).exit_code()
}
