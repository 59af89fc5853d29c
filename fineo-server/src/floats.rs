//! NaN and the infinities of a result: one word for each, at every door and as `fineo sql` writes them.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Schema},
    error::ArrowError,
    json::{
        Encoder, EncoderFactory, EncoderOptions,
        writer::{NullableEncoder, make_encoder},
    },
    util::display::{ArrayFormatter, FormatOptions},
};

/// The word for a value that has no digits.
pub(crate) fn word(value: f64) -> Option<&'static str> {
    match value {
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        value if value.is_nan() => Some("NaN"),
        _ => None,
    }
}

/// The words of the values of `array`; none where it has no floats, or digits for all of them.
fn words(array: &dyn Array) -> Option<Vec<Option<&'static str>>> {
    let has_digits = match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().values().iter().all(|value| value.is_finite()),
        DataType::Float32 => array.as_primitive::<Float32Type>().values().iter().all(|value| value.is_finite()),
        _ => true,
    };
    if has_digits {
        return None;
    }
    let words: Vec<_> = match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().values().iter().map(|value| word(*value)).collect(),
        DataType::Float32 => {
            array.as_primitive::<Float32Type>().values().iter().map(|value| word(f64::from(*value))).collect()
        }
        _ => return None,
    };
    words.iter().any(Option::is_some).then_some(words)
}

/// How arrays are written that are no concern of [`JsonWords`].
static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);

/// JSON has no number for these values: it gets the words, so that they are not taken for null.
#[derive(Debug)]
pub(crate) struct JsonWords;

impl EncoderFactory for JsonWords {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let Some(words) = words(array) else { return Ok(None) };
        let numbers = make_encoder(field, array, &PLAIN)?;
        Ok(Some(NullableEncoder::new(Box::new(Mixed { words, numbers }), array.nulls().cloned())))
    }
}

/// Numbers among which are some that JSON does not have.
struct Mixed<'a> {
    words: Vec<Option<&'static str>>,
    numbers: NullableEncoder<'a>,
}

impl Encoder for Mixed<'_> {
    fn encode(&mut self, idx: usize, out: &mut Vec<u8>) {
        match self.words[idx] {
            Some(word) => {
                out.push(b'"');
                out.extend_from_slice(word.as_bytes());
                out.push(b'"');
            }
            None => self.numbers.encode(idx, out),
        }
    }
}

/// `batch` with columns of text in the place of floats that have such values.
pub(crate) fn in_words(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch.columns().iter().any(|column| words(column).is_some()) {
        return Ok(batch.clone());
    }
    let mut fields: Vec<FieldRef> = batch.schema().fields().iter().cloned().collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for (field, column) in fields.iter_mut().zip(&mut columns) {
        let Some(words) = words(column) else { continue };
        *column = Arc::new(texts(column, &words)?);
        *field = Arc::new(Field::new(field.name(), DataType::Utf8, true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn texts(column: &dyn Array, words: &[Option<&str>]) -> Result<StringArray, ArrowError> {
    let options = FormatOptions::default();
    let digits = ArrayFormatter::try_new(column, &options)?;
    let text = |(row, word): (usize, &Option<&str>)| {
        column.is_valid(row).then(|| word.map_or_else(|| digits.value(row).to_string(), str::to_owned))
    };
    Ok(words.iter().enumerate().map(text).collect())
}
