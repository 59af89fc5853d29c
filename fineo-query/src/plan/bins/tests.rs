//! The same as the engine's where that counts, and the same calendar in every other year.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, TimestampMicrosecondArray},
        datatypes::{DataType, Field, IntervalMonthDayNano, TimestampMicrosecondType},
    },
    config::ConfigOptions,
    execution::SessionStateDefaults,
    logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF},
    scalar::ScalarValue,
};
use proptest::prelude::*;

use super::{BIN, CYCLE, DAY, SECOND, TRUNC, of_any_year};

const UNITS: [&str; 10] =
    ["microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"];

fn named(functions: Vec<Arc<ScalarUDF>>, name: &str) -> Arc<ScalarUDF> {
    functions.into_iter().find(|function| function.name() == name).unwrap()
}

fn engines(name: &str) -> Arc<ScalarUDF> {
    named(SessionStateDefaults::default_scalar_functions(), name)
}

fn ours(name: &str) -> Arc<ScalarUDF> {
    named(of_any_year(SessionStateDefaults::default_scalar_functions()), name)
}

fn instants(micros: &[i64]) -> ArrayRef {
    instants_in("UTC", micros)
}

fn instants_in(zone: &str, micros: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone(zone))
}

fn call(function: &ScalarUDF, args: Vec<ColumnarValue>) -> datafusion::error::Result<Vec<Option<i64>>> {
    let rows = 3;
    let arg_fields: Vec<_> = args.iter().map(|arg| Arc::new(Field::new("", arg.data_type(), true))).collect();
    let scalars: Vec<Option<&ScalarValue>> = vec![None; args.len()];
    let return_field =
        function.return_field_from_args(ReturnFieldArgs { arg_fields: &arg_fields, scalar_arguments: &scalars })?;
    let config_options = Arc::new(ConfigOptions::default());
    let args = ScalarFunctionArgs { args, arg_fields, number_rows: rows, return_field, config_options };
    let answer = function.invoke_with_args(args)?.into_array(rows)?;
    Ok(answer.as_primitive::<TimestampMicrosecondType>().iter().collect())
}

fn stride(months: i32, days: i32, nanos: i64) -> ColumnarValue {
    let stride = IntervalMonthDayNano::new(months, days, nanos);
    ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(stride)))
}

fn text(unit: &str) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::Utf8(Some(unit.into())))
}

proptest! {
    #[test]
    fn a_year_that_the_engine_counts_is_cut_as_it_does(
        unit in 0..UNITS.len(), micros in prop::array::uniform3(-250 * 366 * DAY..250 * 366 * DAY),
    ) {
        let args = || vec![text(UNITS[unit]), ColumnarValue::Array(instants(&micros))];
        prop_assert_eq!(call(&ours(TRUNC), args()).unwrap(), call(&engines(TRUNC), args()).unwrap());
    }

    #[test]
    fn bins_are_those_of_the_engine(
        months in 1..40, seconds in 1_i64..100_000_000, in_months: bool,
        micros in prop::array::uniform3(-250 * 366 * DAY..250 * 366 * DAY), origin in -9_000_i64..9_000,
    ) {
        let stride = || if in_months { stride(months, 0, 0) } else { stride(0, 1, seconds * 1_000_000_000 + 1_000) };
        let origin = origin * DAY / 3;
        let args = |origin: ScalarValue| vec![stride(), ColumnarValue::Array(instants(&micros)), ColumnarValue::Scalar(origin)];
        let expected = call(&engines(BIN), args(ScalarValue::TimestampNanosecond(Some(origin * 1_000), Some("UTC".into()))));
        let found = call(&ours(BIN), args(ScalarValue::TimestampMicrosecond(Some(origin), Some("UTC".into()))));
        prop_assert_eq!(found.unwrap(), expected.unwrap());
    }

    #[test]
    fn other_years_are_cut_as_those_400_years_apart(
        unit in 0..UNITS.len(), cycles in -4_i64..20, micros in prop::array::uniform3(0..400 * 365 * DAY),
    ) {
        let cut = |shift: i64| {
            let micros = micros.map(|micros| micros + shift);
            call(&ours(TRUNC), vec![text(UNITS[unit]), ColumnarValue::Array(instants(&micros))]).unwrap()
        };
        let shifted: Vec<Option<i64>> = cut(0).iter().map(|begin| begin.map(|begin| begin + cycles * CYCLE)).collect();
        prop_assert_eq!(cut(cycles * CYCLE), shifted);
    }
}

#[test]
fn days_in_a_zone_are_cut_in_every_year() {
    // 10:20 in Berlin: summer time in 2020, and in the year 9620, which is like it.
    let noon = 1_594_549_200 * SECOND;
    let micros = [noon, noon + 19 * CYCLE, noon - 4 * CYCLE];
    let args = vec![text("day"), ColumnarValue::Array(instants_in("Europe/Berlin", &micros))];
    let begins = call(&ours(TRUNC), args).unwrap();
    let day = begins[0].unwrap();
    assert_eq!((noon - day) / SECOND, 12 * 3_600 + 20 * 60);
    assert_eq!(begins[1], Some(day + 19 * CYCLE));
    // Before there were zones, clocks went by the sun.
    assert!((noon - 4 * CYCLE - begins[2].unwrap()) / SECOND <= 86_400);
}

#[test]
fn a_stride_that_leads_nowhere_is_refused() {
    for (months, days, nanos, told) in [
        (0, 0, 0, "greater than zero"),
        (0, 0, -5, "greater than zero"),
        (-1, 0, 0, "greater than zero"),
        (1, 1, 0, "not in both"),
    ] {
        let args = vec![stride(months, days, nanos), ColumnarValue::Array(instants(&[0, SECOND, DAY]))];
        let error = call(&ours(BIN), args).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn what_is_no_instant_in_utc_stays_the_engines() {
    let types = |given: &[DataType]| ours(TRUNC).coerce_types(given).unwrap().remove(1);
    use datafusion::arrow::datatypes::TimeUnit::{Microsecond, Nanosecond};
    let (utc, berlin) = (DataType::Timestamp(Microsecond, Some("UTC".into())), Some("Europe/Berlin".into()));
    for (given, taken) in [
        (utc.clone(), utc.clone()),
        (DataType::Date32, utc),
        (DataType::Timestamp(Microsecond, berlin.clone()), DataType::Timestamp(Microsecond, berlin)),
        (DataType::Utf8, DataType::Timestamp(Nanosecond, None)),
        (DataType::Time64(Nanosecond), DataType::Time64(Nanosecond)),
    ] {
        assert_eq!(types(&[DataType::Utf8, given.clone()]), taken, "{given}");
    }
}
