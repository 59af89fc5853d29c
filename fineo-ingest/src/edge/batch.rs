//! Events on their way into the stream: slices of one buffer.

use bytes::{BufMut, BytesMut};
use fineo_core::{Entropy, TenantId, Timestamp, stream::Entry};

use crate::envelope::{self, Circumstances, Format};

/// So many events in a row stay together: a shard of a service takes so many at a time.
const EVENTS_TOGETHER: u64 = 500;

/// Events to be appended together. Those in a row go to one shard, in order.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    events: Vec<Event<'a>>,
    bytes: usize,
    /// What arrival ids count up from; none for chance.
    first_id: Option<u128>,
}

#[derive(Debug)]
struct Event<'a> {
    tenant: &'a TenantId,
    format: Format,
    circumstances: &'a Circumstances,
    /// The parts of the event: a CSV row has its header before it.
    parts: [&'a [u8]; 2],
    /// What its arrival id is behind the first one.
    number: u64,
}

impl<'a> Batch<'a> {
    /// An empty batch with room for so many events, whose arrival ids count up from `first_id`.
    pub(super) fn with_room(events: usize, first_id: Option<u128>) -> Self {
        Self { events: Vec::with_capacity(events), bytes: 0, first_id }
    }

    pub(super) fn push(
        &mut self,
        tenant: &'a TenantId,
        format: Format,
        circumstances: &'a Circumstances,
        event: &'a [u8],
    ) {
        self.push_parts(tenant, format, circumstances, [&[], event], self.events.len() as u64);
    }

    pub(super) fn push_parts(
        &mut self,
        tenant: &'a TenantId,
        format: Format,
        circumstances: &'a Circumstances,
        parts: [&'a [u8]; 2],
        number: u64,
    ) {
        self.bytes += envelope::head_len(circumstances) + parts[0].len() + parts[1].len();
        self.events.push(Event { tenant, format, circumstances, parts, number });
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The entries of events that arrive at `now`.
    pub(super) fn entries(&self, now: Timestamp, entropy: &dyn Entropy) -> Vec<Entry> {
        // One chance for all: ids that count up are as distinct as random ones, and pack into nothing.
        let chance = u128::from_be_bytes(entropy.id());
        let first_id = self.first_id.unwrap_or(chance);
        #[expect(clippy::cast_possible_truncation, reason = "any bits of chance will do")]
        let first_key = chance as u64;
        let mut buffer = BytesMut::with_capacity(self.bytes);
        let mut ends = Vec::with_capacity(self.events.len());
        for event in &self.events {
            let id = first_id.wrapping_add(u128::from(event.number));
            envelope::write_head(id.to_be_bytes(), now, event.format, event.circumstances, &mut buffer);
            buffer.put_slice(event.parts[0]);
            buffer.put_slice(event.parts[1]);
            ends.push(buffer.len());
        }
        let buffer = buffer.freeze();
        let mut start = 0;
        let entries = self.events.iter().zip(ends).zip(0_u64..).map(|((event, end), index)| {
            let payload = buffer.slice(start..end);
            start = end;
            let key = first_key.wrapping_add(index / EVENTS_TOGETHER);
            Entry { tenant: event.tenant.clone(), key, payload }
        });
        entries.collect()
    }
}
