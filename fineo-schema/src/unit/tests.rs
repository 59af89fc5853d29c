//! Units and their conversions.

use super::Unit;

#[track_caller]
fn check(value: f64, from: &str, to: &str, expected: f64) {
    let (scale, offset) = Unit::new(from).unwrap().convert(&Unit::new(to).unwrap()).unwrap();
    let got = value * scale + offset;
    assert!((got - expected).abs() < 1e-9 * expected.abs().max(1.0), "{value} {from} = {got} {to}, not {expected}");
}

#[test]
fn values_convert_between_units_of_one_dimension() {
    check(212.0, "F", "C", 100.0);
    check(-40.0, "C", "F", -40.0);
    check(0.0, "C", "K", 273.15);
    check(14.503_773_773, "psi", "bar", 1.0);
    check(1.0, "bar", "kPa", 100.0);
    check(1.0, "ft", "m", 0.3048);
    check(36.0, "km/h", "m/s", 10.0);
    check(7.0, "widgets", "widgets", 7.0);
}

#[test]
fn units_that_measure_different_things_do_not_convert() {
    let unit = |text| Unit::new(text).unwrap();
    unit("C").convert(&unit("bar")).unwrap_err();
    unit("C").convert(&unit("widgets")).unwrap_err();
    Unit::new("").unwrap_err();
    Unit::new(&"x".repeat(33)).unwrap_err();
}
