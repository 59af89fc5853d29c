//! The layout as JSON: what is written stays what it is.

use fineo_core::{ErrorKind, MetricId, TenantId, repo::Version};
use fineo_schema::{FieldId, FieldType};

use super::{ColumnLayout, FileLayout};

const GOLDEN: &str = concat!(
    r#"{"format":1,"tenant":"acme","metric":"n1","day":"2026-11-22","schema_version":7,"columns":["#,
    r#"{"column":"temperature","field":"f3","type":"double","text":"_fineo_text_temperature","#,
    r#""names":["temperature","temp"],"name":"_fineo_name_temperature"},"#,
    r#"{"column":"price","field":"f4","type":"decimal(9,2)","names":["price"]},"#,
    r#"{"column":"PM2.5","type":"string","names":["PM2.5"]}],"rest_names":["Aa","no te"]}"#,
);

fn layout() -> FileLayout {
    let double = ColumnLayout {
        column: "temperature".into(),
        field: Some(FieldId(3)),
        value_type: FieldType::Double,
        text: Some("_fineo_text_temperature".into()),
        names: vec!["temperature".into(), "temp".into()],
        name: Some("_fineo_name_temperature".into()),
    };
    let plain = |column: &str, field, value_type| ColumnLayout {
        column: column.into(),
        field,
        value_type,
        text: None,
        names: vec![column.into()],
        name: None,
    };
    FileLayout {
        format: FileLayout::FORMAT,
        tenant: TenantId::new("acme").unwrap(),
        metric: MetricId::numbered(1),
        day: 20_779,
        schema_version: Version(7),
        columns: vec![
            double,
            plain("price", Some(FieldId(4)), FieldType::Decimal { precision: 9, scale: 2 }),
            plain("PM2.5", None, FieldType::String),
        ],
        rest_names: vec!["Aa".into(), "no te".into()],
    }
}

#[test]
fn a_layout_is_written_as_it_always_was() {
    assert_eq!(layout().to_json().unwrap(), GOLDEN);
    assert_eq!(FileLayout::from_json(GOLDEN).unwrap(), layout());
}

#[test]
fn keys_of_a_later_fineo_are_ignored_but_another_format_is_refused() {
    let later = GOLDEN.replacen('{', r#"{"color":"red","#, 1);
    assert_eq!(FileLayout::from_json(&later).unwrap(), layout());
    let other = GOLDEN.replacen(r#""format":1"#, r#""format":2"#, 1);
    assert_eq!(FileLayout::from_json(&other).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn what_is_no_layout_is_corrupt() {
    let no_day = GOLDEN.replace("2026-11-22", "2026-11-31");
    let no_type = GOLDEN.replace("double", "doble");
    let no_tenant = GOLDEN.replace("acme", "../acme");
    for json in ["", "{}", "[]", &GOLDEN[..100], &no_day, &no_type, &no_tenant] {
        assert_eq!(FileLayout::from_json(json).unwrap_err().kind(), ErrorKind::Corrupt, "{json}");
    }
}

#[test]
fn a_table_knows_the_columns_beside_a_value_too() {
    let names: Vec<String> = layout().table_columns().iter().map(|column| column.name.to_string()).collect();
    let own = ["temperature", "_fineo_text_temperature", "_fineo_name_temperature", "price", "PM2.5"];
    assert_eq!(names[6..], own);
}
