//! The limits of what is taken in; each is a setting.

use fineo_core::Stream;

/// What every event may grow by on its way: its envelope, and its form as a record.
const GROWTH_BYTES_MAX: usize = 64 << 10;

/// What an event and a request may be at most. Beyond it they are refused with a code, never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of an event: 1 MiB.
    pub event_bytes_max: usize,
    /// Bytes of a streaming request: 10 MiB.
    pub body_bytes_max: usize,
    /// Events of a streaming request: 10,000.
    pub events_max: usize,
    /// Levels of nested objects and arrays: 64, which is also the most that can be set.
    pub nesting_max: u32,
    /// Fields of an event: 10,000.
    pub fields_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes_max: 1 << 20,
            body_bytes_max: 10 << 20,
            events_max: 10_000,
            nesting_max: 64,
            fields_max: 10_000,
        }
    }
}

impl Limits {
    /// These limits, as far as `streams` can carry what is within them.
    #[must_use]
    pub fn carried_by(self, streams: [&dyn Stream; 2]) -> Self {
        let carried = streams.map(|stream| stream.capabilities().entry_bytes_max);
        let carried = carried.into_iter().min().unwrap_or(usize::MAX).saturating_sub(GROWTH_BYTES_MAX);
        self.with_event_bytes_max(self.event_bytes_max.min(carried))
    }

    /// Another limit for the bytes of an event.
    #[must_use]
    pub fn with_event_bytes_max(mut self, bytes: usize) -> Self {
        self.event_bytes_max = bytes;
        self
    }

    /// Another limit for the bytes of a streaming request.
    #[must_use]
    pub fn with_body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// Another limit for the events of a streaming request.
    #[must_use]
    pub fn with_events_max(mut self, events: usize) -> Self {
        self.events_max = events;
        self
    }

    /// Another limit for the fields of an event.
    #[must_use]
    pub fn with_fields_max(mut self, fields: usize) -> Self {
        self.fields_max = fields;
        self
    }

    /// Another limit for nesting, at most 64.
    #[must_use]
    pub fn with_nesting_max(mut self, levels: u32) -> Self {
        self.nesting_max = levels.min(64);
        self
    }
}
