//! Times as they are typed on the command line.

use fineo::core::Timestamp;
use jiff::{civil, tz::TimeZone};

/// The instant that `text` names: RFC 3339, a date and time or a date in UTC, or epoch milliseconds.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    let micros =
        micros(text.trim()).ok_or("not a time: give 2026-01-31, 2026-01-31T12:00:00Z or epoch milliseconds")?;
    Timestamp::from_micros(micros).map_err(|error| error.to_string())
}

fn micros(text: &str) -> Option<i64> {
    if let Ok(milliseconds) = text.parse::<i64>() {
        return milliseconds.checked_mul(1_000);
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.as_microsecond());
    }
    let civil: civil::DateTime = text.parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::instant;

    #[test]
    fn a_time_is_rfc_3339_or_utc_or_milliseconds() {
        for (text, shown) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T12:00:00", "2026-01-31T12:00:00Z"),
            ("2026-01-31 12:00:00.5", "2026-01-31T12:00:00.5Z"),
            ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
            ("1700000000000", "2023-11-14T22:13:20Z"),
            ("-1", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(instant(text).map(|at| at.to_string()), Ok(shown.to_owned()), "{text}");
        }
        assert!(instant("yesterday").is_err());
        assert!(instant("9223372036854775807").is_err());
    }
}
