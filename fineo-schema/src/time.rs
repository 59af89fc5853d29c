//! Reads the time of an event: formats that a tenant states, then those that need no statement.

mod format;

use fineo_core::Timestamp;
use jiff::{
    civil,
    fmt::{rfc2822, strtime::BrokenDownTime, temporal::Pieces},
    tz::{Offset, TimeZone},
};

pub use format::TimeFormat;

use crate::coerce;

/// The longest text that can be a time.
const TEXT_BYTES_MAX: usize = 128;
/// The shortest text of ISO 8601 that is taken, `20150112`.
const ISO_BYTES_MIN: usize = 8;

/// Formats in the order they are tried; prepared once, used for every event.
#[derive(Debug, Clone, Default)]
pub struct TimeParser {
    formats: Vec<TimeFormat>,
}

impl TimeParser {
    /// Tries `formats` in order, then the built-in ones.
    pub fn new<'a>(formats: impl Iterator<Item = &'a TimeFormat>) -> Self {
        Self { formats: formats.cloned().collect() }
    }

    /// The instant that the text of a JSON number or string stands for, by the first format that fits.
    ///
    /// Without a stated format: RFC 3339 / ISO 8601 (UTC where there is no offset), RFC 1123, and whole
    /// numbers as milliseconds since 1970. None when no format fits or the year is not in 0001–9999.
    pub fn parse(&self, text: &str) -> Option<Timestamp> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        self.formats.iter().find_map(|format| format.read(text)).or_else(|| read_builtin(text))
    }
}

/// The instant by the built-in formats.
pub(crate) fn read_builtin(text: &str) -> Option<Timestamp> {
    // By far the most events bear milliseconds; nothing else looks like them.
    if let Some(millis) = coerce::plain_integer(text.as_bytes()) {
        return Timestamp::from_micros(millis.checked_mul(1000)?).ok();
    }
    read_iso(text, &TimeZone::UTC).or_else(|| read_rfc_1123(text))
}

/// RFC 3339 / ISO 8601; `zone` where the text has no offset.
fn read_iso(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    // Most texts that are tried are no times: said before a parser makes an error of it.
    let may_begin = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-');
    if !(ISO_BYTES_MIN..=TEXT_BYTES_MAX).contains(&text.len()) || !text.as_bytes().first().is_some_and(may_begin) {
        return None;
    }
    read_iso_instant(text, Some(zone))
}

/// RFC 3339 / ISO 8601; without a `zone` the text must have an offset.
fn read_iso_instant(text: &str, zone: Option<&TimeZone>) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return of_instant(instant);
    }
    let pieces = Pieces::parse(text).ok()?;
    let local = pieces.date().to_datetime(pieces.time().unwrap_or_else(civil::Time::midnight));
    match pieces.to_numeric_offset() {
        Some(offset) => of_offset(local, offset),
        None => of_civil(local, zone?),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, without the comments that mail allows.
fn read_rfc_1123(text: &str) -> Option<Timestamp> {
    if text.len() > TEXT_BYTES_MAX || text.contains('(') || !text.contains(':') {
        return None;
    }
    if let Ok(instant) = rfc2822::DateTimeParser::new().parse_timestamp(text) {
        return of_instant(instant);
    }
    let parts = BrokenDownTime::parse("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    of_offset(parts.to_datetime().ok()?, Offset::UTC)
}

fn of_instant(instant: jiff::Timestamp) -> Option<Timestamp> {
    // Below a microsecond, time is cut off, before 1970 too.
    let micros = instant.as_nanosecond().div_euclid(1000);
    Timestamp::from_micros(micros.try_into().ok()?).ok()
}

fn of_civil(local: civil::DateTime, zone: &TimeZone) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(local).compatible() {
        Ok(instant) => of_instant(instant),
        Err(_) => of_offset(local, zone.to_offset(jiff::Timestamp::MAX)),
    }
}

/// The instant of a local time. It is for the last 26 hours of the year 9999, which jiff's own instants do not have.
fn of_offset(local: civil::DateTime, offset: Offset) -> Option<Timestamp> {
    let local = local.duration_since(civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let micros = (local.as_nanos() - i128::from(offset.seconds()) * 1_000_000_000).div_euclid(1000);
    Timestamp::from_micros(micros.try_into().ok()?).ok()
}

#[cfg(test)]
mod tests;
