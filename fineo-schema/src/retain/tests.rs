//! Days as text and as data.

use super::RetainDays;

#[test]
fn days_and_for_ever_are_read_as_they_are_written() {
    for (text, json, first) in [("30", "30", Some(70)), ("1", "1", Some(99)), ("forever", "\"forever\"", None)] {
        let days: RetainDays = text.parse().unwrap();
        assert_eq!(days.to_string(), text);
        assert_eq!(serde_json::to_string(&days).unwrap(), json);
        assert_eq!(serde_json::from_str::<RetainDays>(json).unwrap(), days);
        assert_eq!(days.first_day(100), first);
    }
}

#[test]
fn what_is_no_number_of_days_is_refused() {
    for text in ["0", "-1", "", "ever", "1.5", "99999999999"] {
        assert!(text.parse::<RetainDays>().is_err(), "{text}");
    }
    assert!(serde_json::from_str::<RetainDays>("0").is_err());
}
