//! One column in the making: typed values, the texts that they do not give back, and the names that cells had.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, DictionaryArray, StringArray,
    builder::{
        BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int32Builder,
        Int64Builder, StringBuilder, TimestampMicrosecondBuilder, UInt32Builder,
    },
    types::UInt32Type,
};
use arrow_schema::{DataType, TimeUnit};
use fineo_schema::{FieldType, RecordValue, coerce};

/// The Arrow type of values.
pub(crate) fn data_type(value_type: FieldType) -> DataType {
    match value_type {
        FieldType::String | FieldType::Json => DataType::Utf8,
        FieldType::Boolean => DataType::Boolean,
        FieldType::Int => DataType::Int32,
        FieldType::Long => DataType::Int64,
        FieldType::Float => DataType::Float32,
        FieldType::Double => DataType::Float64,
        FieldType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        FieldType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        FieldType::Date => DataType::Date32,
        FieldType::Bytes => DataType::Binary,
    }
}

/// The Arrow type of the names of cells: few, and the same ones again and again.
pub(crate) fn names_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// The values of a column so far.
#[derive(Debug)]
enum Values {
    Text(StringBuilder),
    Json(StringBuilder),
    Boolean(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    Bytes(BinaryBuilder),
}

/// Calls the same method on whichever builder there is.
macro_rules! each {
    ($values:expr, $builder:ident => $call:expr) => {
        match $values {
            Values::Text($builder) | Values::Json($builder) => $call,
            Values::Boolean($builder) => $call,
            Values::Int($builder) => $call,
            Values::Long($builder) => $call,
            Values::Float($builder) => $call,
            Values::Double($builder) => $call,
            Values::Decimal($builder, ..) => $call,
            Values::Timestamp($builder) => $call,
            Values::Date($builder) => $call,
            Values::Bytes($builder) => $call,
        }
    };
}

impl Values {
    fn new(value_type: FieldType) -> Self {
        match value_type {
            FieldType::String => Self::Text(StringBuilder::new()),
            FieldType::Json => Self::Json(StringBuilder::new()),
            FieldType::Boolean => Self::Boolean(BooleanBuilder::new()),
            FieldType::Int => Self::Int(Int32Builder::new()),
            FieldType::Long => Self::Long(Int64Builder::new()),
            FieldType::Float => Self::Float(Float32Builder::new()),
            FieldType::Double => Self::Double(Float64Builder::new()),
            FieldType::Decimal { precision, scale } => {
                let builder = Decimal128Builder::new().with_data_type(data_type(value_type));
                Self::Decimal(builder, precision, scale)
            }
            FieldType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            FieldType::Date => Self::Date(Date32Builder::new()),
            FieldType::Bytes => Self::Bytes(BinaryBuilder::new()),
        }
    }

    /// Appends what `text` is, null when it does not fit; whether writing the value gives the text back.
    fn append_text(&mut self, text: &str) -> bool {
        match self {
            Self::Text(builder) => {
                builder.append_value(text);
                true
            }
            Self::Json(builder) => {
                let value = coerce::json(text);
                builder.append_option(value);
                value.is_some()
            }
            Self::Boolean(builder) => {
                builder.append_option(coerce::boolean(text));
                matches!(text, "true" | "false")
            }
            Self::Int(builder) => {
                builder.append_option(coerce::int(text));
                coerce::text::is_exact(text, FieldType::Int)
            }
            Self::Long(builder) => {
                builder.append_option(coerce::long(text));
                coerce::text::is_exact(text, FieldType::Long)
            }
            Self::Float(builder) => {
                builder.append_option(coerce::float(text));
                coerce::text::is_exact(text, FieldType::Float)
            }
            Self::Double(builder) => {
                builder.append_option(coerce::double(text));
                coerce::text::is_exact(text, FieldType::Double)
            }
            Self::Decimal(builder, precision, scale) => {
                builder.append_option(coerce::decimal(text, *precision, *scale));
                coerce::text::is_exact(text, FieldType::Decimal { precision: *precision, scale: *scale })
            }
            Self::Timestamp(builder) => {
                builder.append_option(coerce::timestamp(text));
                coerce::text::is_exact(text, FieldType::Timestamp)
            }
            Self::Date(builder) => {
                builder.append_option(coerce::date(text));
                coerce::text::is_exact(text, FieldType::Date)
            }
            Self::Bytes(builder) => {
                builder.append_option(coerce::bytes(text));
                coerce::text::is_exact(text, FieldType::Bytes)
            }
        }
    }

    /// Appends a value of the column's own type; false, and nothing appended, when it is of another.
    fn append_value(&mut self, value: &RecordValue<'_>) -> bool {
        match (self, value) {
            (Self::Text(builder) | Self::Json(builder), RecordValue::Text(text)) => builder.append_value(text),
            (Self::Boolean(builder), RecordValue::Boolean(value)) => builder.append_value(*value),
            (Self::Int(builder), RecordValue::Integer(value)) => match i32::try_from(*value) {
                Ok(value) => builder.append_value(value),
                Err(_) => return false,
            },
            (Self::Long(builder), RecordValue::Integer(value)) => builder.append_value(*value),
            (Self::Float(builder), RecordValue::Float(value)) => builder.append_value(*value),
            (Self::Double(builder), RecordValue::Double(value)) => builder.append_value(*value),
            (Self::Decimal(builder, ..), RecordValue::Decimal(value)) => builder.append_value(*value),
            (Self::Timestamp(builder), RecordValue::Integer(value)) => builder.append_value(*value),
            (Self::Date(builder), RecordValue::Integer(value)) => match i32::try_from(*value) {
                Ok(value) => builder.append_value(value),
                Err(_) => return false,
            },
            (Self::Bytes(builder), RecordValue::Bytes(value)) => builder.append_value(value),
            (
                Self::Text(_)
                | Self::Json(_)
                | Self::Boolean(_)
                | Self::Int(_)
                | Self::Long(_)
                | Self::Float(_)
                | Self::Double(_)
                | Self::Decimal(..)
                | Self::Timestamp(_)
                | Self::Date(_)
                | Self::Bytes(_),
                _,
            ) => return false,
        }
        true
    }

    fn append_null(&mut self) {
        each!(self, builder => builder.append_null());
    }

    fn append_nulls(&mut self, count: usize) {
        match self {
            Self::Text(builder) | Self::Json(builder) => (0..count).for_each(|_| builder.append_null()),
            Self::Bytes(builder) => (0..count).for_each(|_| builder.append_null()),
            Self::Boolean(builder) => builder.append_nulls(count),
            Self::Int(builder) => builder.append_nulls(count),
            Self::Long(builder) => builder.append_nulls(count),
            Self::Float(builder) => builder.append_nulls(count),
            Self::Double(builder) => builder.append_nulls(count),
            Self::Decimal(builder, ..) => builder.append_nulls(count),
            Self::Timestamp(builder) => builder.append_nulls(count),
            Self::Date(builder) => builder.append_nulls(count),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        each!(self, builder => Arc::new(builder.finish()))
    }
}

/// Text in some rows.
#[derive(Debug, Default)]
struct Sparse {
    builder: StringBuilder,
    rows: usize,
}

impl Sparse {
    fn append(&mut self, row: usize, text: &str) {
        self.pad(row);
        self.builder.append_value(text);
        self.rows += 1;
    }

    fn pad(&mut self, rows: usize) {
        while self.rows < rows {
            self.builder.append_null();
            self.rows += 1;
        }
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        self.rows = 0;
        Arc::new(self.builder.finish())
    }
}

/// The names of some rows' cells, by their ranks.
#[derive(Debug)]
struct Ranks {
    builder: UInt32Builder,
    rows: usize,
    names: Arc<StringArray>,
}

impl Ranks {
    fn new(names: &[Arc<str>]) -> Self {
        let names = StringArray::from_iter_values(names.iter().map(|name| &**name));
        Self { builder: UInt32Builder::new(), rows: 0, names: Arc::new(names) }
    }

    fn append(&mut self, row: usize, rank: u32) {
        self.builder.append_nulls(row - self.rows);
        self.builder.append_value(rank);
        self.rows = row + 1;
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        self.builder.append_nulls(rows - self.rows);
        self.rows = 0;
        let names = Arc::clone(&self.names);
        Arc::new(DictionaryArray::<UInt32Type>::new(self.builder.finish(), names))
    }
}

/// The arrays of some rows of a column.
#[derive(Debug, Clone)]
pub(crate) struct ColumnChunk {
    /// Null where no cell has a value.
    pub(crate) values: ArrayRef,
    /// The texts that values do not give back; none when there is none.
    pub(crate) texts: Option<ArrayRef>,
    /// The stored names of the cells, where there may be several.
    pub(crate) names: Option<ArrayRef>,
    /// Whether there is a cell.
    pub(crate) has_cells: bool,
}

/// A column in the making, chunk by chunk.
#[derive(Debug)]
pub(crate) struct ColumnBuilder {
    values: Values,
    value_type: FieldType,
    rows: usize,
    texts: Sparse,
    has_texts: bool,
    names: Option<Ranks>,
    has_cells: bool,
}

impl ColumnBuilder {
    /// An empty column of cells that have these names.
    pub(crate) fn new(value_type: FieldType, names: &[Arc<str>]) -> Self {
        Self {
            values: Values::new(value_type),
            value_type,
            rows: 0,
            texts: Sparse::default(),
            has_texts: false,
            names: (names.len() > 1).then(|| Ranks::new(names)),
            has_cells: false,
        }
    }

    /// What its values are.
    pub(crate) fn value_type(&self) -> FieldType {
        self.value_type
    }

    /// Puts a text, as it was sent under the name of this rank, into `row`; every row before it that had no cell is null.
    pub(crate) fn text(&mut self, row: usize, rank: u32, text: &str) {
        self.begin(row, rank);
        if !self.values.append_text(text) {
            self.keep_text(row, text);
        }
    }

    /// Puts a value of the column's type, and its text where that is needed, into `row`; false when it is of another
    /// type after all, and `row` then has the text only.
    pub(crate) fn value(&mut self, row: usize, rank: u32, value: Option<&RecordValue<'_>>, text: Option<&str>) -> bool {
        self.begin(row, rank);
        let is_stored = value.is_some_and(|value| self.values.append_value(value));
        if !is_stored {
            self.values.append_null();
        }
        match text {
            Some(text) if is_stored && coerce::text::is_exact(text, self.value_type) => {}
            Some(text) => self.keep_text(row, text),
            None => return is_stored,
        }
        is_stored || value.is_none()
    }

    fn begin(&mut self, row: usize, rank: u32) {
        if row > self.rows {
            self.values.append_nulls(row - self.rows);
        }
        self.rows = row + 1;
        self.has_cells = true;
        if let Some(names) = &mut self.names {
            names.append(row, rank);
        }
    }

    fn keep_text(&mut self, row: usize, text: &str) {
        self.texts.append(row, text);
        self.has_texts = true;
    }

    /// The arrays of the `rows` rows since the last call.
    pub(crate) fn finish(&mut self, rows: usize) -> ColumnChunk {
        if rows > self.rows {
            self.values.append_nulls(rows - self.rows);
        }
        let texts = self.has_texts.then(|| self.texts.finish(rows));
        let has_cells = std::mem::take(&mut self.has_cells);
        self.has_texts = false;
        self.rows = 0;
        let names = self.names.as_mut().map(|names| names.finish(rows));
        ColumnChunk { values: self.values.finish(), texts, names, has_cells }
    }
}

#[cfg(test)]
mod tests;
