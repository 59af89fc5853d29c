//! Cuts what is read into pieces that end with an event.

use std::{collections::HashMap, ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use fineo_core::{Code, Rejection, Result, TenantId};
use foldhash::fast::RandomState;

use super::{
    ImportOptions, Routing,
    router::{ByField, Event, Router},
};
use crate::{
    Limits,
    edge::{BYTE_ORDER_MARK, Judge, batch::Batch},
    envelope::{Circumstances, Format},
    scan::{delimited::Quotes, frame::Framer},
};

/// Events to be stored together, and those that were refused.
#[derive(Debug)]
pub(in crate::edge) struct Piece {
    buffer: Bytes,
    header: Bytes,
    format: Format,
    circumstances: Arc<Circumstances>,
    first_id: Option<u128>,
    /// Whose each event is, its index in the source, and where it stands.
    events: Vec<(TenantId, u64, Range<usize>)>,
    refused: Vec<Refused>,
}

/// An event that was refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) index: u64,
    pub(super) tenant: Option<TenantId>,
    pub(super) rejection: Rejection,
}

/// An event that was found.
#[derive(Debug)]
struct Found {
    index: u64,
    range: Range<usize>,
    /// Whether it is an object without objects or arrays inside.
    is_flat: bool,
}

impl Piece {
    pub(in crate::edge) fn batch(&self) -> Batch<'_> {
        let mut batch = Batch::with_room(self.events.len(), self.first_id);
        for (tenant, index, range) in &self.events {
            let parts = [&self.header, &self.buffer[range.clone()]];
            batch.push_parts(tenant, self.format, &self.circumstances, parts, *index);
        }
        batch
    }

    pub(super) fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// How many events were found, the refused ones among them.
    pub(in crate::edge) fn len(&self) -> usize {
        self.events.len() + self.refused.len()
    }

    /// Whether there is nothing but space in it.
    pub(in crate::edge) fn is_blank(&self) -> bool {
        self.buffer.iter().all(u8::is_ascii_whitespace)
    }

    /// What is wrong with the refused events, with their places behind the event `first` of the source.
    pub(in crate::edge) fn into_rejected(self, first: u64) -> Vec<(usize, Rejection)> {
        let place = |index: u64| usize::try_from(index - first).unwrap_or(usize::MAX);
        self.refused.into_iter().map(|refused| (place(refused.index), refused.rejection)).collect()
    }

    pub(super) fn accepted_by_tenant(&self) -> HashMap<&TenantId, u64, RandomState> {
        let mut counts: HashMap<&TenantId, u64, RandomState> = HashMap::default();
        for run in self.events.chunk_by(|(one, ..), (other, ..)| one == other) {
            *counts.entry(&run[0].0).or_default() += run.len() as u64;
        }
        counts
    }
}

/// Cuts pieces.
#[derive(Debug)]
pub(in crate::edge) struct Cutter {
    rest: BytesMut,
    framer: Framer,
    judge: Judge,
    routing: Router,
    format: Format,
    circumstances: Arc<Circumstances>,
    first_id: Option<u128>,
    /// The header line of CSV, once it is read.
    header: Option<Bytes>,
    limits: Limits,
    /// The most events of a piece of JSON.
    events_max: usize,
    index: u64,
    is_first: bool,
    /// Whether the event under way was refused for its size and is being skipped.
    is_skipping: bool,
}

impl Cutter {
    pub(in crate::edge) fn new(options: &ImportOptions, is_csv: bool, limits: Limits) -> Result<Self> {
        let (routing, dropped_key) = match &options.routing {
            Routing::Tenant(tenant) => (Router::One(tenant.clone()), None),
            Routing::Field(key) => (Router::Field(Box::new(ByField::new(key)?)), Some(key.as_str().into())),
        };
        Ok(Self {
            rest: BytesMut::new(),
            framer: Framer::new(),
            judge: Judge::new(limits),
            routing,
            format: if is_csv { Format::Csv } else { Format::Json },
            circumstances: Arc::new(Circumstances { metric: options.metric.as_deref().map(Into::into), dropped_key }),
            first_id: options.first_id,
            header: None,
            limits,
            events_max: usize::MAX,
            index: 0,
            is_first: true,
            is_skipping: false,
        })
    }

    /// With at most so many events of JSON in a piece: what is left over is in the next one.
    pub(in crate::edge) fn set_events_max(&mut self, events: usize) {
        self.events_max = events;
    }

    /// Takes in `bytes`; answers the events that are complete now.
    pub(super) fn cut(&mut self, bytes: &[u8], is_end: bool) -> Piece {
        self.add(bytes);
        self.cut_added(is_end)
    }

    /// Takes in `bytes`.
    pub(in crate::edge) fn add(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The events that are complete now.
    pub(in crate::edge) fn cut_added(&mut self, is_end: bool) -> Piece {
        let (mut found, mut refused) = (Vec::new(), Vec::new());
        let is_ready = is_end || !self.may_begin_with_mark();
        if is_ready && std::mem::take(&mut self.is_first) && self.rest.starts_with(BYTE_ORDER_MARK) {
            let _ = self.rest.split_to(BYTE_ORDER_MARK.len());
        }
        let consumed = match self.format {
            _ if !is_ready => 0,
            Format::Json => self.cut_json(is_end, &mut found, &mut refused),
            Format::Csv => self.cut_csv(is_end, &mut found, &mut refused),
        };
        let buffer = self.rest.split_to(consumed).freeze();
        self.framer.shift(consumed);
        let mut events = Vec::with_capacity(found.len());
        for Found { index, range, is_flat } in found {
            let event = Event { bytes: &buffer[range.clone()], header: self.header.as_deref(), is_flat };
            match self.routing.tenant(event, self.format, &self.limits) {
                Ok(tenant) => events.push((tenant, index, range)),
                Err(rejection) => refused.push(Refused { index, tenant: None, rejection }),
            }
        }
        Piece {
            buffer,
            header: self.header.clone().unwrap_or_default(),
            format: self.format,
            circumstances: Arc::clone(&self.circumstances),
            first_id: self.first_id,
            events,
            refused,
        }
    }

    /// Whether it cannot be told yet that the source begins with a mark.
    fn may_begin_with_mark(&self) -> bool {
        self.is_first && BYTE_ORDER_MARK.starts_with(&self.rest)
    }

    fn one_tenant(&self) -> Option<TenantId> {
        match &self.routing {
            Router::One(tenant) => Some(tenant.clone()),
            Router::Field(_) => None,
        }
    }

    fn cut_json(&mut self, is_end: bool, found: &mut Vec<Found>, refused: &mut Vec<Refused>) -> usize {
        let is_utf8 = std::str::from_utf8(&self.rest).is_ok();
        while found.len() + refused.len() < self.events_max
            && let Some(frame) = self.framer.next(&self.rest, is_end)
        {
            let index = self.index;
            self.index += 1;
            if std::mem::take(&mut self.is_skipping) {
                // It was refused when it grew too large.
                continue;
            }
            let is_alone = frame.is_broken && is_end && index == 0 && self.framer.is_at_end(&self.rest);
            match self.judge.check(&frame, &self.rest, is_utf8, is_alone) {
                Ok(()) => {
                    let is_flat = frame.depth == 1 && !frame.is_broken;
                    found.push(Found { index, range: frame.start..frame.end, is_flat });
                }
                Err(rejection) => refused.push(Refused { index, tenant: self.one_tenant(), rejection }),
            }
        }
        if self.framer.pending_bytes() <= self.limits.event_bytes_max {
            return self.framer.consumed().min(self.rest.len());
        }
        if !self.is_skipping {
            self.is_skipping = true;
            let message = format!("the event has more than {} bytes", self.limits.event_bytes_max);
            let rejection = Rejection::new(Code::EventTooLarge, message);
            refused.push(Refused { index: self.index, tenant: self.one_tenant(), rejection });
        }
        // Its bytes are not needed any more, only its end is.
        self.framer.consumed().max(self.rest.len().saturating_sub(8))
    }

    fn cut_csv(&mut self, is_end: bool, found: &mut Vec<Found>, refused: &mut Vec<Refused>) -> usize {
        let mut at = 0;
        while let Some(end) = row_end(&self.rest, at, is_end) {
            let row = at..end;
            at = end;
            if self.rest[row.clone()].iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let Some(header) = &self.header else {
                let mut header = self.rest[row].to_vec();
                if !matches!(header.last(), Some(b'\n' | b'\r')) {
                    header.push(b'\n');
                }
                if row_end(&header, 0, false).is_none() {
                    let message = "the row that names the columns does not end: is a quote left open?";
                    let rejection = Rejection::new(Code::CsvUnreadable, message);
                    refused.push(Refused { index: self.index, tenant: self.one_tenant(), rejection });
                    self.index += 1;
                    continue;
                }
                self.header = Some(header.into());
                continue;
            };
            let index = self.index;
            self.index += 1;
            if header.len() + row.len() > self.limits.event_bytes_max {
                let message = format!("the row and its header have more than {} bytes", self.limits.event_bytes_max);
                let rejection = Rejection::new(Code::EventTooLarge, message);
                refused.push(Refused { index, tenant: self.one_tenant(), rejection });
            } else {
                found.push(Found { index, range: row, is_flat: false });
            }
        }
        // A quote that never closes would hold everything behind it.
        if self.rest.len() - at > self.limits.event_bytes_max {
            let rejection = Rejection::new(Code::CsvUnreadable, "a row does not end: is a quote left open?");
            refused.push(Refused { index: self.index, tenant: self.one_tenant(), rejection });
            self.index += 1;
            at = memchr::memchr2(b'\n', b'\r', &self.rest[at..]).map_or(self.rest.len(), |length| at + length + 1);
        }
        at
    }
}

/// The end of the CSV row at `at`, its line break included; none when more bytes must come. A quote opens a value
/// only where one begins, and any of `\n`, `\r` and both ends a row, just as the rows are read later.
fn row_end(bytes: &[u8], at: usize, is_end: bool) -> Option<usize> {
    let mut quotes = Quotes::new();
    for (index, byte) in bytes.get(at..)?.iter().enumerate() {
        match byte {
            b'\n' if !quotes.is_open => return Some(at + index + 1),
            b'\r' if !quotes.is_open => {
                // A line feed that is still to come is an empty row, which is passed over.
                let is_pair = bytes.get(at + index + 1) == Some(&b'\n');
                return Some(at + index + 1 + usize::from(is_pair));
            }
            _ => quotes.pass(*byte),
        }
    }
    (is_end && at < bytes.len()).then_some(bytes.len())
}
