//! Bodies cut into events.

use super::Framer;

/// The texts of the frames of `body`, broken ones marked with `!`.
fn frames(body: &str) -> Vec<String> {
    let mut framer = Framer::new();
    let mut found = Vec::new();
    while let Some(frame) = framer.next(body.as_bytes(), true) {
        let mark = if frame.is_broken { "!" } else { "" };
        found.push(format!("{mark}{}", &body[frame.start..frame.end]));
    }
    found
}

/// The same, when the body comes in pieces of `size` bytes.
fn frames_in_pieces(body: &str, size: usize) -> Vec<String> {
    let mut framer = Framer::new();
    let mut window: Vec<u8> = Vec::new();
    let mut found = Vec::new();
    let mut pieces = body.as_bytes().chunks(size).peekable();
    while let Some(piece) = pieces.next() {
        window.extend_from_slice(piece);
        let is_end = pieces.peek().is_none();
        while let Some(frame) = framer.next(&window, is_end) {
            let mark = if frame.is_broken { "!" } else { "" };
            found.push(format!("{mark}{}", String::from_utf8_lossy(&window[frame.start..frame.end])));
        }
        let consumed = framer.consumed();
        window.drain(..consumed);
        framer.shift(consumed);
    }
    found
}

#[track_caller]
fn check(body: &str, expected: &[&str]) {
    assert_eq!(frames(body), expected, "{body:?}");
    for size in [1, 2, 3, 7] {
        assert_eq!(frames_in_pieces(body, size), expected, "{body:?} in pieces of {size}");
    }
}

#[test]
fn events_are_found_however_they_are_strung_together() {
    let (one, two) = (r#"{"a":1}"#, r#"{"b":"}{\"[\\"}"#);
    for body in
        [format!("[{one},{two}]"), format!("{one}\n{two}\r\n"), format!("{one}{two}"), format!("[{one}]\n[{two}]")]
    {
        check(&body, &[one, two]);
    }
    check("[]", &[]);
    check(" \n", &[]);
    check("{\"a\":\n {\"b\":\n1}\n}\n{}", &["{\"a\":\n {\"b\":\n1}\n}", "{}"]);
}

#[test]
fn a_broken_event_does_not_take_its_neighbours_with_it() {
    // E34
    let good = r#"{"a":1}"#;
    for bad in [r#"{"a":1"#, r#"{"a":"x"#, r#"{"a":[1}"#, "hello there", "}", r#"{"a" 1"#, "{", r#"{"a":{"b":1}"#] {
        check(&format!("{good}\n{bad}\n{good}\n"), &[good, &format!("!{bad}"), good]);
        check(&format!("{bad}\n{good}\n{good}"), &[&format!("!{bad}"), good, good]);
    }
}

#[test]
fn what_is_no_object_is_still_framed() {
    // E02
    check("42", &["42"]);
    check("null\ntrue \"x\"", &["null", "true", "\"x\""]);
    check("[1,[2],{}]", &["1", "[2]", "{}"]);
    check("[{}", &["{}", "!"]);
}

#[test]
fn deep_nesting_is_one_broken_event_with_its_depth() {
    // E04
    let body = "[".repeat(100_000);
    let frame = Framer::new().next(body.as_bytes(), true).unwrap();
    assert!(frame.is_broken && frame.depth > 64);
}
