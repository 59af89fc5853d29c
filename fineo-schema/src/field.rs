//! A declared field: names, type, unit, conversions.

use std::{fmt, str::FromStr, sync::Arc};

use fineo_core::{Error, Result, Timestamp};

use crate::Unit;

/// The canonical id of a field (`f1`, `f2`, …): never reused within its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u32);

impl fmt::Display for FieldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{}", self.0)
    }
}

impl FromStr for FieldId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix('f').filter(|digits| !digits.starts_with('0'));
        let number = number.and_then(|digits| digits.parse().ok());
        number.map(Self).ok_or_else(|| Error::invalid("not a canonical field id").with("id", text))
    }
}

/// What the values of a field are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// Text, as sent.
    String,
    /// `true` or `false`.
    Boolean,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A number of single precision.
    Float,
    /// A number of double precision.
    Double,
    /// An exact number.
    Decimal {
        /// How many digits in all, 1–38.
        precision: u8,
        /// How many of them behind the point, 0–precision.
        scale: i8,
    },
    /// An instant in microseconds.
    Timestamp,
    /// A day.
    Date,
    /// Bytes, sent as base64.
    Bytes,
    /// JSON text.
    Json,
}

impl FieldType {
    const PLAIN: [(&'static str, Self); 10] = [
        ("string", Self::String),
        ("boolean", Self::Boolean),
        ("int", Self::Int),
        ("long", Self::Long),
        ("float", Self::Float),
        ("double", Self::Double),
        ("timestamp", Self::Timestamp),
        ("date", Self::Date),
        ("bytes", Self::Bytes),
        ("json", Self::Json),
    ];

    /// Whether a unit or an affine conversion makes sense for it.
    pub fn is_number(self) -> bool {
        match self {
            Self::Int | Self::Long | Self::Float | Self::Double | Self::Decimal { .. } => true,
            Self::String | Self::Boolean | Self::Timestamp | Self::Date | Self::Bytes | Self::Json => false,
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Decimal { precision, scale } = self {
            return write!(f, "decimal({precision},{scale})");
        }
        let plain = Self::PLAIN.iter().find(|(_, known)| known == self);
        f.write_str(plain.map_or("", |(name, _)| name))
    }
}

/// Reads `string`, `boolean`, `int`, `long`, `float`, `double`, `decimal(p,s)`, `timestamp`, `date`, `bytes`
/// or `json`, whatever the case.
impl FromStr for FieldType {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_ascii_lowercase();
        if let Some((_, known)) = Self::PLAIN.iter().find(|(name, _)| *name == lower) {
            return Ok(*known);
        }
        if let Some(inner) = lower.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')) {
            let (precision, scale) = inner.split_once(',').unwrap_or((inner, "0"));
            let limits = || {
                Error::invalid("a decimal has 1-38 digits, of which 0 to all stand behind the point").with("type", text)
            };
            let precision: u8 = precision.trim().parse().map_err(|_| limits())?;
            let scale: i8 = scale.trim().parse().map_err(|_| limits())?;
            if !(1..=38).contains(&precision) || scale < 0 || scale.unsigned_abs() > precision {
                return Err(limits());
            }
            return Ok(Self::Decimal { precision, scale });
        }
        let shown: String = text.chars().take(60).collect();
        Err(Error::invalid(
            "not a type: there are string, boolean, int, long, float, double, decimal(p,s), timestamp, date, bytes, json",
        )
        .with("type", shown))
    }
}

/// How the values of some rows are turned into the field's unit: `value * scale + offset`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// What the value is multiplied with.
    pub scale: f64,
    /// What is then added.
    pub offset: f64,
    /// Only rows whose metric's name as sent is this.
    pub metric_name: Option<Arc<str>>,
    /// Only rows whose time is not before this.
    pub from: Option<Timestamp>,
    /// Only rows whose time is before this.
    pub to: Option<Timestamp>,
}

/// A conversion and the stored name that it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopedConversion {
    /// Only values stored under this name; none for every name of the field.
    pub name: Option<Arc<str>>,
    /// The unit that it converts from, where it was stated as a unit.
    pub from_unit: Option<Unit>,
    /// What is done.
    pub conversion: Conversion,
}

/// A declared field under one version of the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its canonical id.
    pub id: FieldId,
    /// Its names in rank order: the display name, then the aliases.
    pub names: Vec<Arc<str>>,
    /// What its values are read as.
    pub field_type: FieldType,
    /// What its values are measured in.
    pub unit: Option<Unit>,
    /// How values are converted; the first whose scope holds a row is applied to it, no other.
    pub conversions: Vec<ScopedConversion>,
    /// Since when it is hidden; none for a visible field.
    pub hidden_since: Option<Timestamp>,
}

impl Field {
    /// Its display name.
    pub fn name(&self) -> &Arc<str> {
        &self.names[0]
    }

    /// Whether it answers by no name.
    pub fn is_hidden(&self) -> bool {
        self.hidden_since.is_some()
    }
}
