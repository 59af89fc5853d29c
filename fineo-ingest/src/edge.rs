//! The edge: frames what is sent, gives each event its arrival, and stores it durably before it answers.

mod batch;
mod import;
mod intake;
mod receipt;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use fineo_core::{
    Clock, Code, Entropy, ErrorKind, Rejection, Result, Stream, TenantId,
    stream::{Appended, Entry},
};

#[cfg(any(test, fuzzing))]
pub(crate) use import::cut_whole;
pub use import::{ImportFormat, ImportOptions, ImportReport, ImportSource, Routing};
pub use intake::Intake;
pub use receipt::{EventResult, Receipt};

use crate::{
    Counters, Limits,
    cover::Forwarded,
    envelope::{Circumstances, Format},
    retry::Retry,
    scan::{
        event::Fields,
        frame::{Frame, Framer},
        names::Names,
    },
};
use batch::Batch;

/// How often a request's append is tried before the client hears of it.
const TRIES_MAX: u32 = 3;
/// For how long a stream that asks for patience is tried: a shard of a service takes so many events each second, and a request
/// may have more.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes events in. Cloning is cheap.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    stream: Arc<dyn Stream>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    limits: Limits,
    counters: Arc<Counters>,
    retry: Retry,
}

impl Edge {
    /// Takes events into `stream`, the raw one, within `limits` as far as it carries what is within them.
    pub fn new(
        stream: Arc<dyn Stream>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        limits: Limits,
        counters: Arc<Counters>,
    ) -> Self {
        let retry = Retry::new(Arc::clone(&clock), Arc::clone(&entropy));
        let retry = retry.with_tries_max(TRIES_MAX).with_patience(PATIENCE);
        let limits = limits.carried_by([&*stream, &*stream]);
        Self(Arc::new(Inner { stream, clock, entropy, limits, counters, retry }))
    }

    /// The limits of what is taken in.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Takes in the JSON events of `body`: an object, an array of objects, or objects one after another.
    ///
    /// Once this answers, every accepted event is as durable as the receipt says. Only what cannot be framed is
    /// refused here; what else is wrong with an event shows in the tenant's errors.
    ///
    /// # Errors
    ///
    /// When the stream could not be made durable; the events may be there, and sending them again is safe.
    pub async fn ingest(&self, tenant: &TenantId, body: Bytes) -> Result<Receipt> {
        self.ingest_as(tenant, body, None).await
    }

    /// As [`Edge::ingest`]; events that name no metric are of `metric`.
    ///
    /// # Errors
    ///
    /// As [`Edge::ingest`], and `Invalid` when `metric` cannot be the name of one.
    pub async fn ingest_as(&self, tenant: &TenantId, body: Bytes, metric: Option<&str>) -> Result<Receipt> {
        if let Some(metric) = metric {
            fineo_schema::name::check_metric(metric)?;
        }
        let durability = self.0.stream.capabilities().durability;
        let framed = match self.frame_request(&body) {
            Ok(framed) => framed,
            Err(rejection) => {
                self.0.counters.reject(Some(tenant), rejection.code);
                return Ok(Receipt::refused(durability, rejection.code, rejection.message));
            }
        };
        let circumstances = Circumstances { metric: metric.map(Into::into), dropped_key: None };
        let mut batch = Batch::default();
        for (start, end) in framed.accepted {
            batch.push(tenant, Format::Json, &circumstances, &body[start..end]);
        }
        let total = batch.len() + framed.rejected.len();
        let outcomes = self.append(batch, &self.0.retry).await?;
        let receipt = self.receipt(outcomes, framed.rejected, total);
        self.count(tenant, &receipt);
        Ok(receipt)
    }

    /// Appends a batch and makes it durable.
    async fn append(&self, batch: Batch<'_>, retry: &Retry) -> Result<Vec<Result<Appended>>> {
        if batch.len() == 0 {
            return Ok(Vec::new());
        }
        let entries: Vec<Entry> = batch.entries(self.0.clock.now(), &*self.0.entropy);
        let outcomes = retry.append(&*self.0.stream, entries).await;
        if outcomes.iter().any(Result::is_ok) {
            retry
                .until_done(|| async { self.0.stream.sync().await.into_result() })
                .await
                .map_err(fineo_core::Error::and_may_have_applied)?;
        }
        Ok(outcomes)
    }

    fn receipt(&self, outcomes: Vec<Result<Appended>>, mut rejected: Vec<(usize, Rejection)>, total: usize) -> Receipt {
        let mut token = Forwarded::default();
        let mut accepted = Vec::with_capacity(outcomes.len());
        let mut failed = Vec::new();
        // The refused ones are in order of their indexes.
        let refused: Vec<usize> = rejected.iter().map(|(index, _)| *index).collect();
        let mut refused = refused.into_iter().peekable();
        let indexes = (0..total).filter(|index| refused.next_if_eq(index).is_none());
        for (index, outcome) in indexes.zip(outcomes) {
            match outcome {
                Ok(appended) => {
                    token.advance(appended.clone());
                    accepted.push(appended);
                }
                Err(error) if error.kind() == ErrorKind::StorageFull && !error.may_have_applied() => {
                    rejected.push((index, Rejection::new(Code::StorageFull, "the store has no room: free some")));
                }
                // The limits are those of the stream: whatever it says is no event's fault.
                Err(error) => failed.push((index, error)),
            }
        }
        rejected.sort_by_key(|(index, _)| *index);
        Receipt {
            token: token.cover(),
            durability: self.0.stream.capabilities().durability,
            accepted,
            rejected,
            failed,
        }
    }

    fn count(&self, tenant: &TenantId, receipt: &Receipt) {
        self.0.counters.add(tenant, |counts| {
            counts.accepted += receipt.accepted.len() as u64;
            for (_, rejection) in &receipt.rejected {
                *counts.rejected.entry(rejection.code.as_str()).or_default() += 1;
            }
        });
    }

    fn frame_request(&self, body: &[u8]) -> Result<Framed, Rejection> {
        let limits = &self.0.limits;
        if body.len() > limits.body_bytes_max {
            let message = format!("the request has {} bytes, at most {} are taken", body.len(), limits.body_bytes_max);
            return Err(Rejection::new(Code::RequestTooLarge, message));
        }
        let body_start = if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        if body[body_start..].iter().all(u8::is_ascii_whitespace) {
            return Err(Rejection::new(Code::Empty, "the request has no event"));
        }
        let is_utf8 = std::str::from_utf8(body).is_ok();
        let mut framer = Framer::new();
        framer.skip(body_start);
        let mut judge = Judge::new(*limits);
        let mut framed = Framed::default();
        let mut count = 0;
        while let Some(frame) = framer.next(body, true) {
            if count >= limits.events_max {
                let message = format!("the request has more than {} events", limits.events_max);
                return Err(Rejection::new(Code::TooManyEvents, message));
            }
            let is_alone = frame.is_broken && count == 0 && framer.is_at_end(body);
            match judge.check(&frame, body, is_utf8, is_alone) {
                Ok(()) => framed.accepted.push((frame.start, frame.end)),
                Err(rejection) => framed.rejected.push((count, rejection)),
            }
            count += 1;
        }
        Ok(framed)
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The events of a request: where the good ones are, and what is wrong with the others.
#[derive(Debug, Default)]
struct Framed {
    accepted: Vec<(usize, usize)>,
    rejected: Vec<(usize, Rejection)>,
}

/// Decides whether a frame can be stored.
#[derive(Debug)]
struct Judge {
    limits: Limits,
    // To count the fields of events that may have too many.
    names: Names,
    fields: Fields,
}

impl Judge {
    fn new(limits: Limits) -> Self {
        Self { limits, names: Names::new(), fields: Fields::default() }
    }

    fn check(&mut self, frame: &Frame, window: &[u8], is_utf8: bool, is_alone: bool) -> Result<(), Rejection> {
        let event = &window[frame.start..frame.end];
        let limits = &self.limits;
        if event.len() > limits.event_bytes_max {
            let message = format!("the event has {} bytes, at most {} are taken", event.len(), limits.event_bytes_max);
            return Err(Rejection::new(Code::EventTooLarge, message));
        }
        if frame.depth > limits.nesting_max {
            let message = format!("an event is nested at most {} deep", limits.nesting_max);
            return Err(Rejection::new(Code::TooDeep, message));
        }
        let text = if is_utf8 { None } else { Some(std::str::from_utf8(event)) };
        if let Some(Err(_)) = text {
            return Err(Rejection::new(Code::BadUtf8, "the event is not UTF-8"));
        }
        if frame.is_broken && (is_alone || event.is_empty()) {
            return Err(Rejection::new(Code::JsonUnreadable, "not JSON: no event begins or ends where one should"));
        }
        if frame.keys as usize > limits.fields_max {
            // Keys inside arrays are no fields: count exactly.
            let source = std::str::from_utf8(event).unwrap_or_default();
            self.names.forget_if_full();
            let read = self.fields.read(&mut self.names, source, limits.fields_max);
            if let Err(rejection) = read
                && rejection.code == Code::TooManyFields
            {
                return Err(rejection);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").field("stream", &self.0.stream).field("limits", &self.0.limits).finish_non_exhaustive()
    }
}
