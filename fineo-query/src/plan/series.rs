//! The bounds of `generate_series` and `range` in `FROM`: of one type, and one that DataFusion 55.2 takes there. It knows days and
//! nanoseconds; ours are days and microseconds.

use datafusion::{common::ScalarValue, logical_expr::Expr};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// `args` with bounds that are all days, or all times.
pub(super) fn of_one_type(args: Vec<Expr>) -> Vec<Expr> {
    let is_day = |arg: &Expr| matches!(arg, Expr::Literal(ScalarValue::Date32(_), _));
    let days: Option<Vec<Expr>> = args.iter().map(as_day).collect();
    match days {
        Some(days) if args.iter().any(is_day) => days,
        Some(_) | None => args.into_iter().map(as_time).collect(),
    }
}

/// The day that a bound is, or begins; what is no time stays as it is, and nothing is of another time.
fn as_day(arg: &Expr) -> Option<Expr> {
    match arg {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), None), metadata) => {
            let day = (micros % MICROS_PER_DAY == 0).then(|| micros / MICROS_PER_DAY)?;
            Some(Expr::Literal(ScalarValue::Date32(Some(i32::try_from(day).ok()?)), metadata.clone()))
        }
        Expr::Literal(ScalarValue::TimestampMicrosecond(..) | ScalarValue::TimestampNanosecond(..), _) => None,
        other => Some(other.clone()),
    }
}

/// The time that a bound is, or at which it begins; what the engine's range does not reach stays as it is.
fn as_time(arg: Expr) -> Expr {
    let (micros, zone) = match &arg {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), zone), _) => (Some(*micros), zone.clone()),
        Expr::Literal(ScalarValue::Date32(Some(day)), _) => (i64::from(*day).checked_mul(MICROS_PER_DAY), None),
        _ => return arg,
    };
    match micros.and_then(|micros| micros.checked_mul(1000)) {
        Some(nanos) => Expr::Literal(ScalarValue::TimestampNanosecond(Some(nanos), zone), None),
        None => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i32) -> Expr {
        Expr::Literal(ScalarValue::Date32(Some(day)), None)
    }

    fn micros(micros: i64) -> Expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), None), None)
    }

    fn nanos(nanos: i64) -> Expr {
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(nanos), None), None)
    }

    #[test]
    fn days_and_begins_of_days_are_days_and_all_else_are_times() {
        for (given, expected) in [
            (vec![day(1), micros(3 * MICROS_PER_DAY)], vec![day(1), day(3)]),
            (vec![micros(0), day(1)], vec![day(0), day(1)]),
            (vec![day(0), micros(1)], vec![nanos(0), nanos(1_000)]),
            (vec![micros(0), micros(5)], vec![nanos(0), nanos(5_000)]),
            (vec![day(0), nanos(5)], vec![nanos(0), nanos(5)]),
            (vec![micros(i64::MAX), micros(1)], vec![micros(i64::MAX), nanos(1_000)]),
            (vec![day(2)], vec![day(2)]),
        ] {
            assert_eq!(of_one_type(given), expected);
        }
    }
}
