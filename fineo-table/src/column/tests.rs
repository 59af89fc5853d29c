//! Which names may be columns.

use fineo_schema::FieldType;

use super::{TableColumn, column_name};

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

#[test]
fn a_column_holds_texts_and_json_alike_and_nothing_else_that_is_not_of_its_type() {
    let holds = |has, value_type| TableColumn { name: "x".into(), value_type: has }.holds(value_type);
    assert!(holds(FieldType::String, FieldType::Json) && holds(FieldType::Json, FieldType::String));
    assert!(holds(FieldType::Long, FieldType::Long) && !holds(FieldType::Long, FieldType::Int));
    let decimal = |scale| FieldType::Decimal { precision: 9, scale };
    assert!(holds(decimal(2), decimal(2)) && !holds(decimal(2), decimal(3)));
}
