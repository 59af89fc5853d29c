//! A function that answers row by row, said by what it takes and what it makes.

use std::hash::{Hash, Hasher};

use datafusion::{
    arrow::{
        array::{ArrayRef, new_empty_array},
        datatypes::{DataType, IntervalUnit, TimeUnit},
    },
    common::{Result, ScalarValue, plan_err},
    error::DataFusionError,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};

/// What is made of one batch, at most: the pool of a query does not count it.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// An interval.
pub(super) const LENGTH: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
/// A time without a zone.
pub(super) const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// What a function takes at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Any,
    Text,
    Whole,
    /// A double.
    Number,
    /// Whole numbers where all numbers of the call are whole, else doubles.
    Numeric,
    /// A time without a zone; one in a zone is taken as it is in UTC.
    Time,
    Length,
    /// The same, or a difference of two times.
    Difference,
}

/// What it makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Makes {
    One(DataType),
    /// A value of the type of the first that it takes.
    First,
}

/// A function of Postgres'.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) takes: &'static [Takes],
    /// How often what it takes last may come again.
    pub(super) repeats: bool,
    /// Whether it is asked where something is null; else it answers null there.
    pub(super) knows_null: bool,
    pub(super) makes: Makes,
    pub(super) answer: fn(&[ScalarValue]) -> Result<ScalarValue>,
}

impl Function {
    pub(super) fn udf(&'static self) -> ScalarUDF {
        ScalarUDF::from(ByRow { function: self, signature: Signature::user_defined(Volatility::Immutable) })
    }

    fn takes(&self, index: usize) -> Option<Takes> {
        let last = self.takes.last().filter(|_| self.repeats);
        self.takes.get(index).or(last).copied()
    }
}

#[derive(Debug)]
struct ByRow {
    function: &'static Function,
    signature: Signature,
}

impl PartialEq for ByRow {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for ByRow {}

impl Hash for ByRow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for ByRow {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let (name, takes) = (self.function.name, self.function.takes.len());
        if given.len() < takes || given.len() > takes && !self.function.repeats {
            return plan_err!("{name} takes {takes} values and was given {}", given.len());
        }
        let are_whole = given.iter().all(|of| of.is_integer() || of.is_null());
        let taken = given.iter().enumerate().map(|(index, of)| match self.function.takes(index) {
            Some(takes) if !fits(takes, of) => plan_err!("{name} does not take {of} as its value {}", index + 1),
            Some(takes) => Ok(taken(takes, of, are_whole)),
            None => Ok(of.clone()),
        });
        taken.collect()
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match (&self.function.makes, given.first()) {
            (Makes::One(made), _) => made.clone(),
            (Makes::First, Some(first)) => first.clone(),
            (Makes::First, None) => DataType::Null,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_one { 1 } else { args.number_rows };
        let made = args.return_field.data_type();
        let mut answers = Vec::with_capacity(rows);
        let mut values = Vec::with_capacity(args.args.len());
        let mut bytes = 0;
        for row in 0..rows {
            values.clear();
            for value in &args.args {
                values.push(match value {
                    ColumnarValue::Scalar(value) => value.clone(),
                    ColumnarValue::Array(array) => ScalarValue::try_from_array(array, row)?,
                });
            }
            let is_null = !self.function.knows_null && values.iter().any(ScalarValue::is_null);
            let answer = if is_null { ScalarValue::try_from(made)? } else { (self.function.answer)(&values)? };
            bytes += answer.size();
            if bytes > BATCH_BYTES_MAX {
                let message =
                    format!("{} would make more than {BATCH_BYTES_MAX} bytes of one batch", self.function.name);
                return Err(DataFusionError::ResourcesExhausted(message));
            }
            answers.push(answer);
        }
        if is_one && let Some(answer) = answers.pop() {
            return Ok(ColumnarValue::Scalar(answer));
        }
        let answers: ArrayRef = match answers.is_empty() {
            true => new_empty_array(made),
            false => ScalarValue::iter_to_array(answers)?,
        };
        Ok(ColumnarValue::Array(answers))
    }
}

/// Whether a value of the type `of` can be meant; text may be any.
fn fits(takes: Takes, of: &DataType) -> bool {
    let is_length = matches!(of, DataType::Interval(_) | DataType::Duration(_));
    is_text(of)
        || match takes {
            Takes::Any | Takes::Text => true,
            Takes::Whole => of.is_integer(),
            Takes::Number | Takes::Numeric => of.is_numeric(),
            Takes::Time => is_instant(of),
            Takes::Length | Takes::Difference => is_length,
        }
}

/// Whether it is text, or stands for some.
pub(super) fn is_text(of: &DataType) -> bool {
    match of {
        DataType::Dictionary(_, of) => of.is_string(),
        of => of.is_string() || of.is_null(),
    }
}

/// Whether a time, or a day, is meant.
pub(super) fn is_instant(of: &DataType) -> bool {
    matches!(of, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

/// The type as which a value of the type `of` is taken.
fn taken(takes: Takes, of: &DataType, are_whole: bool) -> DataType {
    match takes {
        Takes::Any => of.clone(),
        Takes::Text => DataType::Utf8,
        Takes::Whole => DataType::Int64,
        Takes::Number => DataType::Float64,
        Takes::Numeric if are_whole => DataType::Int64,
        Takes::Numeric => DataType::Float64,
        Takes::Time => TIME,
        Takes::Difference if matches!(of, DataType::Duration(_)) => of.clone(),
        Takes::Length | Takes::Difference => LENGTH,
    }
}

/// What is at the place `index` of a call, which was made to be of this type.
macro_rules! value {
    ($values:expr, $index:expr, $variant:ident) => {
        match $values.get($index) {
            Some(datafusion::common::ScalarValue::$variant(Some(value), ..)) => value.clone(),
            other => return datafusion::common::exec_err!("a value of another type than was asked for: {other:?}"),
        }
    };
}

pub(super) use value;

/// A text as the value that it is.
pub(super) fn text(text: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(text.into()))
}
