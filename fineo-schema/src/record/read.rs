//! Reads a record back into names and texts.

use std::sync::Arc;

use fineo_core::{ContentHash, Error, EventId, Result, Timestamp};

use super::{
    RecordHead, RecordLayout, RecordValue, RecordVisitor, SentName, ValueVisitor,
    number::{Short, write_double, write_float, write_integer, write_short},
};
use crate::{FieldType, avro::Reader, coerce, coerce::write_decimal};

impl RecordLayout {
    /// Reads a record that was written under this layout: the head and then every cell, as sent, go to
    /// `visit`. `id` stands beside the record.
    ///
    /// # Errors
    ///
    /// `Corrupt` when `bytes` are no such record; `visit` may have seen some of it.
    pub fn read<'a>(&self, bytes: &'a [u8], id: EventId, visit: &mut impl RecordVisitor) -> Result<RecordHead<'a>> {
        let mut reader = Reader::new(bytes);
        let (alias, timestamp, written_at) = (reader.text()?, read_time(&mut reader)?, read_time(&mut reader)?);
        // The content hash stands behind the undeclared cells: those are skipped here and visited later.
        let mut unknown = reader;
        skip_unknown(&mut reader)?;
        let head = RecordHead { alias, timestamp, written_at, id, content: read_content(&mut reader, id)? };
        visit.head(&head);
        visit_unknown(&mut unknown, visit)?;
        let mut scratch = String::new();
        let mut next_slot = 0;
        for ((_, field_type), names) in self.fields.iter().zip(&self.names) {
            let first_slot = next_slot;
            next_slot += names.len();
            if !reader.is_present()? {
                continue;
            }
            let (name, rank) = read_name(&mut reader, names)?;
            let mut cell = |text: &str| match rank {
                Some(rank) => visit.declared(first_slot + rank, name, text),
                None => visit.cell(name, text),
            };
            scratch.clear();
            let found = read_value(&mut reader, *field_type, &mut scratch)?;
            let text = if reader.is_present()? { Some(reader.text()?) } else { None };
            match (text, found) {
                (Some(text), _) | (None, Found::Text(text)) => cell(text),
                (None, Found::Scratch) => cell(&scratch),
                (None, Found::Nothing) => return Err(no_value()),
            }
        }
        ends(&reader)?;
        Ok(head)
    }

    /// Reads what every record has, of a record of any layout. `id` stands beside the record.
    ///
    /// # Errors
    ///
    /// `Corrupt` when `bytes` are no record.
    pub fn read_head(bytes: &[u8], id: EventId) -> Result<RecordHead<'_>> {
        let mut reader = Reader::new(bytes);
        let (alias, timestamp, written_at) = (reader.text()?, read_time(&mut reader)?, read_time(&mut reader)?);
        skip_unknown(&mut reader)?;
        Ok(RecordHead { alias, timestamp, written_at, id, content: read_content(&mut reader, id)? })
    }

    /// Reads a record that was written under this layout: its cells go to `visit`, values as values. `id` stands
    /// beside the record.
    ///
    /// # Errors
    ///
    /// `Corrupt` when `bytes` are no such record; `visit` may have seen some of it.
    pub fn read_values<'a>(
        &'a self,
        bytes: &'a [u8],
        id: EventId,
        visit: &mut impl ValueVisitor<'a>,
    ) -> Result<RecordHead<'a>> {
        let mut reader = Reader::new(bytes);
        let (alias, timestamp, written_at) = (reader.text()?, read_time(&mut reader)?, read_time(&mut reader)?);
        loop {
            let count = reader.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let name = reader.text()?;
                visit.undeclared(name, reader.text()?);
            }
        }
        let content = read_content(&mut reader, id)?;
        let mut next_slot = 0;
        for (index, ((_, field_type), names)) in self.fields.iter().zip(&self.names).enumerate() {
            let first_slot = next_slot;
            next_slot += names.len();
            if !reader.is_present()? {
                continue;
            }
            let (text, rank) = read_name(&mut reader, names)?;
            let name = SentName { text, slot: rank.map(|rank| first_slot + rank) };
            let value = typed_value(&mut reader, *field_type)?;
            let text = if reader.is_present()? { Some(reader.text()?) } else { None };
            if value.is_none() && text.is_none() {
                return Err(no_value());
            }
            visit.declared(index, name, value, text);
        }
        ends(&reader)?;
        Ok(RecordHead { alias, timestamp, written_at, id, content })
    }
}

fn no_value() -> Error {
    Error::corrupt("a field of a record has neither a value nor a text")
}

fn ends(reader: &Reader<'_>) -> Result<()> {
    if reader.is_at_end() { Ok(()) } else { Err(Error::corrupt("an avro record is followed by something else")) }
}

/// The content hash behind the event's id: where it is not there it is the id.
#[inline]
fn read_content(reader: &mut Reader<'_>, id: EventId) -> Result<ContentHash> {
    if reader.is_present()? {
        let _: [u8; 16] = reader.fixed()?;
    }
    Ok(ContentHash(if reader.is_present()? { reader.fixed()? } else { id.0 }))
}

/// A field's name as sent, and its rank where it is one of `names`.
#[inline]
fn read_name<'n, 'a: 'n>(reader: &mut Reader<'a>, names: &'n [Arc<str>]) -> Result<(&'n str, Option<usize>)> {
    let name = reader.bytes()?;
    if !reader.is_present()? {
        let name = std::str::from_utf8(name).map_err(|_| Error::corrupt("the name of a field is not utf-8"))?;
        return Ok((name, None));
    }
    let rank = usize::try_from(reader.long()?).ok();
    let found = rank.and_then(|rank| Some((&**names.get(rank)?, Some(rank))));
    found.ok_or_else(|| Error::corrupt("a field of a record has no name of this rank"))
}

/// Which branch of a value's union follows.
enum Branch {
    Null,
    Value,
    Short(Short),
}

#[inline]
fn branch(reader: &mut Reader<'_>, field_type: FieldType) -> Result<Branch> {
    match reader.long()? {
        0 => Ok(Branch::Null),
        1 => Ok(Branch::Value),
        2 if matches!(field_type, FieldType::Float | FieldType::Double) => {
            let (unscaled, places) = (reader.long()?, reader.long()?);
            let places = u8::try_from(places).ok().filter(|places| *places <= Short::PLACES_MAX);
            let places = places.ok_or_else(|| Error::corrupt("a number of a record has too many places"))?;
            Ok(Branch::Short(Short { unscaled, places }))
        }
        branch => Err(Error::corrupt("an avro union has no such branch").with("branch", branch)),
    }
}

#[inline]
fn typed_value<'a>(reader: &mut Reader<'a>, field_type: FieldType) -> Result<Option<RecordValue<'a>>> {
    match branch(reader, field_type)? {
        Branch::Null => return Ok(None),
        Branch::Short(short) if field_type == FieldType::Float => {
            return Ok(Some(RecordValue::Float(short.to_float())));
        }
        Branch::Short(short) => return Ok(Some(RecordValue::Double(short.to_double()))),
        Branch::Value => {}
    }
    Ok(Some(match field_type {
        FieldType::String | FieldType::Json => RecordValue::Text(reader.text()?),
        FieldType::Boolean => RecordValue::Boolean(boolean(reader)?),
        FieldType::Int | FieldType::Long | FieldType::Timestamp | FieldType::Date => {
            RecordValue::Integer(reader.long()?)
        }
        FieldType::Float => RecordValue::Float(f32::from_le_bytes(reader.fixed()?)),
        FieldType::Double => RecordValue::Double(f64::from_le_bytes(reader.fixed()?)),
        FieldType::Decimal { .. } => RecordValue::Decimal(unscaled(reader.bytes()?)?),
        FieldType::Bytes => RecordValue::Bytes(reader.bytes()?),
    }))
}

#[inline]
fn boolean(reader: &mut Reader<'_>) -> Result<bool> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        byte => Err(Error::corrupt("not an avro boolean").with("byte", byte)),
    }
}

#[inline]
fn read_time(reader: &mut Reader<'_>) -> Result<Timestamp> {
    Timestamp::from_micros(reader.long()?).map_err(|_| Error::corrupt("a time of a record is out of range"))
}

fn skip_unknown(reader: &mut Reader<'_>) -> Result<()> {
    loop {
        let count = reader.block()?;
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            reader.bytes()?;
            reader.bytes()?;
        }
    }
}

fn visit_unknown(reader: &mut Reader<'_>, visit: &mut impl RecordVisitor) -> Result<()> {
    loop {
        let count = reader.block()?;
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            let name = reader.text()?;
            visit.cell(name, reader.text()?);
        }
    }
}

/// Where the text of a value is.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    Scratch,
}

/// Reads the value; answers its text where it is stored, else writes it to `scratch`.
fn read_value<'a>(reader: &mut Reader<'a>, field_type: FieldType, scratch: &mut String) -> Result<Found<'a>> {
    match branch(reader, field_type)? {
        Branch::Null => return Ok(Found::Nothing),
        Branch::Short(short) => {
            write_short(short, scratch);
            return Ok(Found::Scratch);
        }
        Branch::Value => {}
    }
    match field_type {
        FieldType::String | FieldType::Json => return Ok(Found::Text(reader.text()?)),
        FieldType::Boolean => return Ok(Found::Text(if boolean(reader)? { "true" } else { "false" })),
        FieldType::Int | FieldType::Long | FieldType::Timestamp | FieldType::Date => {
            write_integer(reader.long()?, scratch);
        }
        FieldType::Float => write_float(f32::from_le_bytes(reader.fixed()?), scratch),
        FieldType::Double => write_double(f64::from_le_bytes(reader.fixed()?), scratch),
        FieldType::Decimal { scale, .. } => {
            write_decimal(unscaled(reader.bytes()?)?, scale.unsigned_abs(), scratch);
        }
        FieldType::Bytes => coerce::write_base64(reader.bytes()?, scratch),
    }
    Ok(Found::Scratch)
}

fn unscaled(bytes: &[u8]) -> Result<i128> {
    if !(1..=16).contains(&bytes.len()) {
        return Err(Error::corrupt("an avro decimal has a length that none has").with("length", bytes.len()));
    }
    let is_negative = bytes[0] & 0x80 != 0;
    let mut wide = if is_negative { [0xff; 16] } else { [0; 16] };
    wide[16 - bytes.len()..].copy_from_slice(bytes);
    Ok(i128::from_be_bytes(wide))
}
