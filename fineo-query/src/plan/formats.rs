//! Formats of `to_char` as Postgres writes them, said in those of the engine's: `YYYY-MM-DD` as `%Y-%m-%d`.
//!
//! The engine would give back the text of a format that is not its own. What stands with a `%` is its own; what Postgres has and the
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

/// `functions`, of which `to_char` takes formats of both.
pub(crate) fn of_both(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    guarded(functions, |name| (name == "to_char").then_some(Formats))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Formats;

impl Guard for Formats {
    fn check_asked(&self, _function: &str, args: &ReturnFieldArgs<'_>) -> Result<()> {
        let (Some(of), Some(Some(format))) = (args.arg_fields.first(), args.scalar_arguments.get(1)) else {
            return Ok(());
        };
        match format.try_as_str().flatten() {
            Some(format) => own(format, of.data_type()).map(drop),
            None => Ok(()),
        }
    }

    fn given(&self, mut args: ScalarFunctionArgs) -> Result<ScalarFunctionArgs> {
        let Some(of) = args.args.first().map(ColumnarValue::data_type) else { return Ok(args) };
        match args.args.get_mut(1) {
            Some(ColumnarValue::Scalar(format)) => {
                if let Some(text) = format.try_as_str().flatten() {
                    *format = ScalarValue::Utf8(Some(own(text, &of)?));
                }
            }
            Some(ColumnarValue::Array(formats)) => {
                let texts = cast(formats, &DataType::Utf8)?;
                let own = texts.as_string::<i32>().iter().map(|text| text.map(|text| own(text, &of)).transpose());
                let own: StringArray = own.collect::<Result<_>>()?;
                *formats = Arc::new(own) as ArrayRef;
            }
            None => {}
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
    let error = unsupported(&format!("to_char knows no {rest:?} in a format"));
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
