//! CSV: rows under a header, every value a text.
//!
//! A row is kept as its header line and its own line, so that it can be read alone.

use fineo_core::{Code, Rejection};

use super::{
    event::{Fields, duplicate_key},
    names::Names,
};

/// Follows the quotes of CSV: one opens a value only where a value begins.
#[derive(Debug)]
pub(crate) struct Quotes {
    pub(crate) is_open: bool,
    /// Where a value begins, and behind a quote inside quotes, which is one of a pair or the last.
    may_open: bool,
}

impl Quotes {
    /// At the beginning of a row.
    pub(crate) fn new() -> Self {
        Self { is_open: false, may_open: true }
    }

    pub(crate) fn pass(&mut self, byte: u8) {
        match byte {
            b'"' if self.is_open => (self.is_open, self.may_open) = (false, true),
            b'"' if self.may_open => (self.is_open, self.may_open) = (true, false),
            _ => self.may_open = matches!(byte, b',' | b'\n' | b'\r'),
        }
    }
}

/// Whether a quote is left open at the end.
fn ends_in_quotes(source: &[u8]) -> bool {
    let mut quotes = Quotes::new();
    source.iter().for_each(|byte| quotes.pass(*byte));
    quotes.is_open
}

/// Reads the event `source`, a header line and a row, into `fields`.
pub(crate) fn read(fields: &mut Fields, names: &mut Names, source: &[u8], fields_max: usize) -> Result<(), Rejection> {
    fields.clear();
    let event = names.begin_event();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(source);
    let mut header = csv::StringRecord::new();
    let mut row = csv::StringRecord::new();
    let has_both =
        reader.read_record(&mut header).map_err(unreadable)? && reader.read_record(&mut row).map_err(unreadable)?;
    if !has_both {
        return Err(Rejection::new(Code::CsvUnreadable, "the row has no values"));
    }
    // What is behind the row would be lost without a word.
    if reader.read_record(&mut csv::StringRecord::new()).map_err(unreadable)? {
        return Err(Rejection::new(Code::CsvUnreadable, "the row is more than one: is a quote left open?"));
    }
    // The value of such a quote would be all the rows behind it.
    if memchr::memchr(b'"', source).is_some() && ends_in_quotes(source) {
        return Err(Rejection::new(Code::CsvUnreadable, "the row does not end: is a quote left open?"));
    }
    if header.len() > fields_max {
        return Err(Rejection::new(Code::TooManyFields, format!("an event has at most {fields_max} fields")));
    }
    for (name, text) in header.iter().zip(&row) {
        if !fields.push_text(names, name, text, event)? {
            return Err(duplicate_key(name));
        }
    }
    fields.check_names(names)
}

fn unreadable(error: csv::Error) -> Rejection {
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} values under a header of {expected_len} names")
        }
        csv::ErrorKind::Utf8 { .. } => return Rejection::new(Code::BadUtf8, "the row is not UTF-8"),
        _ => "the row cannot be read as CSV".to_owned(),
    };
    Rejection::new(Code::CsvUnreadable, message)
}
