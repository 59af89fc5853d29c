//! Remembered values are those that parsing gives.

use arrow::array::StringViewArray;

use super::Memo;

/// Checks that `texts` mean what they mean, and how many were parsed.
fn check(texts: &[String], parsed_max: usize) {
    let views: StringViewArray = texts.iter().map(Some).collect();
    let mut memo = Memo::new(texts.len());
    let mut parsed = 0;
    for (row, text) in texts.iter().enumerate() {
        let value = memo.value(views.views()[row], || {
            parsed += 1;
            text.parse::<f64>().ok()
        });
        assert_eq!(value, text.parse::<f64>().ok(), "{text}");
    }
    assert!(parsed <= parsed_max, "{parsed} of {} were parsed", texts.len());
}

#[test]
fn a_text_of_many_rows_is_parsed_once() {
    let text = |row: usize| format!("{}.5", row % 100);
    check(&(0..10_000).map(text).collect::<Vec<_>>(), 2_000);
}

#[test]
fn texts_that_differ_little_are_told_apart() {
    let text = |row: usize| ["", "0", "00", "0.0", "warm", "-0.000000001", "12345678901.5"][row % 7].to_owned();
    check(&(0..10_000).map(text).collect::<Vec<_>>(), 2_000);
}

#[test]
fn texts_that_never_come_again_are_soon_remembered_no_more() {
    let texts: Vec<String> = (0..10_000).map(|row| row.to_string()).collect();
    check(&texts, texts.len());
}
