//! Feeds the doors, and what reads strangers' bytes at them, for as long as it is told.

use std::{process::ExitCode, time::Duration};

use fineo_conformance::{Target, fed, feed_for};
use fineo_server::fuzz::{seeds, targets};

const USAGE: &str = "fuzz-doors DOOR SECONDS [CHANCE]: DOOR is how the names begin of what is fed: pg, flight, http";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((chosen, seconds, chance)) = asked(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    // What panics in a task of a door must not pass for an answer. Arrow's reader panics at what no writer makes, and the
    // door that reads with it knows.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("/arrow-")) {
            told(panic);
            eprintln!("{}", fed());
            std::process::exit(101);
        }
    }));
    for (name, inputs) in feed_for(&chosen, seeds, Duration::from_secs(seconds), chance) {
        eprintln!("{name}: {inputs} inputs");
    }
    ExitCode::SUCCESS
}

fn asked(arguments: &[String]) -> Option<(Vec<Target>, u64, u32)> {
    let (door, rest) = arguments.split_first()?;
    let (seconds, rest) = rest.split_first()?;
    let chance = rest.first().map_or(Ok(0), |text| text.parse()).ok()?;
    let chosen: Vec<Target> = targets().into_iter().filter(|(name, _)| name.starts_with(door.as_str())).collect();
    Some((chosen, seconds.parse().ok()?, chance)).filter(|(chosen, ..)| !chosen.is_empty())
}
