//! A tenant's bad event: a fact with a stable code, not a program error.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why an event was rejected. The text is stable and part of the public interface.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text, lower snake case.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// The body holds no event.
    Empty = "empty",
    /// The JSON value is not an object.
    NotAnObject = "not_an_object",
    /// The bytes are not JSON.
    JsonUnreadable = "json_unreadable",
    /// The bytes are not UTF-8.
    BadUtf8 = "bad_utf8",
    /// The compression is broken or expands beyond the limit.
    BadCompression = "bad_compression",
    /// The CSV cannot be read.
    CsvUnreadable = "csv_unreadable",
    /// The event is larger than the limit.
    EventTooLarge = "event_too_large",
    /// The record of the event is larger than the staged stream carries: it tells every undeclared name in full.
    RecordTooLarge = "record_too_large",
    /// The request is larger than the limit.
    RequestTooLarge = "request_too_large",
    /// The request holds more events than the limit.
    TooManyEvents = "too_many_events",
    /// The event is nested deeper than the limit.
    TooDeep = "too_deep",
    /// The event has more fields than the limit.
    TooManyFields = "too_many_fields",
    /// A key occurs twice in one object, or two paths flatten to one name.
    DuplicateKey = "duplicate_key",
    /// A field name is empty, longer than 255 bytes or has control characters.
    NameUnreadable = "name_unreadable",
    /// A field name begins with `_fineo_`.
    NameReserved = "name_reserved",
    /// None of the metric keys is present.
    MetricMissing = "metric_missing",
    /// The metric key's value cannot name a metric.
    MetricUnreadable = "metric_unreadable",
    /// The metric is not known and the tenant does not discover metrics.
    MetricUnknown = "metric_unknown",
    /// The event has no time.
    TimestampMissing = "timestamp_missing",
    /// The event's time fits no format.
    TimestampUnreadable = "timestamp_unreadable",
    /// The metric or a field of the event was ruled an error.
    RuledOut = "ruled_out",
    /// The key identity is taken by an event with other content.
    IdConflict = "id_conflict",
    /// The event of a mixed file has no tenant.
    TenantMissing = "tenant_missing",
    /// The event of a mixed file has an illegal tenant.
    TenantInvalid = "tenant_invalid",
    /// The store has no room.
    StorageFull = "storage_full",
    /// Our failure: the record could not be decoded or stored.
    Internal = "internal",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why one event was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The stable reason.
    pub code: Code,
    /// One line for a person: what was wrong and what to do.
    pub message: String,
}

impl Rejection {
    /// A rejection for `code`, told by `message`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
