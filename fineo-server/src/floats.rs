//! What neither JSON nor CSV has a form for, at every door as `fineo sql` writes it and as events bear it: one word each
//! for NaN and the infinities, base64 for bytes; and in CSV, JSON for lists and structures.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewArray, PrimitiveArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Float16Type, Float32Type, Float64Type, Schema},
    error::ArrowError,
    json::{
        Encoder, EncoderFactory, EncoderOptions,
        writer::{NullableEncoder, make_encoder},
    },
    util::display::{ArrayFormatter, FormatOptions},
};
use base64::{Engine, engine::general_purpose::STANDARD};

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
    match array.data_type() {
        DataType::Float64 => words_of(array.as_primitive::<Float64Type>()),
        DataType::Float32 => words_of(array.as_primitive::<Float32Type>()),
        DataType::Float16 => words_of(array.as_primitive::<Float16Type>()),
        _ => None,
    }
}

fn words_of<T: ArrowPrimitiveType<Native: Into<f64>>>(array: &PrimitiveArray<T>) -> Option<Vec<Option<&'static str>>> {
    let words = || array.values().iter().map(|value| word((*value).into()));
    words().any(|word| word.is_some()).then(|| words().collect())
}

/// `array` in one form of bytes; none where it has others than bytes.
fn bytes(array: &dyn Array) -> Result<Option<BinaryViewArray>, ArrowError> {
    match array.data_type() {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Ok(Some(cast(array, &DataType::BinaryView)?.as_binary_view().clone()))
        }
        _ => Ok(None),
    }
}

/// How arrays are written that are no concern of [`JsonWords`].
static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);

/// JSON has no number for these values: it gets the words, so that they are not taken for null. Bytes are base64.
#[derive(Debug)]
pub(crate) struct JsonWords;

impl EncoderFactory for JsonWords {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        if let Some(bytes) = bytes(array)? {
            return Ok(Some(NullableEncoder::new(Box::new(Base64(bytes)), array.nulls().cloned())));
        }
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

/// Bytes, which are no concern of JSON.
struct Base64(BinaryViewArray);

impl Encoder for Base64 {
    fn encode(&mut self, idx: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(STANDARD.encode(self.0.value(idx)).as_bytes());
        out.push(b'"');
    }
}

/// Values that have parts, as JSON; none where the values of `array` have none.
fn nested(field: &FieldRef, array: &dyn Array) -> Result<Option<StringArray>, ArrowError> {
    if !array.data_type().is_nested() {
        return Ok(None);
    }
    let options = EncoderOptions::default().with_encoder_factory(Arc::new(JsonWords));
    let mut encoder = make_encoder(field, array, &options)?;
    let mut text = Vec::new();
    let json = (0..array.len()).map(|row| {
        text.clear();
        array.is_valid(row).then(|| {
            encoder.encode(row, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    Ok(Some(json.collect()))
}

/// `batch` with columns of text in the place of bytes, of floats that have such values, and of lists and structures.
pub(crate) fn in_words(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields: Vec<FieldRef> = batch.schema().fields().iter().cloned().collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for (field, column) in fields.iter_mut().zip(&mut columns) {
        if let Some(texts) = nested(field, column)? {
            *column = Arc::new(texts);
            *field = Arc::new(Field::new(field.name(), DataType::Utf8, true));
            continue;
        }
        *column = match (bytes(column)?, words(column)) {
            (Some(bytes), _) => {
                let texts = bytes.iter().map(|value| value.map(|value| STANDARD.encode(value)));
                Arc::new(texts.collect::<StringArray>())
            }
            (None, Some(words)) => Arc::new(texts(column, &words)?),
            (None, None) => continue,
        };
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
