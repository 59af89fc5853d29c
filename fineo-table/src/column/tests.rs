//! Which names may be columns.

use super::column_name;

#[test]
fn a_name_keeps_its_letters_and_loses_what_engines_refuse() {
    let names =
        [("temp", Some("temp")), ("PM2.5", Some("PM2.5")), ("CO(GT)", Some("CO_GT_")), ("a b=c", Some("a_b_c"))];
    let ours = [("", None), ("timestamp", None), ("Day", None), ("_fineo_rest", None), ("_FINEO_x", None)];
    for (name, column) in names.into_iter().chain(ours) {
        assert_eq!(column_name(name).as_deref(), column, "{name}");
    }
    assert_eq!(column_name("温度").as_deref(), Some("温度"));
}
