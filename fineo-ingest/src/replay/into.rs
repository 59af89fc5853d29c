//! Sends what one instance has archived as it received it to another one.

use std::time::Duration;

use fineo_core::{Cover, Result, Stream, Timestamp, archive::Stage, stream::Entry};

use super::{BATCH_EVENTS, ReplayRequest, source::Source};
use crate::{ArchivedRecord, Pipeline};

/// Events that arrived within so many microseconds are sent together, at recorded speed.
const TOGETHER_MICROS: i64 = 10_000;

/// How fast archived events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speed {
    /// As fast as the other instance takes them.
    #[default]
    Fastest,
    /// With the time between them that lay between their arrivals.
    Recorded,
}

/// What was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentReport {
    /// How many events.
    pub events: u64,
    /// How many bytes, with their envelopes.
    pub bytes: u64,
    /// Where they stand in the other instance's raw stream.
    pub positions: Cover,
    /// Of what was asked for, events that arrived until then are no longer in the archive; none while it has everything.
    pub expired_until: Option<Timestamp>,
}

impl Pipeline {
    /// Sends the raw events of `request`, of its tenant that arrived in its time, to `raw`, the raw stream of another
    /// instance: the same bytes in the same envelopes, in the order in which they were archived. So each is the event that
    /// it is here, and sending it twice makes no second row.
    ///
    /// # Errors
    ///
    /// `Cold`, before anything was sent, when segments have to be restored first, see [`Pipeline::restore_cold`]; `Corrupt` when
    /// a segment cannot be read, or when segments are missing, after all that is there was sent; `Unavailable`, after the same,
    /// when segments are still on their way to an archive that lists late; or a failure of either side, after which it can be
    /// begun again.
    pub async fn send_archived(&self, request: &ReplayRequest, raw: &dyn Stream, speed: Speed) -> Result<SentReport> {
        let shared = self.shared();
        let request = ReplayRequest { stage: Stage::Raw, ..request.clone() };
        let mut source = Source::new(shared, &request);
        let mut report = SentReport::default();
        let mut pace = Pace::default();
        while let Some((_, records)) = source.next(BATCH_EVENTS).await? {
            let mut rest = records.as_slice();
            while let Some(first) = rest.first() {
                let count = match speed {
                    Speed::Fastest => rest.len(),
                    Speed::Recorded => {
                        shared.parts.clock.sleep(pace.wait(first.arrived_at, shared.parts.clock.now())).await;
                        let last = first.arrived_at.plus_micros(TOGETHER_MICROS);
                        rest.iter().take_while(|record| record.arrived_at <= last).count().max(1)
                    }
                };
                let (now, later) = rest.split_at(count);
                let outcomes = shared.retry.append(raw, now.iter().map(entry).collect()).await;
                for (outcome, record) in outcomes.into_iter().zip(now) {
                    let appended = outcome?;
                    report.positions.advance(&appended.shard, appended.position);
                    report.events += 1;
                    report.bytes += record.delivery.payload.len() as u64;
                }
                rest = later;
            }
        }
        shared.retry.until_done(|| async { raw.sync().await.into_result() }).await?;
        source.check_whole().await?;
        report.expired_until = source.expired_until().await?;
        Ok(report)
    }
}

fn entry(record: &ArchivedRecord) -> Entry {
    // One key: they stay in their order.
    Entry { tenant: record.delivery.tenant.clone(), key: 0, payload: record.delivery.payload.clone() }
}

/// Tells how long to wait for the next event.
#[derive(Debug, Default)]
struct Pace {
    /// When the first event arrived, and when it was sent.
    begun: Option<(Timestamp, Timestamp)>,
}

impl Pace {
    fn wait(&mut self, arrived_at: Timestamp, now: Timestamp) -> Duration {
        let (first, sent) = *self.begun.get_or_insert((arrived_at, now));
        let recorded = arrived_at.micros().saturating_sub(first.micros());
        let passed = now.micros().saturating_sub(sent.micros());
        Duration::from_micros(u64::try_from(recorded.saturating_sub(passed)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
