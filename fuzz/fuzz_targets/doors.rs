//! Feeds one of the readers of the doors, or a door: the one that `FINEO_FUZZ` names.
#![no_main]

use std::sync::LazyLock;

use fineo_server::fuzz::{seeds, targets};

static FED: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    // What panics in a task of a door must not pass for an answer. Arrow's own reader panics at what no writer makes, and the
    // door that reads with it knows.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("/arrow-")) {
            told(panic);
            std::process::abort();
        }
    }));
    let name = std::env::var("FINEO_FUZZ").unwrap_or_default();
    fineo_fuzz::write_seeds(&name, &seeds(&name));
    fineo_fuzz::parser(&targets(), &name)
});

fineo_fuzz::libfuzzer_sys::fuzz_target!(init: LazyLock::force(&FED), |bytes: &[u8]| FED(bytes));
