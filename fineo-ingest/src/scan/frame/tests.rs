//! Bodies cut into events.

use proptest::prelude::*;

use super::{Framer, Step, Value, flat};

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

proptest! {
    #[test]
    fn a_glance_at_a_line_sees_what_following_it_sees(line in "\\{([\"a:,{}\\[\\] \\\\\\t]|\"b\":1){0,24}\\}? ?") {
        let window = format!("{line}\n{{}}");
        let mut value = Value::new(0);
        value.enter(b'{');
        value.at = 1;
        if let Some(frame) = flat::frame(window.as_bytes(), 0) {
            prop_assert!(matches!(value.follow(window.as_bytes()), Step::Done(end) if end == frame.end));
            prop_assert!(frame.depth == value.deepest && frame.keys >= value.keys);
        }
    }
}

#[test]
fn a_flat_event_on_its_line_is_seen_at_a_glance() {
    let long = format!("{{\"a\":\"{}\"}}  \r\n", "x".repeat(1000));
    for (line, end) in [("{\"a\":1,\"b\":\"x,y\"}\n", 17), ("{}\n", 2), (&*long, 1008)] {
        assert_eq!(flat::frame(line.as_bytes(), 0).map(|frame| frame.end), Some(end), "{line}");
    }
    for line in [
        "{\"a\":1}",
        "{\"a\":[1]}\n",
        "{\"a\":\"}\"}\n",
        "{\"a\":\"\\u0031\"}\n",
        "{\"a\":1},\n",
        "{\"a\n\"}\n",
        "[1]\n",
    ] {
        assert!(flat::frame(line.as_bytes(), 0).is_none(), "{line}");
    }
}
