//! Statistics of a file for the Delta log, where its footer has them cheaply.

use fineo_core::Timestamp;
use fineo_schema::FieldType;
use parquet::file::{metadata::ParquetMetaData, statistics::Statistics};
use serde_json::{Map, Value, json};

use super::FileMeta;
use crate::{COLUMN_TIMESTAMP, text};

/// The most columns of which the log keeps statistics.
const COLUMNS_MAX: usize = 32;
/// The longest text that the log keeps.
const TEXT_BYTES_MAX: usize = 32;

/// Row count, smallest and largest values and null counts, as JSON.
pub(super) fn of(meta: &FileMeta) -> String {
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    least.insert(COLUMN_TIMESTAMP.into(), meta.first.to_string().into());
    greatest.insert(COLUMN_TIMESTAMP.into(), meta.last.to_string().into());
    nulls.insert(COLUMN_TIMESTAMP.into(), 0.into());
    for layout in meta.layout.columns.iter().take(COLUMNS_MAX) {
        let Some(folded) = fold(&meta.metadata, &layout.column, layout.value_type) else { continue };
        nulls.insert(layout.column.to_string(), folded.nulls.into());
        if let Some((min, max)) = folded.range {
            least.insert(layout.column.to_string(), min.to_json());
            greatest.insert(layout.column.to_string(), max.to_json());
        }
    }
    json!({ "numRecords": meta.rows, "minValues": least, "maxValues": greatest, "nullCount": nulls }).to_string()
}

/// The statistics of one column over all row groups.
struct Folded {
    range: Option<(Bound, Bound)>,
    nulls: u64,
}

/// A smallest or largest value.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Bound {
    Whole(i64),
    Real(f64),
    Text(String),
    Day(i32),
    Instant(i64),
}

impl Bound {
    fn to_json(&self) -> Value {
        match self {
            Self::Whole(number) => (*number).into(),
            Self::Real(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Day(day) => text::day_text(*day).map_or(Value::Null, Value::from),
            Self::Instant(micros) => Timestamp::saturating_from_micros(*micros).to_string().into(),
        }
    }
}

/// None when a row group does not say how many nulls there are.
fn fold(metadata: &ParquetMetaData, column: &str, value_type: FieldType) -> Option<Folded> {
    let mut nulls = 0;
    let mut range: Option<(Bound, Bound)> = None;
    let mut is_known = true;
    for group in metadata.row_groups() {
        let chunk =
            group.columns().iter().find(|chunk| matches!(chunk.column_path().parts(), [name] if name == column))?;
        let statistics = chunk.statistics()?;
        let group_nulls = statistics.null_count_opt()?;
        nulls += group_nulls;
        if i64::try_from(group_nulls).ok() == Some(group.num_rows()) {
            continue;
        }
        match bounds(statistics, value_type) {
            Some((min, max)) => {
                range = Some(match range {
                    None => (min, max),
                    Some((least, greatest)) => {
                        (if min < least { min } else { least }, if max > greatest { max } else { greatest })
                    }
                });
            }
            None => is_known = false,
        }
    }
    Some(Folded { range: range.filter(|_| is_known), nulls })
}

fn bounds(statistics: &Statistics, value_type: FieldType) -> Option<(Bound, Bound)> {
    let pair = match (statistics, value_type) {
        (Statistics::Int32(s), FieldType::Int) => {
            (Bound::Whole((*s.min_opt()?).into()), Bound::Whole((*s.max_opt()?).into()))
        }
        (Statistics::Int32(s), FieldType::Date) => (Bound::Day(*s.min_opt()?), Bound::Day(*s.max_opt()?)),
        (Statistics::Int64(s), FieldType::Long) => (Bound::Whole(*s.min_opt()?), Bound::Whole(*s.max_opt()?)),
        (Statistics::Int64(s), FieldType::Timestamp) => (Bound::Instant(*s.min_opt()?), Bound::Instant(*s.max_opt()?)),
        (Statistics::Float(s), FieldType::Float) => real((*s.min_opt()?).into(), (*s.max_opt()?).into())?,
        (Statistics::Double(s), FieldType::Double) => real(*s.min_opt()?, *s.max_opt()?)?,
        (Statistics::ByteArray(s), FieldType::String) if s.min_is_exact() && s.max_is_exact() => {
            let text =
                |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().filter(|text| text.len() <= TEXT_BYTES_MAX);
            (Bound::Text(text(s.min_opt()?.data())?), Bound::Text(text(s.max_opt()?.data())?))
        }
        // Decimals would lose digits as JSON numbers; Delta has no bounds of booleans and bytes.
        _ => return None,
    };
    Some(pair)
}

/// Not-a-number and infinity have no JSON.
fn real(min: f64, max: f64) -> Option<(Bound, Bound)> {
    (min.is_finite() && max.is_finite()).then_some((Bound::Real(min), Bound::Real(max)))
}
