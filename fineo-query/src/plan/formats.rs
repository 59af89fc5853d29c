//! Formats of `to_char`, `to_date` and `to_timestamp` as Postgres writes them, said in those of the engine's: `YYYY-MM-DD` as
//! `%Y-%m-%d`.
//!
//! The engine would give back the text of a format that is not its own, or read that text. What stands with a `%` is its own; what Postgres has and the
//! engine has not, as names of months padded with spaces, is refused.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, StringArray},
        compute::cast,
        datatypes::DataType,
    },
    common::Result,
    error::DataFusionError,
    logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF},
    scalar::ScalarValue,
};

use super::guarded::{Guard, guarded};
use crate::error::{foreign, unsupported};

/// `functions`, of which those that write or read times take formats of both.
pub(crate) fn of_both(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    guarded(functions, |name| match name {
        "to_char" => Some(Formats::Written),
        "to_date" => Some(Formats::Days),
        "to_timestamp" => Some(Formats::Instants),
        _ => None,
    })
}

/// What times are by a format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Formats {
    Written,
    /// Read, without their time of day.
    Days,
    /// Read.
    Instants,
}

impl Formats {
    /// `format` as the engine writes it, for values of the type `of`, or reads it.
    fn own(&self, format: &str, of: &DataType) -> Result<String> {
        match self {
            Self::Written => own(format, of),
            Self::Days => own(format, &DataType::Utf8),
            Self::Instants => read(format),
        }
    }

    /// How many of so many values are formats, behind the first.
    fn count(&self, values: usize) -> usize {
        match self {
            Self::Written => values.saturating_sub(1).min(1),
            Self::Days | Self::Instants => values.saturating_sub(1),
        }
    }
}

impl Guard for Formats {
    fn check_asked(&self, _function: &str, args: &ReturnFieldArgs<'_>) -> Result<()> {
        let Some(of) = args.arg_fields.first() else { return Ok(()) };
        let formats = args.scalar_arguments.iter().skip(1).take(self.count(args.scalar_arguments.len()));
        for format in formats.copied().flatten() {
            if let Some(format) = format.try_as_str().flatten() {
                self.own(format, of.data_type())?;
            }
        }
        Ok(())
    }

    fn given(&self, mut args: ScalarFunctionArgs) -> Result<ScalarFunctionArgs> {
        let Some(of) = args.args.first().map(ColumnarValue::data_type) else { return Ok(args) };
        let count = self.count(args.args.len());
        for format in args.args.iter_mut().skip(1).take(count) {
            match format {
                ColumnarValue::Scalar(format) => {
                    if let Some(text) = format.try_as_str().flatten() {
                        *format = ScalarValue::Utf8(Some(self.own(text, &of)?));
                    }
                }
                ColumnarValue::Array(formats) => {
                    let texts = cast(formats, &DataType::Utf8)?;
                    let texts = texts.as_string::<i32>().iter();
                    let own: Result<StringArray> =
                        texts.map(|text| text.map(|text| self.own(text, &of)).transpose()).collect();
                    *formats = Arc::new(own?) as ArrayRef;
                }
            }
        }
        Ok(args)
    }
}

/// What Postgres has, and what it is called here. Of two that begin alike the longer one comes first.
const PATTERNS: [(&str, &str); 14] = [
    ("YYYY", "%Y"),
    ("IYYY", "%G"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("DDD", "%j"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("IW", "%V"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
];

/// The same of words, whose case says that of what is written.
const WORDS: [(&str, &str); 8] = [
    ("FMMonth", "%B"),
    ("FMDay", "%A"),
    ("Mon", "%b"),
    ("Dy", "%a"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("am", "%P"),
    ("pm", "%P"),
];

/// `format` as the engine writes it, for values of the type `of`.
fn own(format: &str, of: &DataType) -> Result<String> {
    if matches!(of, DataType::Duration(_)) {
        let is_known = ["ISO8601", "pretty"].iter().any(|known| known.eq_ignore_ascii_case(format));
        return if is_known { Ok(format.to_owned()) } else { Err(no_length(format)) };
    }
    if format.contains('%') {
        return Ok(format.to_owned());
    }
    // Elsewhere a month and a minute differ in their case alone.
    if format.contains("MM") && format.contains("mm") {
        return Err(unknown(format, "mm"));
    }
    let mut own = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, behind) = quoted.split_once('"').unwrap_or((quoted, ""));
            own.push_str(text);
            rest = behind;
        } else if let Some((taken, pattern)) = pattern(rest) {
            own.push_str(pattern);
            rest = &rest[taken..];
        } else if first.is_alphabetic() || first == '\\' {
            return Err(unknown(format, rest));
        } else {
            own.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(own)
}

/// `format` as the engine reads it, which would leave out a time of day that has not all that it wants.
fn read(format: &str) -> Result<String> {
    let own = own(format, &DataType::Utf8)?;
    let named = patterns_of(&own);
    let has = |any: &str| named.contains(|pattern| any.contains(pattern));
    if has("RTXcr+s") {
        return Ok(own);
    }
    if has("HkIl") && !has("M") {
        return Err(unread(format, "an hour is read with its minutes, as HH24:MI"));
    }
    if has("Il") && !has("pP") {
        return Err(unread(format, "an hour of twelve is read with AM or PM"));
    }
    if !has("HkIl") && has("MS") {
        return Err(unread(format, "minutes and seconds are read with their hour"));
    }
    Ok(own)
}

/// The letters of the patterns in a format of the engine's, without how numbers are padded.
fn patterns_of(own: &str) -> String {
    let patterns = own.replace("%%", "");
    let padded =
        |pattern: &str| pattern.trim_start_matches(['-', '_', '0', '.', ':', '#', '3', '6', '9']).chars().next();
    patterns.split('%').skip(1).filter_map(padded).collect()
}

fn unread(format: &str, message: &str) -> DataFusionError {
    foreign(unsupported(message).with("format", format.chars().take(200).collect::<String>()))
}

/// How many bytes of `text` are the pattern that it begins with, and what that is called here.
fn pattern(text: &str) -> Option<(usize, &'static str)> {
    let begins = |pattern: &str| text.get(..pattern.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(pattern));
    // The seconds of a day.
    if begins("SSSS") {
        return None;
    }
    let word = WORDS.iter().find(|(word, _)| text.starts_with(word));
    let found = word.or_else(|| PATTERNS.iter().find(|(pattern, _)| begins(pattern)));
    found.map(|(pattern, own)| (pattern.len(), *own))
}

fn unknown(format: &str, rest: &str) -> DataFusionError {
    let rest: String = rest.chars().take(20).collect();
    let error = unsupported(&format!("a format has no {rest:?}"));
    let error = error.with("format", format.chars().take(200).collect::<String>());
    foreign(error.with("hint", "write it as '%Y-%m-%d %H:%M:%S', or text of its own in \"double quotes\""))
}

fn no_length(format: &str) -> DataFusionError {
    let error = unsupported("to_char writes a difference of times as 'pretty' or 'ISO8601'");
    let error = error.with("format", format.chars().take(200).collect::<String>());
    foreign(error.with("hint", "extract(hour FROM …) and its like give the parts of a difference"))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType;

    use super::own;

    #[test]
    fn a_format_of_postgres_is_said_in_the_engines() {
        for (format, expected) in [
            ("YYYY-MM-DD HH24:MI:SS.MS", "%Y-%m-%d %H:%M:%S.%3f"),
            ("yyyymmdd", "%Y%m%d"),
            ("YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"", "%Y-%m-%dT%H:%M:%S.%6fZ"),
            ("Dy, DD Mon YY HH12 am", "%a, %d %b %y %I %P"),
            ("FMDay FMMonth IYYY-IW DDD", "%A %B %G-%V %j"),
            ("%Y as it is", "%Y as it is"),
            ("--", "--"),
        ] {
            assert_eq!(own(format, &DataType::Date32).unwrap(), expected, "{format}");
        }
    }

    #[test]
    fn what_the_engine_does_not_write_is_refused() {
        for format in ["Month", "DAY", "SSSS", "Q", "YYY", "DDth", "TZ", "FMDD", "YYYY-MM-DDTHH24", "yyyy-MM-dd HH:mm"]
        {
            assert!(own(format, &DataType::Date32).is_err(), "{format}");
        }
    }
}
