//! What is fed to the readers of this crate that must survive anything, behind the checksums that guard them: by tests,
//! and by a fuzzer that compiles with `--cfg fuzzing`.

pub use crate::{
    log::fuzz::{frame, frames},
    nearline::fuzz::{footer, footers, journal, journals, manifest, manifests},
};

/// A parser under its name.
pub type Target = (&'static str, fn(&[u8]));

/// The readers by name.
pub const TARGETS: &[Target] = &[
    ("log_frame", frame),
    ("nearline_footer", footer),
    ("nearline_journal", journal),
    ("nearline_manifest", manifest),
];

/// What each of them may begin with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "log_frame" => frames(),
        "nearline_footer" => footers(),
        "nearline_journal" => journals(),
        _ => manifests(),
    }
}

#[cfg(test)]
#[test]
fn readers_survive_what_they_are_fed() {
    // B2
    fineo_conformance::feed(TARGETS, seeds, 20_000);
}
