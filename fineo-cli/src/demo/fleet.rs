//! The events of a small fleet that drifts: names, types, units and times change under way.

use std::fmt::Write;

use fineo::core::Timestamp;

/// 2026-01-05T00:00:00Z, a Monday.
const BEGINNING_MILLIS: i64 = 1_767_571_200_000;
const HALF_HOUR_MILLIS: i64 = 30 * 60 * 1_000;
const READINGS_PER_WEEK: i64 = 7 * 48;
const DEVICES: i64 = 12;

/// One reading before it is written as an event.
struct Reading {
    device: i64,
    /// Since the beginning, in half hours.
    number: i64,
    /// Tenths of a degree Celsius.
    tenths: i64,
}

impl Reading {
    fn millis(&self) -> i64 {
        BEGINNING_MILLIS + self.number * HALF_HOUR_MILLIS + self.device * 1_000
    }
}

/// The files of the three weeks, by name.
pub(super) fn files() -> [(&'static str, String); 3] {
    [
        ("week1.ndjson", week(0, first_week)),
        ("week2.ndjson", week(1, second_week)),
        ("week3.ndjson", week(2, third_week)),
    ]
}

fn week(number: i64, write: fn(&Reading, &mut String)) -> String {
    let mut text = String::new();
    for half_hour in number * READINGS_PER_WEEK..(number + 1) * READINGS_PER_WEEK {
        for device in 1..=DEVICES {
            let of_day = half_hour % 48;
            let warmth = 24 - (of_day - 28).abs().min(24);
            let tenths = 180 + 2 * warmth + device + (half_hour * 7 + device * 3) % 5;
            write(&Reading { device, number: half_hour, tenths }, &mut text);
        }
    }
    text
}

/// As the devices left the factory: `temp` in Celsius, as text.
fn first_week(reading: &Reading, text: &mut String) {
    let _ = writeln!(
        text,
        r#"{{"metrictype":"thermostat","timestamp":{},"device":"t-{:02}","temp":"{}"}}"#,
        reading.millis(),
        reading.device,
        degrees(reading.tenths),
    );
}

/// New firmware: `temp` is now `temperature`, a number, and there is a battery. One device sends a word instead.
fn second_week(reading: &Reading, text: &mut String) {
    let is_stuck = reading.device == 7 && reading.number % 48 == 0;
    let temperature = if is_stuck { "\"warm\"".to_owned() } else { degrees(reading.tenths) };
    let _ = writeln!(
        text,
        r#"{{"metrictype":"thermostat","timestamp":{},"device":"t-{:02}","temperature":{temperature},"battery":{}}}"#,
        reading.millis(),
        reading.device,
        100 - reading.number % READINGS_PER_WEEK / 8,
    );
}

/// Another maker's devices: another metric name, Fahrenheit, and two of them write the time their own way.
fn third_week(reading: &Reading, text: &mut String) {
    let is_odd = reading.device > 10;
    let time = if is_odd { day_first(reading.millis()) } else { reading.millis().to_string() };
    let fahrenheit = (reading.tenths * 18 + 3_200 + 5) / 10;
    let _ = writeln!(
        text,
        r#"{{"metrictype":"tstat2","timestamp":{time},"device":"t-{:02}","tempF":{}}}"#,
        reading.device,
        degrees(fahrenheit),
    );
}

fn degrees(tenths: i64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// `"19/01/2026 13:30:11"`.
fn day_first(millis: i64) -> String {
    let iso = Timestamp::saturating_from_micros(millis * 1_000).to_string();
    let (year, month, day, time) = (&iso[0..4], &iso[5..7], &iso[8..10], &iso[11..19]);
    format!("\"{day}/{month}/{year} {time}\"")
}

#[cfg(test)]
mod tests {
    use super::files;

    #[test]
    fn the_fleet_drifts_as_told() {
        let [(_, first), (_, second), (_, third)] = files();
        assert_eq!([first.lines().count(), second.lines().count(), third.lines().count()], [4_032; 3]);
        assert_eq!(
            first.lines().next(),
            Some(r#"{"metrictype":"thermostat","timestamp":1767571201000,"device":"t-01","temp":"18.4"}"#)
        );
        assert_eq!(second.matches("\"warm\"").count(), 7);
        assert_eq!(third.matches("/2026 ").count(), 2 * 336);
        assert!(third.contains(r#""timestamp":"19/01/2026 00:00:11""#));
    }
}
