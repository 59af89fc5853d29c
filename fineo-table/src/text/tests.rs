//! Days as text and back.

use super::{day_of_text, day_text};

#[test]
fn a_day_and_its_date_name_each_other() {
    for (day, text) in [(0, "1970-01-01"), (20_779, "2026-11-22"), (-719_162, "0001-01-01"), (2_932_896, "9999-12-31")]
    {
        assert_eq!(day_text(day).unwrap(), text);
        assert_eq!(day_of_text(text).unwrap(), day);
    }
}

#[test]
fn what_is_no_date_is_refused() {
    for text in ["", "2026-02-30", "2026-2-3", "20261122", "2026-11-22T00:00:00"] {
        assert!(day_of_text(text).is_err(), "{text}");
    }
    assert!(day_text(i32::MAX).is_err());
}
