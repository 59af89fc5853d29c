//! A glance tells what reading the whole event tells, or nothing.

use proptest::prelude::*;

use super::*;

fn glanced(event: &str) -> Option<String> {
    glance(event.as_bytes(), &Finder::new("\"who\"")).map(str::to_owned)
}

#[test]
fn a_glance_finds_a_key_that_is_one_and_occurs_once() {
    let acme = Some("acme".to_owned());
    assert_eq!(glanced(r#"{"who":"acme","a":1}"#), acme);
    assert_eq!(glanced(r#"{"a":",","who" : "acme"}"#), acme);
    // A twin, a value, half a string, an escape, a number: each takes reading.
    for event in [
        r#"{"who":"acme","who":"beta"}"#,
        r#"{"who":"acme","w\u0068o":"beta"}"#,
        r#"{"a":"who","who":"acme"}"#,
        r#"{"a":"b"who":"acme"}"#,
        r#"{"a":"who"}"#,
        r#"{"who":7}"#,
        r#"{"whose":"acme"}"#,
    ] {
        assert_eq!(glanced(event), None, "{event}");
    }
}

proptest! {
    #[test]
    fn a_glance_never_differs_from_reading(
        event in "\\{(\"(who|a|b|w)\"|[:, ]|\"acme\"|1|\"x,\"|\\\\u0068|who){0,12}\\}",
    ) {
        let mut field = ByField::new("who").unwrap();
        let read = field.read(
            Event { bytes: event.as_bytes(), header: None, is_flat: true },
            Format::Json,
            &Limits::default(),
        );
        if let (Some(glanced), Ok(read)) = (glanced(&event), read) {
            prop_assert_eq!(glanced, read);
        }
    }
}
