//! One stated time format: a name or a pattern, and the zone of values that carry none.

use std::{fmt, str::FromStr, sync::Arc};

use fineo_core::{Error, Result, Timestamp};
use jiff::{
    civil,
    fmt::strtime::{self, BrokenDownTime},
    tz::{Offset, TimeZone},
};

use crate::coerce;

/// A checked time format. Cloning is cheap.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeFormat {
    text: Arc<str>,
    kind: Kind,
    zone: TimeZone,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// ISO 8601, with or without an offset.
    IsoDateTime,
    /// ISO 8601 with an offset.
    IsoInstant,
    Rfc1123,
    /// A number since 1970 in units of ten to this power of a nanosecond.
    Epoch {
        nanos_exponent: i8,
    },
    /// A strptime pattern.
    Pattern(Arc<str>),
}

impl TimeFormat {
    /// The longest text of a format.
    pub const LEN_MAX: usize = 200;

    /// Reads and checks `iso_date_time`, `iso_instant`, `rfc_1123`, `epoch_s`, `epoch_ms`, `epoch_us`,
    /// `epoch_ns` or a strptime pattern, each optionally followed by ` @ zone`.
    ///
    /// # Errors
    ///
    /// `Invalid` when the pattern cannot be read with, does not fix an instant, or the zone is unknown.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > Self::LEN_MAX {
            return Err(Error::invalid("a time format has 1-200 bytes"));
        }
        let (format, zone) = match text.rsplit_once(" @ ") {
            Some((format, zone)) => (format.trim_end(), zone_named(zone.trim())?),
            None => (text, TimeZone::UTC),
        };
        let kind = match format.to_ascii_lowercase().as_str() {
            "iso_date_time" => Kind::IsoDateTime,
            "iso_instant" => Kind::IsoInstant,
            "rfc_1123" => Kind::Rfc1123,
            "epoch_s" => Kind::Epoch { nanos_exponent: 9 },
            "epoch_ms" => Kind::Epoch { nanos_exponent: 6 },
            "epoch_us" => Kind::Epoch { nanos_exponent: 3 },
            "epoch_ns" => Kind::Epoch { nanos_exponent: 0 },
            _ => Kind::Pattern(format.into()),
        };
        let checked = Self { text: text.into(), kind, zone };
        checked.check()?;
        Ok(checked)
    }

    /// A pattern must write an instant in a way that it reads back.
    fn check(&self) -> Result<()> {
        let Kind::Pattern(pattern) = &self.kind else { return Ok(()) };
        let invalid = |why: &str| {
            Error::invalid(why).with("format", &self.text).with(
                "legal",
                "iso_date_time, iso_instant, rfc_1123, epoch_s, epoch_ms, epoch_us, epoch_ns or a pattern such as %Y-%m-%d %H:%M:%S",
            )
        };
        if !pattern.contains('%') {
            return Err(invalid("not a time format"));
        }
        let sample = civil::date(2015, 1, 12).at(10, 12, 15, 0).to_zoned(TimeZone::UTC);
        let sample = sample.map_err(|source| Error::internal("the sample time has no zone").with_source(source))?;
        let written =
            strtime::format(&**pattern, &sample).map_err(|source| invalid("not a time pattern").with_source(source))?;
        match self.read(&written) {
            Some(_) => Ok(()),
            None => Err(invalid("the pattern does not fix a day and a time")),
        }
    }

    /// The instant that `text` stands for under this format.
    pub(super) fn read(&self, text: &str) -> Option<Timestamp> {
        match &self.kind {
            Kind::IsoDateTime => super::read_iso(text, &self.zone),
            Kind::IsoInstant => super::read_iso_instant(text, None),
            Kind::Rfc1123 => super::read_rfc_1123(text),
            Kind::Epoch { nanos_exponent } => read_epoch(text, *nanos_exponent),
            Kind::Pattern(pattern) => read_pattern(pattern, text, &self.zone),
        }
    }
}

fn read_epoch(text: &str, nanos_exponent: i8) -> Option<Timestamp> {
    if let (Some(number), 3..) = (coerce::plain_integer(text.as_bytes()), nanos_exponent) {
        let micros = number.checked_mul(10_i64.pow(u32::from(nanos_exponent.unsigned_abs()) - 3))?;
        return Timestamp::from_micros(micros).ok();
    }
    // A fraction of a second is usual; below a nanosecond it is cut off.
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.get(..fraction.len().min(usize::from(nanos_exponent.unsigned_abs())))?;
    let cut = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    let nanos = coerce::decimal(&cut, 38, nanos_exponent)?;
    Timestamp::from_micros(nanos.div_euclid(1000).try_into().ok()?).ok()
}

fn read_pattern(pattern: &str, text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let parts = BrokenDownTime::parse(pattern, text).ok()?;
    if let Ok(instant) = parts.to_timestamp() {
        return super::of_instant(instant);
    }
    if parts.iana_time_zone().is_some() {
        return super::of_instant(parts.to_zoned().ok()?.timestamp());
    }
    let day = parts.to_date().ok()?;
    let local = match parts.hour() {
        Some(_) => parts.to_datetime().ok()?,
        None => day.at(0, 0, 0, 0),
    };
    match parts.offset() {
        Some(offset) => super::of_offset(local, offset),
        None => super::of_civil(local, zone),
    }
}

/// An IANA name, `UTC`, or an offset such as `+02:00` or `UTC+1`.
fn zone_named(text: &str) -> Result<TimeZone> {
    let unknown = || Error::invalid("not a time zone: give an IANA name or an offset").with("zone", text);
    if text.eq_ignore_ascii_case("utc") || text.eq_ignore_ascii_case("z") {
        return Ok(TimeZone::UTC);
    }
    let offset = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
    if !offset.starts_with(['+', '-']) {
        return TimeZone::get(text).map_err(|source| unknown().with_source(source));
    }
    let (hours, minutes) = match offset[1..].split_once(':') {
        Some(parts) => parts,
        None if offset.len() == 5 && offset.is_ascii() => offset[1..].split_at(2),
        None => (&offset[1..], "0"),
    };
    let hours: i32 = hours.parse().map_err(|_| unknown())?;
    let minutes: i32 = minutes.parse().map_err(|_| unknown())?;
    if !(0..=18).contains(&hours) || !(0..60).contains(&minutes) {
        return Err(unknown());
    }
    let seconds = hours * 3600 + minutes * 60;
    let seconds = if offset.starts_with('-') { -seconds } else { seconds };
    Ok(TimeZone::fixed(Offset::from_seconds(seconds).map_err(|_| unknown())?))
}

impl FromStr for TimeFormat {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// As it was stated.
impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
