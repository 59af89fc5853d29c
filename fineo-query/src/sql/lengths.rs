//! Intervals as Postgres reads them: `1 day 04:05:06`, `1-2 3 4:05:06`, `P1DT4H`, `@ 2 hours ago`.

/// An interval, part by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) months: i32,
    pub(crate) days: i32,
    pub(crate) nanos: i64,
}

/// The interval that `text` says.
pub(crate) fn read(text: &str) -> Option<Length> {
    let text = text.trim().to_ascii_lowercase();
    let mut sum = Sum::default();
    match text.strip_prefix('p') {
        Some(rest) => iso(rest, &mut sum)?,
        None => words(&text, &mut sum)?,
    }
    sum.length()
}

/// `text` in the engine's words, where it has none for what stands there and it is an interval.
pub(crate) fn spelled(text: &str) -> Option<String> {
    let plain = text.trim().to_ascii_lowercase();
    let is_span = |word: &str| word.trim_start_matches(['+', '-']).contains('-');
    let is_foreign = plain.contains(':')
        || plain.starts_with(['p', '@'])
        || plain.ends_with("ago")
        || plain.split_whitespace().any(is_span);
    let Length { months, days, nanos } = is_foreign.then(|| read(text)).flatten()?;
    Some(format!("{months} months {days} days {nanos} nanoseconds"))
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;
const MONTHS_PER_YEAR: i64 = 12;
const DAYS_PER_MONTH: f64 = 30.0;
const DAYS_PER_WEEK: i64 = 7;

/// What parts of an interval come to so far.
#[derive(Debug, Default)]
struct Sum {
    months: i64,
    days: i64,
    nanos: i64,
}

/// What an amount counts.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Months(i64),
    Weeks,
    Days,
    Nanos(i64),
}

/// A number: what is before the point, and what is behind it, both with its sign.
#[derive(Debug, Clone, Copy)]
struct Amount {
    whole: i64,
    rest: f64,
}

impl Sum {
    fn add(&mut self, amount: Amount, unit: Unit) -> Option<()> {
        let Amount { whole, rest } = amount;
        match unit {
            Unit::Months(1) => {
                self.months = self.months.checked_add(whole)?;
                self.part_of_days(rest * DAYS_PER_MONTH)
            }
            Unit::Months(each) => {
                let part = (rest * each as f64).round() as i64;
                self.months = self.months.checked_add(whole.checked_mul(each)?.checked_add(part)?)?;
                Some(())
            }
            Unit::Weeks => {
                self.days = self.days.checked_add(whole.checked_mul(DAYS_PER_WEEK)?)?;
                self.part_of_days(rest * DAYS_PER_WEEK as f64)
            }
            Unit::Days => {
                self.days = self.days.checked_add(whole)?;
                self.part_of_days(rest)
            }
            Unit::Nanos(each) => {
                let part = (rest * each as f64).round() as i64;
                self.nanos = self.nanos.checked_add(whole.checked_mul(each)?.checked_add(part)?)?;
                Some(())
            }
        }
    }

    fn part_of_days(&mut self, days: f64) -> Option<()> {
        self.days = self.days.checked_add(days.trunc() as i64)?;
        // Up to a microsecond, as far as doubles tell.
        let micros = ((days - days.trunc()) * (DAY / 1_000) as f64).round() as i64;
        self.nanos = self.nanos.checked_add(micros * 1_000)?;
        Some(())
    }

    fn length(&self) -> Option<Length> {
        let (months, days) = (i32::try_from(self.months).ok()?, i32::try_from(self.days).ok()?);
        Some(Length { months, days, nanos: self.nanos })
    }
}

/// `P`'s designators, or years, months and days with hyphens and a time behind `T`.
fn iso(text: &str, sum: &mut Sum) -> Option<()> {
    let (days, time) = match text.split_once('t') {
        Some((days, time)) if !time.is_empty() => (days, Some(time)),
        Some(_) => return None,
        None => (text, None),
    };
    if days.is_empty() && time.is_none() {
        return None;
    }
    if let [years, months, of_month] = days.split('-').collect::<Vec<_>>().as_slice()
        && !years.is_empty()
    {
        sum.add(amount(years)?, Unit::Months(MONTHS_PER_YEAR))?;
        sum.add(amount(months)?, Unit::Months(1))?;
        sum.add(amount(of_month)?, Unit::Days)?;
    } else {
        let unit = |letter| match letter {
            'y' => Some(Unit::Months(MONTHS_PER_YEAR)),
            'm' => Some(Unit::Months(1)),
            'w' => Some(Unit::Weeks),
            'd' => Some(Unit::Days),
            _ => None,
        };
        designated(days, unit, sum)?;
    }
    match time {
        Some(time) if time.contains(':') => clock(time, sum),
        Some(time) => {
            let unit = |letter| match letter {
                'h' => Some(Unit::Nanos(3_600 * SECOND)),
                'm' => Some(Unit::Nanos(60 * SECOND)),
                's' => Some(Unit::Nanos(SECOND)),
                _ => None,
            };
            designated(time, unit, sum)
        }
        None => Some(()),
    }
}

fn designated(mut text: &str, unit: impl Fn(char) -> Option<Unit>, sum: &mut Sum) -> Option<()> {
    while let Some(at) = text.find(|sign: char| sign.is_ascii_alphabetic()) {
        let (number, rest) = text.split_at(at);
        sum.add(amount(number)?, unit(rest.chars().next()?)?)?;
        text = rest.get(1..)?;
    }
    text.is_empty().then_some(())
}

/// Numbers with units behind them, times of day, and years with months.
fn words(text: &str, sum: &mut Sum) -> Option<()> {
    let text = text.strip_prefix('@').unwrap_or(text);
    let (text, is_ago) = match text.strip_suffix("ago") {
        Some(before) if before.ends_with(char::is_whitespace) => (before, true),
        _ => (text, false),
    };
    let mut words = text.split_whitespace().flat_map(apart).peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        if word.contains(':') {
            clock(word, sum)?;
        } else if word.trim_start_matches(['+', '-']).contains('-') {
            years_to_months(word, sum)?;
        } else {
            let amount = amount(word)?;
            let unit = match words.next_if(|next| next.starts_with(|sign: char| sign.is_ascii_alphabetic())) {
                Some(named) => unit(named)?,
                // A number before a time of day counts days, the last one seconds.
                None if words.peek().is_some_and(|next| next.contains(':')) => Unit::Days,
                None if words.peek().is_none() => Unit::Nanos(SECOND),
                None => return None,
            };
            sum.add(amount, unit)?;
        }
    }
    if is_ago {
        (sum.months, sum.days) = (sum.months.checked_neg()?, sum.days.checked_neg()?);
        sum.nanos = sum.nanos.checked_neg()?;
    }
    Some(())
}

/// `2h` is a number and a unit.
fn apart(word: &str) -> impl Iterator<Item = &str> {
    let at = word.find(|sign: char| sign.is_ascii_alphabetic()).unwrap_or(word.len());
    let (number, unit) = word.split_at(at);
    [number, unit].into_iter().filter(|part| !part.is_empty())
}

fn unit(name: &str) -> Option<Unit> {
    let plural = name.strip_suffix('s').filter(|one| one.len() > 1).unwrap_or(name);
    Some(match plural {
        "microsecond" | "us" | "usec" => Unit::Nanos(1_000),
        "millisecond" | "ms" | "msec" => Unit::Nanos(1_000_000),
        "second" | "sec" | "s" => Unit::Nanos(SECOND),
        "minute" | "min" | "m" => Unit::Nanos(60 * SECOND),
        "hour" | "hr" | "h" => Unit::Nanos(3_600 * SECOND),
        "day" | "d" => Unit::Days,
        "week" | "w" => Unit::Weeks,
        "month" | "mon" => Unit::Months(1),
        "year" | "yr" | "y" => Unit::Months(MONTHS_PER_YEAR),
        "decade" | "dec" => Unit::Months(10 * MONTHS_PER_YEAR),
        "century" | "centurie" | "cent" | "c" => Unit::Months(100 * MONTHS_PER_YEAR),
        "millennium" | "millennia" | "mil" => Unit::Months(1_000 * MONTHS_PER_YEAR),
        _ => return None,
    })
}

/// A number with a sign and a point, both of which may be left out.
fn amount(text: &str) -> Option<Amount> {
    let (sign, digits) = signed(text);
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    if digits.is_empty() || digits == "." || !is_number(whole) || !is_number(rest) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let rest: f64 = if rest.is_empty() { 0.0 } else { format!("0.{rest}").parse().ok()? };
    Some(Amount { whole: sign * whole, rest: sign as f64 * rest })
}

fn signed(text: &str) -> (i64, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// `4:05`, `4:05:06.7`, and `5:06.7` without hours; the sign is that of all.
fn clock(text: &str, sum: &mut Sum) -> Option<()> {
    let (sign, digits) = signed(text);
    let parts: Vec<&str> = digits.split(':').collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [minutes, seconds] if seconds.contains('.') => ("0", *minutes, *seconds),
        [hours, minutes] => (*hours, *minutes, "0"),
        [hours, minutes, seconds] => (*hours, *minutes, *seconds),
        _ => return None,
    };
    let part = |text: &str, end: i64| {
        let amount = text.starts_with(|digit: char| digit.is_ascii_digit()).then(|| amount(text)).flatten()?;
        (amount.whole < end).then_some(Amount { whole: sign * amount.whole, rest: sign as f64 * amount.rest })
    };
    let whole = |text: &str, end: i64| part(text, end).filter(|_| !text.contains('.'));
    sum.add(whole(hours, i64::MAX)?, Unit::Nanos(3_600 * SECOND))?;
    sum.add(whole(minutes, 60)?, Unit::Nanos(60 * SECOND))?;
    sum.add(part(seconds, 60)?, Unit::Nanos(SECOND))
}

/// `1-2`; the sign is that of both.
fn years_to_months(text: &str, sum: &mut Sum) -> Option<()> {
    let (sign, digits) = signed(text);
    let (years, months) = digits.split_once('-')?;
    let whole =
        |text: &str| text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse::<i64>().ok()).flatten();
    let (years, months) = (whole(years)?, whole(months).filter(|months| *months < MONTHS_PER_YEAR)?);
    sum.months = sum.months.checked_add(sign * years.checked_mul(MONTHS_PER_YEAR)?.checked_add(months)?)?;
    Some(())
}

#[cfg(test)]
mod tests;
