//! Functions that take times and intervals apart, and put them together.

use datafusion::{
    arrow::datatypes::{IntervalMonthDayNano, IntervalMonthDayNanoType},
    common::{Result, ScalarValue},
    error::DataFusionError,
};
use jiff::civil::{Date, DateTime, Time};

use super::rows::{Function, LENGTH, Makes, TIME, Takes, value};
use crate::error::{foreign, refused};

const MICROS_PER_DAY: i64 = 86_400_000_000;
const NANOS_PER_DAY: i64 = MICROS_PER_DAY * 1_000;

/// A function that makes an interval of intervals.
const fn of_length(name: &'static str, answer: fn(&[ScalarValue]) -> Result<ScalarValue>) -> Function {
    Function { name, takes: &[Takes::Length], repeats: false, knows_null: false, makes: Makes::One(LENGTH), answer }
}

pub(super) const ALL: &[Function] = &[
    Function {
        name: "age",
        takes: &[Takes::Time, Takes::Time],
        repeats: false,
        knows_null: false,
        makes: Makes::One(LENGTH),
        answer: age,
    },
    of_length("justify_days", |values| Parts::of(values)?.with_months().value()),
    of_length("justify_hours", |values| Parts::of(values)?.with_days().value()),
    of_length("justify_interval", |values| Parts::of(values)?.justified().value()),
    Function {
        name: "make_interval",
        takes: &[Takes::Whole, Takes::Whole, Takes::Whole, Takes::Whole, Takes::Whole, Takes::Whole, Takes::Number],
        repeats: false,
        knows_null: false,
        makes: Makes::One(LENGTH),
        answer: make_interval,
    },
    Function {
        name: "make_timestamp",
        takes: &[Takes::Whole, Takes::Whole, Takes::Whole, Takes::Whole, Takes::Whole, Takes::Number],
        repeats: false,
        knows_null: false,
        makes: Makes::One(TIME),
        answer: make_timestamp,
    },
];

/// An interval's parts, none of which follows from another.
#[derive(Debug, Clone, Copy)]
struct Parts {
    months: i64,
    days: i64,
    nanos: i64,
}

impl Parts {
    fn of(values: &[ScalarValue]) -> Result<Self> {
        let (months, days, nanos) = IntervalMonthDayNanoType::to_parts(value!(values, 0, IntervalMonthDayNano));
        Ok(Self { months: months.into(), days: days.into(), nanos })
    }

    fn value(self) -> Result<ScalarValue> {
        let parts = i32::try_from(self.months).ok().zip(i32::try_from(self.days).ok());
        let (months, days) = parts.ok_or_else(no_room)?;
        Ok(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, self.nanos))))
    }

    /// 24 hours are a day.
    fn with_days(mut self) -> Self {
        self.days += self.nanos / NANOS_PER_DAY;
        self.nanos %= NANOS_PER_DAY;
        self.with_hours_of_one_sign()
    }

    /// 30 days are a month.
    fn with_months(mut self) -> Self {
        self.months += self.days / 30;
        self.days %= 30;
        if self.months > 0 && self.days < 0 {
            (self.months, self.days) = (self.months - 1, self.days + 30);
        } else if self.months < 0 && self.days > 0 {
            (self.months, self.days) = (self.months + 1, self.days - 30);
        }
        self
    }

    fn with_hours_of_one_sign(mut self) -> Self {
        if self.days > 0 && self.nanos < 0 {
            (self.days, self.nanos) = (self.days - 1, self.nanos + NANOS_PER_DAY);
        } else if self.days < 0 && self.nanos > 0 {
            (self.days, self.nanos) = (self.days + 1, self.nanos - NANOS_PER_DAY);
        }
        self
    }

    /// Both, and all parts of one sign.
    fn justified(mut self) -> Self {
        self.days += self.nanos / NANOS_PER_DAY;
        self.nanos %= NANOS_PER_DAY;
        self.months += self.days / 30;
        self.days %= 30;
        let (days, nanos) = (self.days, self.nanos);
        if self.months > 0 && (days < 0 || days == 0 && nanos < 0) {
            (self.months, self.days) = (self.months - 1, days + 30);
        } else if self.months < 0 && (days > 0 || days == 0 && nanos > 0) {
            (self.months, self.days) = (self.months + 1, days - 30);
        }
        self.with_hours_of_one_sign()
    }
}

fn no_room() -> DataFusionError {
    foreign(refused("overflow", "an interval has no room for so much"))
}

/// The time at which so many microseconds since 1970 end.
fn civil(micros: i64) -> Result<DateTime> {
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let instant = epoch.checked_add(jiff::SignedDuration::from_micros(micros));
    instant.map_err(|_| foreign(refused("overflow", "a time lies beyond the years that are counted")))
}

/// What lies between two times in years, months, days and a time of day, as one would say it with a calendar.
fn age(values: &[ScalarValue]) -> Result<ScalarValue> {
    let (first, second) = (value!(values, 0, TimestampMicrosecond), value!(values, 1, TimestampMicrosecond));
    let is_negative = first < second;
    let (later, earlier) = (civil(first.max(second))?, civil(first.min(second))?);
    let mut nanos = nanos_of_day(later) - nanos_of_day(earlier);
    let mut days = i64::from(later.day()) - i64::from(earlier.day());
    let mut months = 12 * (i64::from(later.year()) - i64::from(earlier.year())) + i64::from(later.month())
        - i64::from(earlier.month());
    if nanos < 0 {
        (nanos, days) = (nanos + NANOS_PER_DAY, days - 1);
    }
    if days < 0 {
        // What is borrowed is the earlier time's month.
        (days, months) = (days + i64::from(earlier.date().days_in_month()), months - 1);
    }
    let sign = if is_negative { -1 } else { 1 };
    Parts { months: sign * months, days: sign * days, nanos: sign * nanos }.value()
}

fn nanos_of_day(time: DateTime) -> i64 {
    let since = time.time().duration_since(Time::midnight());
    i64::try_from(since.as_nanos()).unwrap_or_default()
}

fn make_interval(values: &[ScalarValue]) -> Result<ScalarValue> {
    let whole = |index: usize| -> Result<i64> { Ok(value!(values, index, Int64)) };
    let [years, months, weeks, days] = [whole(0)?, whole(1)?, whole(2)?, whole(3)?];
    let [hours, minutes] = [whole(4)?, whole(5)?];
    let seconds = value!(values, 6, Float64);
    let made = || {
        let months = years.checked_mul(12)?.checked_add(months)?;
        let days = weeks.checked_mul(7)?.checked_add(days)?;
        let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
        let micros = (seconds * 1e6).round();
        let micros = (micros.abs() < 9e15).then_some(micros as i64)?;
        let nanos = minutes.checked_mul(60_000_000)?.checked_add(micros)?.checked_mul(1_000)?;
        Some(Parts { months, days, nanos })
    };
    made().ok_or_else(no_room)?.value()
}

fn make_timestamp(values: &[ScalarValue]) -> Result<ScalarValue> {
    let whole = |index: usize| -> Result<i64> { Ok(value!(values, index, Int64)) };
    let [year, month, day, hour, minute] = [whole(0)?, whole(1)?, whole(2)?, whole(3)?, whole(4)?];
    let seconds = value!(values, 5, Float64);
    let made = || {
        let year = i16::try_from(year).ok().filter(|year| *year >= 1)?;
        let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        let is_of_day = (0..=23).contains(&hour) && (0..=59).contains(&minute) && (0.0..=60.0).contains(&seconds);
        let is_its_end = (hour, minute, seconds) == (24, 0, 0.0);
        if !is_of_day && !is_its_end {
            return None;
        }
        let epoch = Date::constant(1970, 1, 1);
        let days = i64::from(date.since(epoch).ok()?.get_days());
        let micros = (hour * 60 + minute) * 60_000_000 + (seconds * 1e6).round() as i64;
        Some(days * MICROS_PER_DAY + micros)
    };
    let Some(micros) = made() else {
        let given = format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{seconds}");
        return Err(foreign(refused("query_failed", "make_timestamp: there is no such time").with("value", given)));
    };
    Ok(ScalarValue::TimestampMicrosecond(Some(micros), None))
}
