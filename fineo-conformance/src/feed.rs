//! Feeds parsers what they must survive: seeds, and seeds that chance has changed.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

/// Bytes that mean something to one parser or another.
const TELLING: &[u8] = b"\x00\x01\x02\x7f\x80\xff\"'\\{}[](),:;\n\r\t-+.0123456789eE%/*_ ";
/// No mutation grows a seed beyond this.
const BYTES_MAX: usize = 1 << 16;
/// How long a target is fed before it is the next one's turn.
const TURN_MAX: Duration = Duration::from_secs(2);
/// What takes longer hangs.
const SLOWEST: Duration = Duration::from_secs(30);

/// A parser under its name: it takes any bytes, and panics where it breaks a promise of its own.
pub type Target = (&'static str, fn(&[u8]));

/// Feeds every target each of its seeds, and `times` changed ones; `FINEO_FEED` says how many times as many, or
/// `FINEO_FEED_SECONDS` for how long instead. The same call feeds the same bytes.
///
/// # Panics
///
/// When a target does, or takes too long; what it was fed is printed.
pub fn feed(targets: &[Target], seeds: impl Fn(&str) -> Vec<Vec<u8>>, times: u64) {
    if let Some(seconds) = number("FINEO_FEED_SECONDS") {
        for (name, inputs) in feed_for(targets, seeds, Duration::from_secs(seconds)) {
            eprintln!("{name}: {inputs} inputs");
        }
        return;
    }
    let factor = number("FINEO_FEED").unwrap_or(1);
    for target in targets {
        let mut fed = Fed::new(target, &seeds);
        (0..times.saturating_mul(factor)).for_each(|_| fed.changed());
    }
}

/// Feeds the targets by turns for so long: their seeds, and changed ones. Says of each target how many inputs it was fed.
fn feed_for(targets: &[Target], seeds: impl Fn(&str) -> Vec<Vec<u8>>, length: Duration) -> Vec<(&'static str, u64)> {
    let mut all: Vec<Fed> = targets.iter().map(|target| Fed::new(target, &seeds)).collect();
    let (begun, turn) = (now(), TURN_MAX.min(length / u32::try_from(all.len().max(1)).unwrap_or(u32::MAX)));
    while !all.is_empty() && begun.elapsed() < length {
        for fed in &mut all {
            let its_begin = now();
            while its_begin.elapsed() < turn {
                fed.changed();
            }
        }
    }
    all.iter().map(|fed| (fed.target.0, fed.next)).collect()
}

fn told(name: &str, bytes: &[u8]) -> String {
    let mut shown = String::new();
    for byte in bytes {
        let _ = write!(shown, "{}", byte.escape_ascii());
    }
    format!("{name} was fed b\"{shown}\"")
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[expect(clippy::disallowed_methods, reason = "how long a parser takes is what a user waits")]
fn now() -> Instant {
    Instant::now()
}

/// A target, what it begins with, and the number of the next chance.
struct Fed {
    target: Target,
    seeds: Vec<Vec<u8>>,
    next: u64,
}

impl Fed {
    /// A target that has been fed its seeds.
    fn new(target: &Target, seeds: &impl Fn(&str) -> Vec<Vec<u8>>) -> Self {
        let fed = Self { target: *target, seeds: seeds(target.0), next: 0 };
        assert!(!fed.seeds.is_empty(), "{} has no seeds", target.0);
        fed.seeds.iter().for_each(|seed| fed.one(seed));
        fed
    }

    fn changed(&mut self) {
        let bytes = mutated(&self.seeds, &mut SmallRng::seed_from_u64(self.next));
        self.next += 1;
        self.one(&bytes);
    }

    fn one(&self, bytes: &[u8]) {
        let (name, target) = self.target;
        let _told = Told { name, bytes };
        let begun = now();
        target(bytes);
        let taken = begun.elapsed();
        assert!(taken < SLOWEST, "{name} took {taken:?}");
    }
}

/// Prints what a target was fed when it panics.
struct Told<'a> {
    name: &'a str,
    bytes: &'a [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", told(self.name, self.bytes));
        }
    }
}

fn mutated(seeds: &[Vec<u8>], chance: &mut SmallRng) -> Vec<u8> {
    let mut bytes = seeds[chance.random_range(0..seeds.len())].clone();
    for _ in 0..chance.random_range(1..=4) {
        let at = chance.random_range(0..=bytes.len());
        let end = (at + chance.random_range(0..=16)).min(bytes.len());
        match chance.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = TELLING[chance.random_range(0..TELLING.len())],
            2 => bytes.insert(at, TELLING[chance.random_range(0..TELLING.len())]),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.truncate(at),
            5 => {
                let again = bytes[at..end].repeat(chance.random_range(1..=8));
                bytes.splice(at..at, again);
            }
            6 => {
                let other = &seeds[chance.random_range(0..seeds.len())];
                let from = chance.random_range(0..=other.len());
                bytes.splice(at..end, other[from..(from + 24).min(other.len())].iter().copied());
            }
            // A number at its ends, of eight bytes or as Avro writes it.
            _ => {
                let number = [i64::MIN, i64::MAX, -1, i64::from(i32::MAX), 1 << 62][chance.random_range(0..5)];
                let as_written = [number.to_le_bytes().to_vec(), [0xff; 9].into_iter().chain([0x01]).collect()];
                bytes.splice(at..end, as_written[chance.random_range(0..2)].iter().copied());
            }
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}
