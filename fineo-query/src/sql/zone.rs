//! `AT TIME ZONE` as a cast to a type of times that count microseconds, as those of events do: the planner's own would count
//! nanoseconds, which end in the year 2262.

use datafusion::sql::sqlparser::ast::{CastKind, DataType, Expr, ObjectName, Value};

use super::{exact, parts};

/// The name of the type; what is behind it in brackets is the zone.
const IN_ZONE: &str = "time in zone";

/// The cast that `expr` is, where it brings a time into a zone.
pub(super) fn as_cast(expr: &mut Expr) {
    let Expr::AtTimeZone { timestamp, time_zone } = expr else { return };
    let Expr::Value(zone) = &**time_zone else { return };
    let Value::SingleQuotedString(zone) = &zone.value else { return };
    let data_type = DataType::Custom(ObjectName::from(vec![exact(IN_ZONE)]), vec![zone.clone()]);
    let expr_in_zone = std::mem::replace(&mut **timestamp, Expr::Value(Value::Null.into()));
    *expr = Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr_in_zone), data_type, array: false, format: None };
}

/// The zone of a type that [`as_cast`] made.
pub(crate) fn zone_of(data_type: &DataType) -> Option<&str> {
    let DataType::Custom(name, zone) = data_type else { return None };
    match (parts(name).as_slice(), zone.as_slice()) {
        ([only], [zone]) if only.value == IN_ZONE => Some(zone),
        _ => None,
    }
}
