//! The values of parameters, from text or binary.

use std::{iter::Peekable, str::Chars};

use arrow::{
    array::timezone::Tz,
    compute::kernels::cast_utils::{Parser, string_to_datetime},
    datatypes::Time64MicrosecondType,
};
use bytes::{Buf, Bytes};
use fineo::{Parameter, Timestamp};
use pgwire::api::Type;

use super::{failure::Failure, numeric, types};

/// Days from 1970-01-01 to 2000-01-01, where Postgres begins to count.
const EPOCH_DAYS: i32 = 10_957;
const DAY_MICROS: i64 = 86_400_000_000;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * DAY_MICROS;

/// What a client gave for a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    One(Parameter),
    /// A list, item by item.
    Many(Vec<Parameter>),
}

impl Given {
    pub(super) fn null() -> Self {
        Self::One(Parameter::Null)
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let content = |value: &Parameter| match value {
            Parameter::Text(text) => text.len(),
            Parameter::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        let listed = |items: &Vec<Parameter>| items.iter().map(|item| size_of::<Parameter>() + content(item)).sum();
        size_of::<Self>()
            + match self {
                Self::One(value) => content(value),
                Self::Many(items) => listed(items),
            }
    }
}

/// The value of parameter `number` that `bytes` are as a value of type `of`.
///
/// # Errors
///
/// Where they are no such value, or the type cannot be a parameter.
pub(super) fn parameter(number: usize, of: &Type, is_binary: bool, bytes: Option<&Bytes>) -> Result<Given, Failure> {
    let Some(bytes) = bytes else { return Ok(Given::null()) };
    let value = match (types::item_of(of), is_binary) {
        (Some(item), false) => several(&item, utf8(bytes)?),
        (Some(item), true) => binary_list(&item, bytes.clone()),
        (None, false) => text(of, bytes).map(Given::One),
        (None, true) => binary(of, bytes).map(Given::One),
    };
    value.map_err(|failure| Failure { message: format!("parameter ${number}: {}", failure.message), ..failure })
}

fn text(of: &Type, bytes: &[u8]) -> Result<Parameter, Failure> {
    let text = utf8(bytes)?;
    let unreadable = || Failure::error("22P02", format!("invalid input syntax for type {of}: {text:?}"));
    Ok(match *of {
        Type::BOOL => Parameter::Boolean(boolean(text).ok_or_else(unreadable)?),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => {
            let number: i128 = text.trim().parse().map_err(|_| unreadable())?;
            let range = match *of {
                Type::INT2 => i128::from(i16::MIN)..=i128::from(i16::MAX),
                Type::INT4 => i128::from(i32::MIN)..=i128::from(i32::MAX),
                _ => i128::from(i64::MIN)..=i128::from(i64::MAX),
            };
            let number =
                Some(number).filter(|number| range.contains(number)).and_then(|number| i64::try_from(number).ok());
            let number =
                number.ok_or_else(|| Failure::error("22003", format!("{text:?} is out of range for type {of}")));
            Parameter::Long(number?)
        }
        Type::FLOAT4 | Type::FLOAT8 => Parameter::Double(float(of, text).ok_or_else(unreadable)??),
        Type::NUMERIC => match numeric::parse(text) {
            Some(number) => decimal(number?),
            None => Parameter::Double(float(of, text).ok_or_else(unreadable)??),
        },
        Type::TIMESTAMP | Type::TIMESTAMPTZ => Parameter::Timestamp(instant(text).ok_or_else(|| Failure {
            state: "22007",
            hint: Some("write it as 2026-01-31T12:00:00Z".to_owned()),
            ..unreadable()
        })?),
        Type::DATE => {
            let micros = instant(text).ok_or_else(|| Failure { state: "22007", ..unreadable() })?.micros();
            Parameter::Date(i32::try_from(micros.div_euclid(DAY_MICROS)).map_err(|_| unreadable())?)
        }
        Type::TIME => Parameter::Time(
            <Time64MicrosecondType as Parser>::parse(text.trim())
                .ok_or_else(|| Failure { state: "22007", ..unreadable() })?,
        ),
        Type::INTERVAL => Parameter::interval(text).ok_or_else(|| Failure { state: "22007", ..unreadable() })?,
        Type::BYTEA => Parameter::Bytes(bytea(text).ok_or_else(unreadable)?.into()),
        Type::TEXT
        | Type::VARCHAR
        | Type::BPCHAR
        | Type::NAME
        | Type::JSON
        | Type::JSONB
        | Type::UUID
        | Type::UNKNOWN => Parameter::from(text),
        _ => return Err(no_parameter(of)),
    })
}

fn binary(of: &Type, bytes: &Bytes) -> Result<Parameter, Failure> {
    Ok(match *of {
        Type::BOOL => Parameter::Boolean(fixed::<1>(of, bytes)? != [0]),
        Type::INT2 => Parameter::Long(i16::from_be_bytes(fixed(of, bytes)?).into()),
        Type::INT4 => Parameter::Long(i32::from_be_bytes(fixed(of, bytes)?).into()),
        Type::OID => Parameter::Long(u32::from_be_bytes(fixed(of, bytes)?).into()),
        Type::INT8 => Parameter::Long(i64::from_be_bytes(fixed(of, bytes)?)),
        Type::FLOAT4 => Parameter::Double(f32::from_be_bytes(fixed(of, bytes)?).into()),
        Type::FLOAT8 => Parameter::Double(f64::from_be_bytes(fixed(of, bytes)?)),
        Type::NUMERIC => decimal(numeric::binary(bytes.clone())?),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(fixed(of, bytes)?).checked_add(EPOCH_MICROS);
            let instant = micros.and_then(|micros| Timestamp::from_micros(micros).ok());
            Parameter::Timestamp(instant.ok_or_else(|| Failure::error("22008", "timestamp out of range"))?)
        }
        Type::DATE => {
            let day = i32::from_be_bytes(fixed(of, bytes)?).checked_add(EPOCH_DAYS);
            Parameter::Date(day.ok_or_else(|| Failure::error("22008", "date out of range"))?)
        }
        Type::TIME => {
            let micros = i64::from_be_bytes(fixed(of, bytes)?);
            if !(0..DAY_MICROS).contains(&micros) {
                return Err(Failure::error(
                    "22008",
                    "time out of range: a day has times from 00:00 to 23:59:59.999999",
                ));
            }
            Parameter::Time(micros)
        }
        Type::INTERVAL => interval(fixed(of, bytes)?)?,
        Type::BYTEA => Parameter::Bytes(bytes.as_ref().into()),
        Type::UUID => Parameter::from(uuid(fixed(of, bytes)?).as_str()),
        Type::JSONB => match bytes.first() {
            Some(1) => Parameter::from(utf8(&bytes[1..])?),
            _ => return Err(malformed(of)),
        },
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::JSON | Type::UNKNOWN => {
            Parameter::from(utf8(bytes)?)
        }
        _ => return Err(no_parameter(of)),
    })
}

/// Microseconds, days and months, from the longest number to the shortest.
fn interval(bytes: [u8; 16]) -> Result<Parameter, Failure> {
    let mut bytes = bytes.as_slice();
    let (micros, days, months) = (bytes.get_i64(), bytes.get_i32(), bytes.get_i32());
    let nanos = micros.checked_mul(1_000).ok_or_else(|| Failure::error("22008", "interval out of range"))?;
    Ok(Parameter::Interval { months, days, nanos })
}

/// The items of a list written as text.
fn several(item: &Type, list: &str) -> Result<Given, Failure> {
    let texts = self::list(list).ok_or_else(|| malformed_list(list))?;
    let value = |value: Option<String>| match value {
        Some(value) => text(item, value.as_bytes()),
        None => Ok(Parameter::Null),
    };
    texts.into_iter().map(value).collect::<Result<_, _>>().map(Given::Many)
}

/// The items, each a text, of a list written as text.
pub(super) fn texts(list: &str) -> Result<Vec<Parameter>, Failure> {
    let items = self::list(list).ok_or_else(|| malformed_list(list))?;
    Ok(items.into_iter().map(|item| item.as_deref().map_or(Parameter::Null, Parameter::from)).collect())
}

/// The items of a list of one dimension: how many dimensions, whether any item is null, the items' type, how many there
/// are, where counting begins; then each with its length.
fn binary_list(item: &Type, mut bytes: Bytes) -> Result<Given, Failure> {
    let wrong = || malformed(item);
    let word = |bytes: &mut Bytes| bytes.try_get_i32().map_err(|_| wrong());
    let [dimensions, _has_null, _item_oid] = [word(&mut bytes)?, word(&mut bytes)?, word(&mut bytes)?];
    let count = match dimensions {
        0 => 0,
        1 => word(&mut bytes)?,
        _ => return Err(Failure::error("0A000", "a list of lists cannot be a parameter")),
    };
    if dimensions == 1 {
        word(&mut bytes)?;
    }
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(match word(&mut bytes)? {
            -1 => Parameter::Null,
            length => {
                let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len()).ok_or_else(wrong)?;
                binary(item, &bytes.split_to(length))?
            }
        });
    }
    if bytes.is_empty() { Ok(Given::Many(items)) } else { Err(wrong()) }
}

fn malformed_list(text: &str) -> Failure {
    Failure::error("22P02", format!("malformed array literal: {text:?}"))
}

/// The items of a list written as `{a,"b c",NULL}`; lists of lists are none.
pub(super) fn list(text: &str) -> Option<Vec<Option<String>>> {
    let body = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut items = Vec::new();
    let mut rest = body.chars().peekable();
    if body.is_empty() {
        return Some(items);
    }
    loop {
        while rest.next_if(|next| next.is_whitespace()).is_some() {}
        items.push(if rest.next_if_eq(&'"').is_some() { Some(quoted(&mut rest)?) } else { bare(&mut rest)? });
        while rest.next_if(|next| next.is_whitespace()).is_some() {}
        match rest.next() {
            Some(',') => {}
            Some(_) => return None,
            None => return Some(items),
        }
    }
}

/// An item of a list, up to the quotation mark that ends it.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut item = String::new();
    loop {
        match rest.next()? {
            '\\' => item.push(rest.next()?),
            '"' => return Some(item),
            other => item.push(other),
        }
    }
}

/// An item of a list without quotation marks, without the blanks that end it. An item that is only blanks is malformed.
fn bare(rest: &mut Peekable<Chars<'_>>) -> Option<Option<String>> {
    let (mut item, mut length, mut is_escaped) = (String::new(), 0, false);
    while let Some(next) = rest.next_if(|next| *next != ',') {
        match next {
            '{' | '}' | '"' => return None,
            '\\' => {
                item.push(rest.next()?);
                is_escaped = true;
                length = item.len();
            }
            blank if blank.is_whitespace() => item.push(blank),
            other => {
                item.push(other);
                length = item.len();
            }
        }
    }
    item.truncate(length);
    if item.is_empty() {
        return None;
    }
    Some(Some(item).filter(|item| is_escaped || !item.eq_ignore_ascii_case("null")))
}

fn decimal((value, scale): (i128, i8)) -> Parameter {
    Parameter::Decimal { value, scale }
}

/// The number that `text` says: one of type float4 is the float4 next to it, as a column of that type has it.
fn float(of: &Type, text: &str) -> Option<Result<f64, Failure>> {
    let text = text.trim();
    let number = match *of {
        Type::FLOAT4 => f64::from(text.parse::<f32>().ok()?),
        _ => text.parse::<f64>().ok()?,
    };
    let is_beyond = number.is_infinite() && text.contains(|character: char| character.is_ascii_digit());
    let beyond = || Failure::error("22003", format!("{text:?} is out of range for type {of}"));
    Some(if is_beyond { Err(beyond()) } else { Ok(number) })
}

fn fixed<const N: usize>(of: &Type, bytes: &[u8]) -> Result<[u8; N], Failure> {
    bytes.try_into().map_err(|_| malformed(of))
}

fn malformed(of: &Type) -> Failure {
    Failure::error("22P03", format!("incorrect binary data format for type {of}"))
}

fn no_parameter(of: &Type) -> Failure {
    Failure::error("0A000", format!("a value of type {of} cannot be a parameter"))
        .with_hint("pass it as text and cast it in the statement")
}

fn utf8(bytes: &[u8]) -> Result<&str, Failure> {
    let invalid = || Failure::error("22021", "invalid byte sequence for encoding \"UTF8\"");
    let text = std::str::from_utf8(bytes).map_err(|_| invalid())?;
    if text.contains('\0') { Err(invalid()) } else { Ok(text) }
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A time as clients write it; without a zone it is in UTC.
fn instant(text: &str) -> Option<Timestamp> {
    let utc: Tz = "UTC".parse().ok()?;
    let text = text.trim();
    // Postgres writes a zone of whole hours as `+02`.
    let zone = text.rfind(['+', '-']).filter(|at| *at > 10).map(|at| &text[at + 1..]);
    let is_short = zone.is_some_and(|zone| zone.len() == 2 && zone.bytes().all(|byte| byte.is_ascii_digit()));
    let full = if is_short { format!("{text}:00") } else { text.to_owned() };
    let instant = string_to_datetime(&utc, &full).ok()?;
    Timestamp::from_micros(instant.timestamp_micros()).ok()
}

/// Bytes as `\x68656c6c6f`, or with `\ooo` for what is no plain character.
fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("\\x") {
        let pairs = digits.as_bytes().chunks(2);
        return pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
            .collect();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'\\' {
            bytes.push(*first);
            rest = tail;
        } else if tail.first() == Some(&b'\\') {
            bytes.push(b'\\');
            rest = &tail[1..];
        } else {
            let octal = tail.get(..3)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(octal).ok()?, 8).ok()?);
            rest = &tail[3..];
        }
    }
    Some(bytes)
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
