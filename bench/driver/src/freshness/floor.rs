//! The floor: append to one file, fdatasync, publish the number of the batch. Neither index nor parser.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{PATIENCE, POLL, Pace, Seen};
use crate::Result;
use crate::meter::now;

/// One turn; the reader is a thread of its own, as it is for Fineo.
#[expect(clippy::disallowed_methods, reason = "an open loop waits for real time to pass")]
pub(super) fn turn(path: &Path, payload: &[u8], pace: Pace) -> Result<Seen> {
    let mut file = File::create(path)?;
    let durable = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut seen, end) = (BTreeMap::new(), now() + pace.interval * pace.batches as u32 + PATIENCE);
            while seen.len() < pace.batches && now() < end {
                let (upto, at) = (durable.load(Ordering::Acquire), now());
                for k in seen.len()..upto {
                    seen.insert(k, at);
                }
                std::thread::sleep(POLL);
            }
            seen
        });
        let start = now();
        let mut acks = Vec::with_capacity(pace.batches);
        for k in 0..pace.batches {
            std::thread::sleep((start + pace.interval * k as u32).saturating_duration_since(now()));
            file.write_all(payload)?;
            file.sync_data()?;
            durable.store(k + 1, Ordering::Release);
            acks.push(now());
        }
        let seen = reader.join().expect("the reader does not panic");
        Ok(Seen::of_turn(start, pace, &acks, &seen))
    })
}
