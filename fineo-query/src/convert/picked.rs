//! Which conversion holds for which row of a batch.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, StringViewArray},
    buffer::BooleanBuffer,
    compute::kernels::zip::zip,
    datatypes::{Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type},
};
use fineo_core::{Error, Result};
use fineo_schema::{Conversion, FieldType, coerce};

use super::affine::{Affine, Sent};

/// The conversions of one stored name, the first that holds first.
pub(crate) struct Conversions<'a>(Vec<(&'a Conversion, Affine)>);

/// The conversion of each row.
pub(crate) enum Picked<'a> {
    /// No row has any.
    None,
    /// Every row has this one.
    All(&'a Affine),
    /// Row by row.
    Each(Vec<Option<&'a Affine>>),
}

impl<'a> Conversions<'a> {
    pub(crate) fn new(conversions: &'a [Conversion]) -> Self {
        Self(conversions.iter().map(|conversion| (conversion, Affine::new(conversion))).collect())
    }

    /// Whether some ask for a row's time.
    pub(crate) fn are_timed(&self) -> bool {
        self.0.iter().any(|(conversion, _)| conversion.from.is_some() || conversion.to.is_some())
    }

    /// Whether some ask for the metric's name as sent.
    pub(crate) fn are_named(&self) -> bool {
        self.0.iter().any(|(conversion, _)| conversion.metric_name.is_some())
    }

    /// The first that holds for each of `rows`: by their times in microseconds and the metric's name as sent, each
    /// where some conversion asks for it.
    pub(crate) fn picked(
        &self,
        rows: usize,
        times: Option<&[i64]>,
        metric_names: Option<&StringViewArray>,
    ) -> Picked<'_> {
        match self.0.as_slice() {
            [] => return Picked::None,
            [(first, affine), ..] if is_unconditional(first) => return Picked::All(affine),
            _ => {}
        }
        let mut each = Vec::with_capacity(rows);
        let mut named: Vec<&(&Conversion, Affine)> = Vec::with_capacity(self.0.len());
        let mut last: Option<Option<&str>> = None;
        for row in 0..rows {
            let name = metric_names.map(|names| names.value(row));
            // Neighbours mostly have one name.
            if last != Some(name) {
                named.clear();
                named.extend(self.0.iter().filter(|(conversion, _)| is_named(conversion, name)));
                last = Some(name);
            }
            let at = times.map(|times| times[row]);
            let holds = named.iter().find(|(conversion, _)| is_timed(conversion, at));
            each.push(holds.map(|(_, affine)| affine));
        }
        if each.iter().all(Option::is_none) { Picked::None } else { Picked::Each(each) }
    }
}

/// Whether `conversion` holds for every row.
pub(crate) fn is_unconditional(conversion: &Conversion) -> bool {
    conversion.metric_name.is_none() && conversion.from.is_none() && conversion.to.is_none()
}

fn is_named(conversion: &Conversion, name: Option<&str>) -> bool {
    conversion.metric_name.as_deref().is_none_or(|wanted| name == Some(wanted))
}

fn is_timed(conversion: &Conversion, at: Option<i64>) -> bool {
    conversion.from.is_none_or(|from| at.is_some_and(|at| from.micros() <= at))
        && conversion.to.is_none_or(|to| at.is_some_and(|at| at < to.micros()))
}

impl<'a> Picked<'a> {
    pub(crate) fn of(&self, row: usize) -> Option<&'a Affine> {
        match self {
            Self::None => None,
            Self::All(affine) => Some(affine),
            Self::Each(each) => each[row],
        }
    }

    /// Converted values where there is a conversion, and elsewhere those of a field without any.
    pub(crate) fn merged(
        &self,
        plain: impl FnOnce() -> Result<ArrayRef>,
        converted: impl FnOnce() -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        match self {
            Self::None => plain(),
            Self::All(_) => converted(),
            Self::Each(each) => {
                let is_converted = BooleanBuffer::collect_bool(each.len(), |row| each[row].is_some());
                let merged = zip(&BooleanArray::new(is_converted, None), &converted()?, &plain()?);
                merged.map_err(|source| Error::internal("cannot join converted cells").with_source(source))
            }
        }
    }

    /// `texts` as `field_type`, converted; rows without a conversion and what does not fit are null.
    pub(crate) fn of_texts(&self, field_type: FieldType, texts: &StringViewArray) -> Result<ArrayRef> {
        let text = |row: usize| texts.is_valid(row).then(|| texts.value(row));
        match field_type {
            FieldType::Double | FieldType::Float => {
                self.of_doubles(field_type, texts.len(), |row| text(row).and_then(coerce::double))
            }
            _ => self.of_exact(field_type, texts.len(), |row| text(row).map(Sent::Text)),
        }
    }

    /// Like [`Self::of_texts`], for a type of doubles.
    pub(crate) fn of_doubles(
        &self,
        field_type: FieldType,
        rows: usize,
        number: impl Fn(usize) -> Option<f64>,
    ) -> Result<ArrayRef> {
        match field_type {
            FieldType::Double => Ok(Arc::new(each::<Float64Type>(rows, |row| self.of(row)?.double(number(row)?)))),
            FieldType::Float => Ok(Arc::new(each::<Float32Type>(rows, |row| self.of(row)?.float(number(row)?)))),
            _ => Err(Error::internal("not a type of doubles")),
        }
    }

    /// Like [`Self::of_texts`], for a type of whole numbers or decimals.
    pub(crate) fn of_exact<'s>(
        &self,
        field_type: FieldType,
        rows: usize,
        sent: impl Fn(usize) -> Option<Sent<'s>>,
    ) -> Result<ArrayRef> {
        let mut scratch = String::new();
        match field_type {
            FieldType::Int => Ok(Arc::new(each::<Int32Type>(rows, |row| {
                self.of(row)?.long(sent(row)?, &mut scratch)?.try_into().ok()
            }))),
            FieldType::Long => {
                Ok(Arc::new(each::<Int64Type>(rows, |row| self.of(row)?.long(sent(row)?, &mut scratch))))
            }
            FieldType::Decimal { precision, scale } => {
                let read = |row| self.of(row)?.decimal(sent(row)?, precision, scale, &mut scratch);
                let typed = each::<Decimal128Type>(rows, read).with_precision_and_scale(precision, scale);
                Ok(Arc::new(typed.map_err(|source| Error::internal("not a decimal type").with_source(source))?))
            }
            _ => Err(Error::internal("only numbers have a unit")),
        }
    }
}

fn each<T: ArrowPrimitiveType>(rows: usize, read: impl FnMut(usize) -> Option<T::Native>) -> PrimitiveArray<T> {
    (0..rows).map(read).collect()
}
