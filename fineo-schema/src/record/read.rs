//! Reads a record back into names and texts.

use fineo_core::{ContentHash, Error, EventId, Result, Timestamp};

use super::{
    RecordHead, RecordLayout, RecordValue, RecordVisitor, ValueVisitor,
    number::{write_double, write_float, write_integer},
    wire::Reader,
};
use crate::{FieldType, coerce, coerce::write_decimal};

impl RecordLayout {
    /// Reads a record that was written under this layout: the head and then every cell, as sent, go to
    /// `visit`.
    ///
    /// # Errors
    ///
    /// `Corrupt` when `bytes` are no such record; `visit` may have seen some of it.
    pub fn read<'a>(&self, bytes: &'a [u8], visit: &mut impl RecordVisitor) -> Result<RecordHead<'a>> {
        let mut reader = Reader::new(bytes);
        let alias = reader.text()?;
        let timestamp = read_time(&mut reader)?;
        let written_at = read_time(&mut reader)?;
        // The ids stand behind the undeclared cells: those are skipped here and visited later.
        let mut unknown = reader;
        skip_unknown(&mut reader)?;
        let id = if reader.is_present()? { EventId(reader.fixed()?) } else { EventId::default() };
        let content = if reader.is_present()? { ContentHash(reader.fixed()?) } else { ContentHash::default() };
        let head = RecordHead { alias, timestamp, written_at, id, content };
        visit.head(&head);
        visit_unknown(&mut unknown, visit)?;
        let mut scratch = String::new();
        for (_, field_type) in &self.fields {
            if !reader.is_present()? {
                continue;
            }
            let name = reader.text()?;
            scratch.clear();
            let has_value = reader.is_present()?;
            let text = if has_value { read_value(&mut reader, *field_type, &mut scratch)? } else { None };
            if reader.is_present()? {
                visit.cell(name, reader.text()?);
            } else if has_value {
                visit.cell(name, text.unwrap_or(&scratch));
            } else {
                return Err(Error::corrupt("a field of a record has neither a value nor a text"));
            }
        }
        if !reader.is_at_end() {
            return Err(Error::corrupt("an avro record is followed by something else"));
        }
        Ok(head)
    }
}

impl RecordLayout {
    /// Reads what every record has, of a record of any layout.
    ///
    /// # Errors
    ///
    /// `Corrupt` when `bytes` are no record.
    pub fn read_head(bytes: &[u8]) -> Result<RecordHead<'_>> {
        let mut reader = Reader::new(bytes);
        let (alias, timestamp, written_at) = (reader.text()?, read_time(&mut reader)?, read_time(&mut reader)?);
        skip_unknown(&mut reader)?;
        let (id, content) = read_ids(&mut reader)?;
        Ok(RecordHead { alias, timestamp, written_at, id, content })
    }

    /// Reads a record that was written under this layout: its cells go to `visit`, values as values.
    ///
    /// # Errors
    ///
    /// `Corrupt` when `bytes` are no such record; `visit` may have seen some of it.
    pub fn read_values<'a>(&self, bytes: &'a [u8], visit: &mut impl ValueVisitor<'a>) -> Result<RecordHead<'a>> {
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
        let (id, content) = read_ids(&mut reader)?;
        for (index, (_, field_type)) in self.fields.iter().enumerate() {
            if !reader.is_present()? {
                continue;
            }
            let name = reader.text()?;
            let value = if reader.is_present()? { Some(typed_value(&mut reader, *field_type)?) } else { None };
            let text = if reader.is_present()? { Some(reader.text()?) } else { None };
            if value.is_none() && text.is_none() {
                return Err(Error::corrupt("a field of a record has neither a value nor a text"));
            }
            visit.declared(index, name, value, text);
        }
        if !reader.is_at_end() {
            return Err(Error::corrupt("an avro record is followed by something else"));
        }
        Ok(RecordHead { alias, timestamp, written_at, id, content })
    }
}

fn read_ids(reader: &mut Reader<'_>) -> Result<(EventId, ContentHash)> {
    let id = if reader.is_present()? { EventId(reader.fixed()?) } else { EventId::default() };
    let content = if reader.is_present()? { ContentHash(reader.fixed()?) } else { ContentHash::default() };
    Ok((id, content))
}

fn typed_value<'a>(reader: &mut Reader<'a>, field_type: FieldType) -> Result<RecordValue<'a>> {
    Ok(match field_type {
        FieldType::String | FieldType::Json => RecordValue::Text(reader.text()?),
        FieldType::Boolean => match reader.byte()? {
            0 => RecordValue::Boolean(false),
            1 => RecordValue::Boolean(true),
            byte => return Err(Error::corrupt("not an avro boolean").with("byte", byte)),
        },
        FieldType::Int | FieldType::Long | FieldType::Timestamp | FieldType::Date => {
            RecordValue::Integer(reader.long()?)
        }
        FieldType::Float => RecordValue::Float(f32::from_le_bytes(reader.fixed()?)),
        FieldType::Double => RecordValue::Double(f64::from_le_bytes(reader.fixed()?)),
        FieldType::Decimal { .. } => RecordValue::Decimal(unscaled(reader.bytes()?)?),
        FieldType::Bytes => RecordValue::Bytes(reader.bytes()?),
    })
}

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

/// Reads the value; answers its text where it is stored, else writes it to `scratch`.
fn read_value<'a>(reader: &mut Reader<'a>, field_type: FieldType, scratch: &mut String) -> Result<Option<&'a str>> {
    match field_type {
        FieldType::String | FieldType::Json => return Ok(Some(reader.text()?)),
        FieldType::Boolean => match reader.byte()? {
            0 => return Ok(Some("false")),
            1 => return Ok(Some("true")),
            byte => return Err(Error::corrupt("not an avro boolean").with("byte", byte)),
        },
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
    Ok(None)
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
