//! Which names are legal, and what an identifier finds.

use super::{check_field, check_metric, is_legal, near};

#[test]
fn any_name_without_control_characters_is_legal_up_to_255_bytes() {
    for name in ["PM2.5", "CO(GT)", "select", "温度", "../../other", "%00", "a'b\"c", "__proto__"] {
        assert!(is_legal(name), "{name}");
        check_field(name).unwrap();
    }
    for name in ["", "a\nb", "\u{0}", &"x".repeat(256)] {
        assert!(!is_legal(name), "{name}");
        check_metric(name).unwrap_err();
    }
}

#[test]
fn reserved_names_are_refused_where_they_are_reserved() {
    check_field("timestamp").unwrap_err();
    check_field("_fineo_x").unwrap_err();
    check_metric("_fineo_x").unwrap_err();
    check_metric("fineo_x").unwrap_err();
    check_field("fineo_x").unwrap();
}

#[test]
fn near_names_are_those_with_a_slip_or_a_common_part() {
    let names = ["temperature", "pressure", "temp_1", "humidity"];
    assert_eq!(near("temprature", names.into_iter()), ["temperature"]);
    assert_eq!(near("temp", names.into_iter()), ["temp_1", "temperature"]);
    assert!(near("zzz", names.into_iter()).is_empty());
}
