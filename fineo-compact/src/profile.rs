//! What a metric's new records bear: the evidence for columns, for the order of rows and for the report.

use fineo_schema::{FieldType, RecordValue};

use crate::{
    names::Names,
    text_class::{TextClass, classify},
};

/// Bits of a sketch: counts some ten thousand distinct values well, and says "many" beyond.
const SKETCH_WORDS: usize = 1024;
const SKETCH_BITS: f64 = 65_536.0;
/// So many bits are listed before there is a place for every one: most names have few values, and there may be a million names.
const LISTED_MAX: usize = 32;

/// What was found under one stored name.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameProfile {
    /// How many records bear it.
    pub(crate) cells: u64,
    /// How many values are written as a boolean is.
    pub(crate) booleans: u64,
    /// How many are written as a long is.
    pub(crate) longs: u64,
    /// How many are written as a double is.
    pub(crate) doubles: u64,
    /// How many are numbers, however they are written.
    pub(crate) numbers: u64,
    /// When the first of the records arrived, in microseconds.
    pub(crate) first: i64,
    /// Which values there are; only of names whose values are no plain numbers.
    distinct: Sketch,
}

/// Linear counting: a bit for each hash.
#[derive(Debug, Clone)]
enum Sketch {
    /// The bits that are set, in order.
    Few(Vec<u16>),
    Many(Box<[u64; SKETCH_WORDS]>),
}

impl Default for Sketch {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Sketch {
    fn add(&mut self, bit: u16) {
        match self {
            Self::Many(words) => words[usize::from(bit >> 6)] |= 1 << (bit & 63),
            Self::Few(bits) => match bits.binary_search(&bit) {
                Ok(_) => {}
                Err(place) if bits.len() < LISTED_MAX => bits.insert(place, bit),
                Err(_) => {
                    let listed = std::mem::take(bits);
                    *self = Self::Many(Box::new([0; SKETCH_WORDS]));
                    listed.into_iter().chain([bit]).for_each(|bit| self.add(bit));
                }
            },
        }
    }

    fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Few(bits)) => bits.iter().for_each(|bit| self.add(*bit)),
            (Self::Many(ours), Self::Many(theirs)) => {
                ours.iter_mut().zip(&**theirs).for_each(|(ours, theirs)| *ours |= theirs);
            }
            (Self::Few(bits), Self::Many(_)) => {
                let listed = std::mem::take(bits);
                *self = other.clone();
                listed.into_iter().for_each(|bit| self.add(bit));
            }
        }
    }

    /// None where nothing was counted.
    fn estimate(&self) -> Option<f64> {
        let ones = match self {
            Self::Few(bits) => bits.len() as u32,
            Self::Many(words) => words.iter().map(|word| word.count_ones()).sum(),
        };
        let zeros = SKETCH_BITS - f64::from(ones);
        let count = if zeros < 1.0 { f64::INFINITY } else { -SKETCH_BITS * (zeros / SKETCH_BITS).ln() };
        (ones > 0).then_some(count)
    }
}

impl NameProfile {
    fn count(&mut self, arrived_at: i64) {
        self.first = if self.cells == 0 { arrived_at } else { self.first.min(arrived_at) };
        self.cells += 1;
    }

    /// Takes in a text as it was sent.
    pub(crate) fn text(&mut self, text: &str, arrived_at: i64) {
        self.count(arrived_at);
        match classify(text) {
            TextClass::Boolean => self.booleans += 1,
            TextClass::Short => {
                self.longs += 1;
                self.doubles += 1;
                self.numbers += 1;
            }
            TextClass::Long => {
                self.longs += 1;
                self.numbers += 1;
            }
            TextClass::Double => {
                self.doubles += 1;
                self.numbers += 1;
            }
            TextClass::Number => self.numbers += 1,
            TextClass::Other => self.word(text.as_bytes()),
        }
    }

    /// Takes in a declared field's value.
    pub(crate) fn value(&mut self, value: Option<RecordValue<'_>>, text: Option<&str>, arrived_at: i64) {
        match (value, text) {
            (Some(RecordValue::Text(text)), _) | (None, Some(text)) => self.text(text, arrived_at),
            (Some(RecordValue::Boolean(_)), _) => {
                self.count(arrived_at);
                self.booleans += 1;
            }
            (Some(RecordValue::Integer(_)), _) => {
                self.count(arrived_at);
                self.longs += 1;
                self.doubles += 1;
                self.numbers += 1;
            }
            (Some(RecordValue::Float(_) | RecordValue::Double(_) | RecordValue::Decimal(_)), _) => {
                self.count(arrived_at);
                self.doubles += 1;
                self.numbers += 1;
            }
            (Some(RecordValue::Bytes(_)) | None, _) => self.count(arrived_at),
        }
    }

    fn word(&mut self, bytes: &[u8]) {
        self.distinct.add((hash(bytes) >> 48) as u16);
    }

    /// Adds what another found under the same or another name of one field.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.cells == 0 {
            return;
        }
        self.first = if self.cells == 0 { other.first } else { self.first.min(other.first) };
        self.cells += other.cells;
        self.booleans += other.booleans;
        self.longs += other.longs;
        self.doubles += other.doubles;
        self.numbers += other.numbers;
        self.distinct.merge(&other.distinct);
    }

    /// The narrowest type that nearly all values have, most of them exactly.
    pub(crate) fn narrowest(&self) -> FieldType {
        let is_nearly_all = |count: u64| count.saturating_mul(20) >= self.cells.saturating_mul(19);
        if is_nearly_all(self.booleans) {
            FieldType::Boolean
        } else if is_nearly_all(self.longs) {
            FieldType::Long
        } else if self.numbers.saturating_mul(10) >= self.cells.saturating_mul(9) && self.doubles * 2 >= self.cells {
            FieldType::Double
        } else {
            FieldType::String
        }
    }

    /// Whether a column of `field_type` would hold nearly all values.
    pub(crate) fn suits(&self, field_type: FieldType) -> bool {
        let count = match field_type {
            FieldType::Boolean => self.booleans,
            FieldType::Long => self.longs,
            FieldType::Double => self.numbers,
            FieldType::String => return self.narrowest() == FieldType::String,
            FieldType::Int
            | FieldType::Float
            | FieldType::Decimal { .. }
            | FieldType::Timestamp
            | FieldType::Date
            | FieldType::Bytes
            | FieldType::Json => return false,
        };
        count.saturating_mul(10) >= self.cells.saturating_mul(9)
    }

    /// How many distinct words there are, about; none where most values are no words.
    pub(crate) fn distinct_words(&self) -> Option<f64> {
        let words = self.cells - self.booleans - self.numbers;
        if words.saturating_mul(10) < self.cells.saturating_mul(9) { None } else { self.distinct.estimate() }
    }
}

/// What a metric's new records bear.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    /// How many records were looked at.
    pub(crate) records: u64,
    /// By the number of the name.
    pub(crate) names: Vec<NameProfile>,
}

impl Profile {
    /// The profile of the name with this number.
    pub(crate) fn of(&mut self, name: u32, names: &Names) -> &mut NameProfile {
        if self.names.len() <= name as usize {
            self.names.resize_with(names.len(), NameProfile::default);
        }
        &mut self.names[name as usize]
    }
}

/// A hash that is the same on every machine and in every build.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = u64::try_from(bytes.len()).unwrap_or(u64::MAX).wrapping_mul(MULTIPLIER);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
        state ^= state >> 29;
    }
    state.wrapping_mul(MULTIPLIER)
}

#[cfg(test)]
mod tests;
