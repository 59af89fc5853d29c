//! What every fuzz target is: a parser of one of the crates, called with what the fuzzer makes of that parser's seeds.
#![forbid(unsafe_code)]

use std::{fs, path::Path};

pub use libfuzzer_sys;

/// A parser under its name.
pub type Target = (&'static str, fn(&[u8]));

/// The fuzz target of the parser `$name` among those of `$parsers`.
#[macro_export]
macro_rules! feed {
    ($parsers:path, $name:literal) => {
        use $parsers as parsers;

        $crate::libfuzzer_sys::fuzz_target!(
            init: $crate::write_seeds($name, &parsers::seeds($name)),
            |bytes: &[u8]| $crate::parser(parsers::TARGETS, $name)(bytes)
        );
    };
}

/// The parser called `name`.
///
/// # Panics
///
/// When there is none.
pub fn parser(targets: &[Target], name: &str) -> fn(&[u8]) {
    targets.iter().find(|(known, _)| *known == name).expect("the targets are named after parsers").1
}

/// Puts `seeds` where the fuzzer looks for what it begins with.
///
/// # Panics
///
/// When they cannot be written.
pub fn write_seeds(name: &str, seeds: &[Vec<u8>]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    fs::create_dir_all(&folder).expect("the corpus can be written");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("the corpus can be written");
    }
}
