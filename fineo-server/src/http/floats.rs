//! Floats of a result as JSON, which has no number for some of them.

use std::sync::LazyLock;

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, FieldRef, Float32Type, Float64Type},
    error::ArrowError,
    json::{
        Encoder, EncoderFactory, EncoderOptions,
        writer::{NullableEncoder, make_encoder},
    },
};

/// How arrays are written that are no concern of [`Floats`].
static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);

/// Writes NaN and the infinities as the texts that `fineo sql` writes, so that they are not taken for null.
#[derive(Debug)]
pub(super) struct Floats;

impl EncoderFactory for Floats {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let texts: Vec<_> = match array.data_type() {
            DataType::Float64 => {
                array.as_primitive::<Float64Type>().values().iter().map(|value| text(*value)).collect()
            }
            DataType::Float32 => {
                array.as_primitive::<Float32Type>().values().iter().map(|value| text(f64::from(*value))).collect()
            }
            _ => return Ok(None),
        };
        if texts.iter().all(Option::is_none) {
            return Ok(None);
        }
        let numbers = make_encoder(field, array, &PLAIN)?;
        Ok(Some(NullableEncoder::new(Box::new(Mixed { texts, numbers }), array.nulls().cloned())))
    }
}

fn text(value: f64) -> Option<&'static [u8]> {
    match value {
        f64::INFINITY => Some(b"\"Infinity\""),
        f64::NEG_INFINITY => Some(b"\"-Infinity\""),
        value if value.is_nan() => Some(b"\"NaN\""),
        _ => None,
    }
}

/// Numbers among which are some that JSON does not have.
struct Mixed<'a> {
    texts: Vec<Option<&'static [u8]>>,
    numbers: NullableEncoder<'a>,
}

impl Encoder for Mixed<'_> {
    fn encode(&mut self, idx: usize, out: &mut Vec<u8>) {
        match self.texts[idx] {
            Some(text) => out.extend_from_slice(text),
            None => self.numbers.encode(idx, out),
        }
    }
}
