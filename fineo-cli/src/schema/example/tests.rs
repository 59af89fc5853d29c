//! An example declares what it shows.

use fineo::schema::Change;
use fineo_server::http::resource::TenantView;

use super::{changes, read};

fn check(text: &str, expected: &[(&str, &str)]) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("example.json");
    std::fs::write(&file, text).unwrap();
    let changes = changes("m", &[], &read(&file).unwrap(), &TenantView::default()).unwrap();
    let fields: Vec<(String, String)> = changes
        .into_iter()
        .filter_map(|change| match change {
            Change::AddField { name, field_type, .. } => Some((name, field_type)),
            _ => None,
        })
        .collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, shown)| (name.as_str(), shown.as_str())).collect();
    assert_eq!(fields, expected, "{text}");
}

#[test]
fn each_field_gets_the_type_that_its_values_show() {
    let event = r#"{"metrictype":"m","timestamp":1,"on":true,"n":1,"x":1.5,"s":"warm","at":"2026-01-01T00:00:00Z",
        "day":"2026-01-01","list":[1],"gps":{"lat":1.5,"none":{}},"nothing":null}"#;
    let expected = [
        ("on", "boolean"),
        ("n", "long"),
        ("x", "double"),
        ("s", "string"),
        ("at", "string"),
        ("day", "string"),
        ("list", "json"),
        ("gps.lat", "double"),
        ("gps.none", "json"),
    ];
    check(event, &expected);
}

#[test]
fn several_events_widen_a_type() {
    check(
        "{\"a\":1,\"b\":1}\n{\"a\":1.5,\"b\":\"x\",\"c\":true}",
        &[("a", "double"), ("b", "string"), ("c", "boolean")],
    );
    check("[{\"a\":1},{\"a\":null}]", &[("a", "long")]);
}

#[test]
fn what_is_no_example_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("example.json");
    for text in ["", "[]", "1", "[1]", "{\"a\":", "{\"a.b\":1,\"a\":{\"b\":1}}"] {
        std::fs::write(&file, text).unwrap();
        let changes = read(&file).and_then(|events| changes("m", &[], &events, &TenantView::default()));
        assert!(changes.is_err(), "{text}");
    }
}
