//! Text that becomes part of a statement: names, literals, and texts with places for both.

use std::{iter::Peekable, str::Chars};

use datafusion::{
    arrow::datatypes::DataType,
    common::{Result, ScalarValue},
    error::DataFusionError,
};

use super::rows::{Function, Makes, Takes, text, value};
use crate::error::{foreign, refused};

/// A function that makes a text of a text.
const fn of_text(name: &'static str, knows_null: bool, answer: fn(&[ScalarValue]) -> Result<ScalarValue>) -> Function {
    Function { name, takes: &[Takes::Text], repeats: false, knows_null, makes: Makes::One(DataType::Utf8), answer }
}

pub(super) const ALL: &[Function] = &[
    of_text("quote_ident", false, |values| Ok(text(name(&value!(values, 0, Utf8))))),
    of_text("quote_literal", false, |values| Ok(text(literal(&value!(values, 0, Utf8))))),
    of_text("quote_nullable", true, |values| Ok(text(nullable(values.first())))),
    Function {
        name: "format",
        takes: &[Takes::Text],
        repeats: true,
        knows_null: true,
        makes: Makes::One(DataType::Utf8),
        answer: format,
    },
];

/// Words that are no names without quotes.
const RESERVED: &str = " all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both \
     case cast char character check coalesce collate collation column concurrently constraint create cross current_catalog \
     current_date current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc \
     distinct do else end except exists extract false fetch float for foreign freeze from full grant greatest group grouping \
     having ilike in initially inner inout int integer intersect interval into is isnull join lateral leading least left like \
     limit localtime localtimestamp national natural nchar none normalize not notnull null nullif numeric offset on only or \
     order out outer overlaps overlay placing position precision primary real references returning right row select \
     session_user setof similar smallint some substring symmetric system_user table tablesample then time timestamp to \
     trailing treat trim true union unique user using values varchar variadic verbose when where window with \
     xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable ";

/// `text` as a name in a statement.
fn name(text: &str) -> String {
    let is_plain = |(index, sign): (usize, char)| matches!(sign, 'a'..='z' | '_') || index > 0 && sign.is_ascii_digit();
    let is_word = !text.is_empty() && text.chars().enumerate().all(is_plain);
    if is_word && !RESERVED.contains(&std::format!(" {text} ")) {
        return text.to_owned();
    }
    std::format!("\"{}\"", text.replace('"', "\"\""))
}

/// `text` as a text in a statement.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if !quoted.contains('\\') {
        return std::format!("'{quoted}'");
    }
    std::format!("E'{}'", quoted.replace('\\', "\\\\"))
}

fn nullable(value: Option<&ScalarValue>) -> String {
    match value.and_then(|value| value.try_as_str().flatten()) {
        Some(text) => literal(text),
        None => "NULL".to_owned(),
    }
}

/// One place in a text: which value goes there, how wide it is at least, and how it is written.
#[derive(Debug, Default)]
struct Place {
    position: Option<usize>,
    is_left: bool,
    width: usize,
    width_of: Option<Option<usize>>,
}

/// The widest place.
const WIDTH_MAX: usize = 10_000;
/// The longest text that is made.
const TEXT_BYTES_MAX: usize = 16 << 20;

fn format(values: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(Some(pattern)) = values.first().and_then(ScalarValue::try_as_str) else {
        return Ok(ScalarValue::Utf8(None));
    };
    let mut written = String::new();
    let mut next = 1;
    let mut rest = pattern.chars().peekable();
    while let Some(sign) = rest.next() {
        if sign != '%' {
            written.push(sign);
            continue;
        }
        if rest.next_if_eq(&'%').is_some() {
            written.push('%');
            continue;
        }
        let mut place = place(&mut rest)?;
        let kind = rest.next().ok_or_else(|| wrong("a place is not ended", "write %% for a single %"))?;
        if let Some(position) = place.width_of {
            let (width, is_left) = width(taken(values, position, &mut next)?)?;
            (place.width, place.is_left) = (width, place.is_left || is_left);
        }
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(wrong(&std::format!("there is no place of the kind {kind:?}"), "write %% for a single %"));
        }
        let value = taken(values, place.position, &mut next)?;
        let text = match (kind, value.try_as_str().flatten()) {
            ('L', _) => nullable(Some(value)),
            ('I', Some(text)) => name(text),
            ('I', None) => return Err(wrong("null is no name", "coalesce(…) has another value for null")),
            (_, text) => text.unwrap_or_default().to_owned(),
        };
        if written.len() + place.width + text.len() > TEXT_BYTES_MAX {
            let message = std::format!("format would make a text of more than {TEXT_BYTES_MAX} bytes");
            return Err(DataFusionError::ResourcesExhausted(message));
        }
        push(&mut written, &text, &place);
    }
    Ok(ScalarValue::Utf8(Some(written)))
}

fn push(written: &mut String, text: &str, place: &Place) {
    let blanks = " ".repeat(place.width.saturating_sub(text.chars().count()));
    let (before, behind) = if place.is_left { ("", blanks.as_str()) } else { (blanks.as_str(), "") };
    written.extend([before, text, behind]);
}

/// A place up to what says its kind: `n$`, `-`, and a width, which may be a value itself, as `*` or `*n$`.
fn place(rest: &mut Peekable<Chars<'_>>) -> Result<Place> {
    let mut place = Place::default();
    if let Some(count) = number(rest)? {
        if rest.next_if_eq(&'$').is_none() {
            place.width = count;
            return Ok(place);
        }
        place.position = Some(count);
    }
    while rest.next_if_eq(&'-').is_some() {
        place.is_left = true;
    }
    if rest.next_if_eq(&'*').is_some() {
        let position = number(rest)?;
        if position.is_some() && rest.next_if_eq(&'$').is_none() {
            return Err(wrong("the position of a width must end with $", "write %*1$s"));
        }
        place.width_of = Some(position);
    } else if let Some(width) = number(rest)? {
        place.width = width;
    }
    Ok(place)
}

fn number(rest: &mut Peekable<Chars<'_>>) -> Result<Option<usize>> {
    let mut number = None;
    while let Some(digit) = rest.peek().and_then(|sign| sign.to_digit(10)) {
        rest.next();
        let sum = number.unwrap_or(0) * 10 + digit as usize;
        if sum > WIDTH_MAX {
            return Err(wrong("a number in a place is too large", "10,000 is the largest"));
        }
        number = Some(sum);
    }
    Ok(number)
}

/// The value at `position`, else the one behind the last that was taken.
fn taken<'a>(values: &'a [ScalarValue], position: Option<usize>, next: &mut usize) -> Result<&'a ScalarValue> {
    let index = position.unwrap_or(*next);
    *next = index + 1;
    let few = || wrong("there are fewer values than places", "write %% for a single %");
    if index == 0 { Err(wrong("values are counted from 1", "write %1$s")) } else { values.get(index).ok_or_else(few) }
}

/// A width that is a value, and whether it says that blanks go behind.
fn width(value: &ScalarValue) -> Result<(usize, bool)> {
    let Some(text) = value.try_as_str().flatten() else { return Ok((0, false)) };
    let width: Option<i64> = text.trim().parse().ok().filter(|width: &i64| width.unsigned_abs() <= WIDTH_MAX as u64);
    let width = width.ok_or_else(|| wrong("a width must be a whole number up to 10,000", "cast it to INT"))?;
    Ok((usize::try_from(width.unsigned_abs()).unwrap_or_default(), width < 0))
}

fn wrong(message: &str, hint: &str) -> DataFusionError {
    foreign(refused("query_failed", std::format!("format: {message}")).with("hint", hint))
}
