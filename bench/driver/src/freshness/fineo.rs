//! Fineo's side: ingest is the write, a last-point query is the look. Both through the library, or through the HTTP door.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use serde_json::{Map, Value};

use tokio::sync::Mutex;

use super::{PATIENCE, POLL, Pace, Seen};
use crate::Result;
use crate::door::Caller;
use crate::engine::Engine;
use crate::meter::now;

pub(super) const TENANT: &str = "freshness";
/// Time of the first event; event n is n milliseconds later, so a time says which event it is.
const START_MS: i64 = 1_767_225_600_000;
/// Different events to send, over and over.
const TEMPLATES_MAX: usize = 20_000;

/// How Fineo is reached.
pub(super) enum Way {
    Library(Engine),
    /// One connection to write, another one to look.
    Door(Mutex<Caller>, Mutex<Caller>),
}

impl Way {
    async fn ingest(&self, lines: Vec<u8>) -> Result<()> {
        match self {
            Self::Library(engine) => engine.ingest(TENANT, lines.into()).await,
            Self::Door(writer, _) => {
                let said = writer.lock().await.post("/v1/events", &lines).await?;
                if said["failed"] == 0 { Ok(()) } else { Err(format!("not all was taken in: {said}").into()) }
            }
        }
    }

    /// The number that a statement answers, where it answers one.
    async fn number(&self, sql: &str) -> Result<Option<i64>> {
        match self {
            Self::Library(engine) => {
                let batches = engine.sql(TENANT, sql).await?;
                let numbers = batches.iter().filter_map(|b| b.column(0).as_primitive::<Int64Type>().iter().next());
                Ok(numbers.flatten().max())
            }
            Self::Door(_, reader) => {
                let asked = serde_json::json!({ "sql": sql }).to_string();
                let said = reader.lock().await.post("/v1/query", asked.as_bytes()).await?;
                Ok(said["rows"][0]["n"].as_i64())
            }
        }
    }
}

/// Sends batches of a file's events under one metric and counts them by their time.
pub(super) struct Sender {
    way: Way,
    /// The events' own members, as text that follows the metric and the time.
    templates: Vec<String>,
    sent: usize,
}

#[expect(clippy::disallowed_methods, reason = "an open loop waits for real time to pass")]
async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

impl Sender {
    /// Reads the events that are to be sent; what every event has is replaced.
    pub(super) fn new(way: Way, file: &str) -> Result<Self> {
        let mut templates = Vec::new();
        for line in BufReader::new(File::open(file)?).lines().take(TEMPLATES_MAX) {
            let mut members: Map<String, Value> = serde_json::from_str(&line?)?;
            members.retain(|name, _| !["tenant", "metrictype", "timestamp"].contains(&name.as_str()));
            let text = serde_json::to_string(&members)?;
            templates.push(text.trim_start_matches('{').to_owned());
        }
        Ok(Self { way, templates, sent: 0 })
    }

    /// The next batch as JSON lines.
    fn batch(&self, first: usize, events: usize) -> Vec<u8> {
        let mut lines = String::new();
        for n in first..first + events {
            let (time, rest) = (START_MS + n as i64, &self.templates[n % self.templates.len()]);
            lines.push_str(&format!("{{\"metrictype\":\"reading\",\"timestamp\":{time},{rest}\n"));
        }
        lines.into_bytes()
    }

    /// What the floor writes per batch: as many bytes.
    pub(super) fn payload(&self, pace: Pace) -> Vec<u8> {
        self.batch(self.sent, pace.batch)
    }

    /// Sends one batch and waits until it is seen, so that the metric is there.
    pub(super) async fn warm_up(&mut self, pace: Pace) -> Result<()> {
        self.way.ingest(self.batch(0, pace.batch)).await?;
        self.sent = pace.batch;
        let end = now() + PATIENCE;
        // Over HTTP there may be no such table yet.
        while self.visible(0).await.unwrap_or(0) < pace.batch {
            if now() > end {
                return Err("the first batch never became visible".into());
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// How many events can be queried; only those from `known` on are looked at.
    async fn visible(&self, known: usize) -> Result<usize> {
        let from = rfc3339(START_MS + known as i64);
        let newest = "SELECT max(CAST(\"timestamp\" AS BIGINT)) AS n FROM reading";
        let newest = self.way.number(&format!("{newest} WHERE \"timestamp\" >= '{from}'")).await?;
        Ok(newest.map_or(known, |micros| (micros / 1000 - START_MS) as usize + 1))
    }

    /// One turn: this task sends, another watches.
    pub(super) async fn turn(&mut self, pace: Pace) -> Result<Seen> {
        let (first, start) = (self.sent, now());
        let (acks, seen) = futures::future::try_join(self.send(start, pace), self.watch(first, start, pace)).await?;
        self.sent = first + pace.batch * pace.batches;
        Ok(Seen::of_turn(start, pace, &acks, &seen))
    }

    async fn send(&self, start: Instant, pace: Pace) -> Result<Vec<Instant>> {
        let mut acks = Vec::with_capacity(pace.batches);
        for k in 0..pace.batches {
            let lines = self.batch(self.sent + k * pace.batch, pace.batch);
            sleep((start + pace.interval * k as u32).saturating_duration_since(now())).await;
            self.way.ingest(lines).await?;
            acks.push(now());
        }
        Ok(acks)
    }

    async fn watch(&self, first: usize, start: Instant, pace: Pace) -> Result<BTreeMap<usize, Instant>> {
        let mut seen = BTreeMap::new();
        let end = start + pace.interval * pace.batches as u32 + PATIENCE;
        while seen.len() < pace.batches && now() < end {
            let visible = self.visible(first + seen.len() * pace.batch).await?;
            let at = now();
            for k in seen.len()..(visible - first) / pace.batch {
                seen.insert(k, at);
            }
            sleep(POLL).await;
        }
        Ok(seen)
    }

    /// Acknowledged events that no query finds when there was time enough.
    pub(super) async fn lost(&self) -> Result<i64> {
        let end = now() + PATIENCE;
        loop {
            let found = self.way.number("SELECT count(*) AS n FROM reading").await?;
            let lost = self.sent as i64 - found.unwrap_or(0);
            if lost <= 0 || now() > end {
                return Ok(lost);
            }
            sleep(POLL).await;
        }
    }

    /// Lets go of the store.
    pub(super) async fn close(self) -> Result<()> {
        match self.way {
            Way::Library(engine) => engine.close().await,
            Way::Door(..) => Ok(()),
        }
    }
}

/// An instant of January 2026, in which all of them lie.
fn rfc3339(ms: i64) -> String {
    let (day, rest) = ((ms - START_MS) / 86_400_000, (ms - START_MS) % 86_400_000);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("2026-01-{:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", day + 1, rest % 1000)
}
