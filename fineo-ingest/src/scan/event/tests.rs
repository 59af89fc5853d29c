//! Events read into names and values, checked against another parser.

use fineo_core::Code;
use proptest::prelude::*;
use serde_json::Value;

use super::{Fields, Kind};
use crate::scan::names::Names;

/// The fields of `source` as `name=text`, or the code it is rejected with.
fn read(names: &mut Names, source: &str) -> Result<Vec<(String, Kind, String)>, Code> {
    let mut fields = Fields::default();
    fields.read(names, source, 10_000).map_err(|rejection| rejection.code)?;
    let cells = fields.cells().iter();
    Ok(cells
        .map(|cell| (names.name(cell.name).text.to_string(), cell.kind, fields.text(source, cell).to_owned()))
        .collect())
}

#[track_caller]
fn check(source: &str, expected: &[(&str, &str)]) {
    let mut names = Names::new();
    // Twice: the second time every key is guessed.
    for _ in 0..2 {
        let found = read(&mut names, source).unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|(name, _, text)| (&**name, &**text)).collect();
        assert_eq!(found, expected, "{source}");
    }
}

#[track_caller]
fn check_rejected(source: &str, code: Code) {
    assert_eq!(read(&mut Names::new(), source), Err(code), "{source}");
}

#[test]
fn fields_are_flattened_and_texts_are_exact() {
    // E16, E19
    check(
        r#"{"a":1.50,"g":{"lat":-0.0e+1,"o":{}},"l":[1, {"x":"]"}],"n":null,"s":"","b":true}"#,
        &[("a", "1.50"), ("g.lat", "-0.0e+1"), ("g.o", "{}"), ("l", r#"[1, {"x":"]"}]"#), ("s", ""), ("b", "true")],
    );
    check(
        r#"{"big":9007199254740993,"e":1e400,"PM2.5":4,"CO(GT)":1,"温度":3,"select":1}"#,
        &[("big", "9007199254740993"), ("e", "1e400"), ("PM2.5", "4"), ("CO(GT)", "1"), ("温度", "3"), ("select", "1")],
    );
    check(r#"{"q\"k":"a\u00e9\ud83d\ude00\n"}"#, &[("q\"k", "aé😀\n")]);
    check(" { } ", &[]);
}

#[test]
fn what_is_not_legal_has_its_code() {
    // E06, E07, E11, E12, E14
    check_rejected(r#"{"t":1,"t":2}"#, Code::DuplicateKey);
    check_rejected(r#"{"t":null,"t":2}"#, Code::DuplicateKey);
    check_rejected(r#"{"t":1,"\u0074":2}"#, Code::DuplicateKey);
    check_rejected(r#"{"a":{"b":1},"a.b":2}"#, Code::DuplicateKey);
    check_rejected(r#"{"l":[{"b":1,"\u0062":2}]}"#, Code::DuplicateKey);
    check_rejected(r#"{"":1}"#, Code::NameUnreadable);
    check_rejected(r#"{"a\u0000":1}"#, Code::NameUnreadable);
    check_rejected(&format!(r#"{{"{}":1}}"#, "x".repeat(256)), Code::NameUnreadable);
    check_rejected(r#"{"_fineo_a":1}"#, Code::NameReserved);
    check_rejected(&format!("{}1{}", r#"{"a":"#.repeat(65), "}".repeat(65)), Code::TooDeep);
    check_rejected(&format!(r#"{{"a":{}{}}}"#, "[".repeat(64), "]".repeat(64)), Code::TooDeep);
    check_rejected("[]", Code::NotAnObject);
    for source in [
        "",
        "{",
        "{}x",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":+1}",
        "{\"a\":tru}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\t\"}",
        "{'a':1}",
        "{\"a\":[1,]}",
        "{\"a\":[\"\\u12\"]}",
        "{\"a\":NaN}",
    ] {
        check_rejected(source, Code::JsonUnreadable);
    }
}

#[test]
fn all_reserved_names_are_listed() {
    let mut fields = Fields::default();
    let rejection = fields.read(&mut Names::new(), r#"{"_fineo_a":1,"x":{"y":1},"_fineo_b":2}"#, 10).unwrap_err();
    assert!(rejection.message.contains("_fineo_a, _fineo_b"), "{rejection}");
}

/// What serde_json makes of an event, flattened the slow way. None where an object has a key twice or a name is not
/// legal: serde_json does not tell.
fn model(value: &Value, prefix: &str, out: &mut Vec<(String, Kind, String)>) {
    let Value::Object(object) = value else { return };
    for (key, value) in object {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Null => {}
            Value::Bool(value) => out.push((name, Kind::Boolean, value.to_string())),
            Value::Number(value) => out.push((name, Kind::Number, value.to_string())),
            Value::String(value) => out.push((name, Kind::String, value.clone())),
            Value::Array(_) => out.push((name, Kind::Array, value.to_string())),
            Value::Object(inner) if inner.is_empty() => out.push((name, Kind::EmptyObject, "{}".to_owned())),
            Value::Object(_) => model(value, &name, out),
        }
    }
}

fn json(depth: u32) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\\n\u{1f600}é]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-e\"é]{1,3}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn it_reads_what_serde_json_reads(
        objects in prop::collection::vec(prop::collection::hash_map("[a-e\"é]{1,3}", json(4), 0..6), 1..4)
    ) {
        let mut names = Names::new();
        for object in objects {
            let value = Value::Object(object.into_iter().collect());
            let mut expected = Vec::new();
            model(&value, "", &mut expected);
            prop_assert_eq!(read(&mut names, &value.to_string()), Ok(expected));
        }
    }

    #[test]
    fn it_refuses_what_serde_json_refuses(
        object in prop::collection::hash_map("[a-e]{1,3}", json(4), 1..6),
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[\\]\\[{}:,\"\\\\0-9.eu+ -]"), 1..3)
    ) {
        let mut text = Value::Object(object.into_iter().collect()).to_string();
        for (at, with) in edits {
            let at = at.index(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                text.replace_range(at..=at, &with);
            }
        }
        // A number beyond a double is kept here and refused there, so the grammar alone is asked as well.
        let grammar = serde_json::from_str::<std::collections::BTreeMap<String, serde::de::IgnoredAny>>(&text).is_ok();
        let whole = serde_json::from_str::<serde_json::Map<String, Value>>(&text).is_ok();
        match read(&mut Names::new(), &text) {
            Ok(_) => prop_assert!(grammar, "{} was read", text),
            Err(Code::JsonUnreadable | Code::NotAnObject) => prop_assert!(!whole, "{} was not read", text),
            Err(Code::DuplicateKey | Code::NameUnreadable) => {}
            Err(other) => prop_assert!(false, "{} is {}", text, other),
        }
    }
}
