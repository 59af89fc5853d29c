//! An example declares what it shows.

use fineo::schema::Change;
use fineo_server::http::resource::{DiscoveredView, TenantView, TypeShare};

use super::{changes, read, widen};

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
fn what_was_sent_widens_what_the_example_shows() {
    let sent = |field: &str, long: f64| DiscoveredView {
        metric: "m".to_owned(),
        field: field.to_owned(),
        count: 100,
        first_seen: String::new(),
        last_seen: String::new(),
        shares: [("long", long), ("double", 1.0)]
            .map(|(name, share)| TypeShare { field_type: name.to_owned(), share })
            .into(),
        samples: Vec::new(),
    };
    let settings = TenantView::default();
    let event = r#"{"rain":0,"station":1,"new":2,"text":"x"}"#.to_owned();
    let mut changes = changes("m", &[], &[event], &settings).unwrap();
    let note = widen(&mut changes, &[sent("rain", 0.97), sent("station", 1.0)]).unwrap();
    assert!(note.contains("only as new: they are long"), "{note}");
    let types: Vec<&str> = changes
        .iter()
        .filter_map(|change| match change {
            Change::AddField { field_type, .. } => Some(field_type.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(types, ["double", "long", "long", "string"]);
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
