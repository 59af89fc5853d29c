//! How soon a sent event can be queried, in an open loop: batch k is due at start + k·interval whatever became of those
//! before it, and its latency counts from then, so that a stall cannot hide its queue.
//!
//! The floor (append to a file, fdatasync, publish a number) takes turns with Fineo, so that both see the same disk.

mod fineo;
mod floor;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Result;
use crate::door::Server;
use crate::engine::Engine;
use crate::meter::{milliseconds, tail};
use crate::options::Options;

/// Turns of each side.
const TURNS: u32 = 2;
/// How often a reader looks.
const POLL: Duration = Duration::from_micros(500);
/// How long a reader waits for the last batch.
const PATIENCE: Duration = Duration::from_secs(5);

/// The loop of one turn.
#[derive(Debug, Clone, Copy)]
struct Pace {
    batch: usize,
    batches: usize,
    interval: Duration,
}

/// What a turn, or all turns of one side, saw.
#[derive(Debug, Default)]
struct Seen {
    ack_ms: Vec<f64>,
    visible_ms: Vec<f64>,
    sent: usize,
    seconds: f64,
}

impl Seen {
    /// Puts together when batches were due, acknowledged and first seen.
    fn of_turn(start: Instant, pace: Pace, acks: &[Instant], sightings: &BTreeMap<usize, Instant>) -> Self {
        let due = |k: usize| start + pace.interval * k as u32;
        Self {
            ack_ms: acks.iter().enumerate().map(|(k, at)| milliseconds(due(k), *at)).collect(),
            visible_ms: sightings.iter().map(|(k, at)| milliseconds(due(*k), *at)).collect(),
            sent: acks.len() * pace.batch,
            seconds: acks.last().map_or(0.0, |at| milliseconds(start, *at) / 1e3),
        }
    }

    fn add(&mut self, turn: Self) {
        self.ack_ms.extend(turn.ack_ms);
        self.visible_ms.extend(turn.visible_ms);
        self.sent += turn.sent;
        self.seconds += turn.seconds;
    }

    fn value(self, batch: usize) -> Value {
        let (batches, unseen) = (self.ack_ms.len(), self.ack_ms.len() - self.visible_ms.len());
        json!({
            "ack_ms": tail(self.ack_ms), "visible_ms": tail(self.visible_ms), "batches": batches, "batches_unseen": unseen,
            "achieved_events_per_s": (batches * batch) as f64 / self.seconds,
        })
    }
}

/// Runs both sides by turns and prints both tails.
pub(crate) async fn run(options: &Options) -> Result<Value> {
    let (rate, batch) = (options.number("rate", 2000.0)?, options.number("batch", 100)?);
    let seconds = options.number("seconds", 10.0)? / f64::from(TURNS);
    let interval = Duration::from_secs_f64(batch as f64 / rate);
    let pace = Pace { batch, batches: ((seconds * rate) as usize / batch).max(2), interval };
    let work = std::path::Path::new(options.text("work")?);
    let data = work.join("freshness-data");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let server = options.given("fineo").map(|program| Server::start(program, &data, fineo::TENANT)).transpose()?;
    let way = match &server {
        None => fineo::Way::Library(Engine::open(data.to_str().ok_or("the work folder's name is not UTF-8")?).await?),
        Some(server) => fineo::Way::Door(server.connect().await?.into(), server.connect().await?.into()),
    };
    let mut sender = fineo::Sender::new(way, options.file()?)?;
    sender.warm_up(pace).await?;
    let (mut floor_seen, mut fineo_seen) = (Seen::default(), Seen::default());
    for _ in 0..TURNS {
        let (path, payload) = (work.join("floor.log"), sender.payload(pace));
        floor_seen.add(tokio::task::spawn_blocking(move || floor::turn(&path, &payload, pace)).await??);
        fineo_seen.add(sender.turn(pace).await?);
    }
    let lost = sender.lost().await?;
    sender.close().await?;
    server.map(Server::stop).transpose()?;
    Ok(json!({
        "rate": rate, "batch": batch, "lost": lost, "floor": floor_seen.value(batch), "fineo": fineo_seen.value(batch),
    }))
}
