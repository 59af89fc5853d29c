//! Writes a record in one pass over its cells and one over the declared fields.

use std::{cell::RefCell, sync::Arc};

use super::{
    Cell, Cells, RecordHead, RecordLayout,
    number::{is_canonical_double, is_canonical_float, is_canonical_integer, short},
};
use crate::{
    FieldType, Slot,
    avro::{write_bytes, write_long},
    coerce,
};

const NULL: u8 = 0;
const PRESENT: u8 = 2;
/// The branch of a number of few digits.
const SHORT: u8 = 4;

/// The cell that fills a declared field, so far.
#[derive(Debug, Clone, Copy)]
struct Best {
    rank: u32,
    cell: u32,
}

const NOBODY: Best = Best { rank: u32::MAX, cell: u32::MAX };

thread_local! {
    /// Kept between records, so that writing one allocates nothing.
    static BEST: RefCell<Vec<Best>> = const { RefCell::new(Vec::new()) };
}

impl RecordLayout {
    /// Appends a record to `out`.
    ///
    /// Of several cells of one declared field the best-ranked name fills it and the others stay, as sent,
    /// among the undeclared ones. Cells whose value does not fit keep their text.
    pub fn write(&self, head: &RecordHead<'_>, cells: &(impl Cells + ?Sized), out: &mut Vec<u8>) {
        BEST.with_borrow_mut(|best| {
            best.clear();
            best.resize(self.fields.len(), NOBODY);
            let mut unknown = 0_i64;
            for (number, slot) in (0_u32..).zip(cells.slots()) {
                unknown += i64::from(!fills(best, number, slot));
            }
            write_bytes(head.alias.as_bytes(), out);
            write_long(head.timestamp.micros(), out);
            write_long(head.written_at.micros(), out);
            write_unknown(unknown, best, cells, out);
            // The id stands beside the record.
            out.push(NULL);
            if head.content.0 == head.id.0 {
                out.push(NULL);
            } else {
                out.push(PRESENT);
                out.extend_from_slice(&head.content.0);
            }
            for ((chosen, (_, field_type)), names) in best.iter().zip(&self.fields).zip(&self.names) {
                if chosen.cell == NOBODY.cell {
                    out.push(NULL);
                    continue;
                }
                write_instance(&cells.cell(chosen.cell as usize), *field_type, names, out);
            }
        });
    }
}

/// Notes `cell` as the one of its field if it is the best so far; whether the number of unknown cells stays.
fn fills(best: &mut [Best], number: u32, slot: Option<Slot>) -> bool {
    let Some(slot) = slot else { return false };
    let Some(chosen) = best.get_mut(slot.field as usize) else { return false };
    let was_empty = chosen.cell == NOBODY.cell;
    if was_empty || slot.rank < chosen.rank {
        *chosen = Best { rank: slot.rank, cell: number };
    }
    was_empty
}

fn write_unknown(count: i64, best: &[Best], cells: &(impl Cells + ?Sized), out: &mut Vec<u8>) {
    if count > 0 {
        write_long(count, out);
        for (number, slot) in (0_u32..).zip(cells.slots()) {
            let chosen = slot.and_then(|slot| best.get(slot.field as usize));
            if chosen.is_none_or(|chosen| chosen.cell != number) {
                let cell = cells.cell(number as usize);
                write_bytes(cell.name.as_bytes(), out);
                write_bytes(cell.text.as_bytes(), out);
            }
        }
    }
    write_long(0, out);
}

fn write_instance(cell: &Cell<'_>, field_type: FieldType, names: &[Arc<str>], out: &mut Vec<u8>) {
    out.push(PRESENT);
    match cell.slot.filter(|slot| (slot.rank as usize) < names.len()) {
        Some(slot) => {
            debug_assert_eq!(*names[slot.rank as usize], *cell.name, "a slot is that of its name");
            write_bytes(&[], out);
            out.push(PRESENT);
            write_long(slot.rank.into(), out);
        }
        None => {
            write_bytes(cell.name.as_bytes(), out);
            out.push(NULL);
        }
    }
    let keeps_text = !write_value(cell.text, field_type, out);
    if keeps_text {
        out.push(PRESENT);
        write_bytes(cell.text.as_bytes(), out);
    } else {
        out.push(NULL);
    }
}

/// Writes the typed value, null when the text does not fit; whether the text can be rebuilt from it.
fn write_value(text: &str, field_type: FieldType, out: &mut Vec<u8>) -> bool {
    match field_type {
        FieldType::String => write_some(Some(text), out, |text, out| write_bytes(text.as_bytes(), out)),
        FieldType::Json => write_some(coerce::json(text), out, |text, out| write_bytes(text.as_bytes(), out)),
        FieldType::Boolean => {
            write_some(coerce::boolean(text), out, |value, out| out.push(u8::from(value)))
                && matches!(text, "true" | "false")
        }
        FieldType::Int => {
            write_some(coerce::int(text), out, |value, out| write_long(value.into(), out)) && is_canonical_integer(text)
        }
        FieldType::Long => write_some(coerce::long(text), out, write_long) && is_canonical_integer(text),
        FieldType::Float | FieldType::Double if write_short(text, field_type, out) => true,
        FieldType::Float => {
            write_some(coerce::float(text), out, |value, out| out.extend_from_slice(&value.to_le_bytes()))
                && is_canonical_float(text)
        }
        FieldType::Double => {
            write_some(coerce::double(text), out, |value, out| out.extend_from_slice(&value.to_le_bytes()))
                && is_canonical_double(text)
        }
        FieldType::Decimal { precision, scale } => {
            let value = coerce::decimal(text, precision, scale);
            write_some(value, out, write_unscaled) && is_canonical_decimal(text, scale.unsigned_abs())
        }
        FieldType::Timestamp => {
            write_some(coerce::timestamp(text), out, write_long);
            false
        }
        FieldType::Date => {
            write_some(coerce::date(text), out, |value, out| write_long(value.into(), out));
            false
        }
        FieldType::Bytes => {
            write_some(coerce::bytes(text), out, |value, out| write_bytes(&value, out)) && text.len().is_multiple_of(4)
        }
    }
}

/// Writes the number that `text` is, where that gives the text back and is what a float or a double would hold.
fn write_short(text: &str, field_type: FieldType, out: &mut Vec<u8>) -> bool {
    let short = short(text).filter(|short| field_type == FieldType::Double || short.fits_float());
    let Some(short) = short else { return false };
    out.push(SHORT);
    write_long(short.unscaled, out);
    write_long(short.places.into(), out);
    true
}

fn write_some<T>(value: Option<T>, out: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) -> bool {
    match value {
        Some(value) => {
            out.push(PRESENT);
            write(value, out);
            true
        }
        None => {
            out.push(NULL);
            false
        }
    }
}

/// A decimal's unscaled value as the shortest two's complement.
fn write_unscaled(value: i128, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let is_spare = |pair: &[u8]| pair[0] == sign && (pair[1] & 0x80) == (sign & 0x80);
    let spare = bytes.windows(2).take_while(|pair| is_spare(pair)).count();
    write_bytes(&bytes[spare..], out);
}

fn is_canonical_decimal(text: &str, scale: u8) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let has_point = whole.len() != text.len();
    let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    let whole_is_plain = is_canonical_integer(whole) || whole == "-0" && !is_zero;
    whole_is_plain
        && has_point == (scale > 0)
        && fraction.len() == usize::from(scale)
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}
