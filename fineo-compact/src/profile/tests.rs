//! Evidence becomes types and counts.

use super::*;

fn of(texts: &[&str]) -> NameProfile {
    let mut profile = NameProfile::default();
    texts.iter().for_each(|text| profile.text(text, 0));
    profile
}

#[test]
fn the_narrowest_type_holds_nearly_all_values() {
    let mixed: Vec<&str> = std::iter::repeat_n("1.5", 19).chain(["warm"]).collect();
    for (texts, expected) in [
        (&["1", "2", "-41"][..], FieldType::Long),
        (&["1", "2.5", "3"], FieldType::Double),
        (&["1.50", "2.5", "3.25"], FieldType::Double),
        (&["true", "false"], FieldType::Boolean),
        (&["heat", "cool"], FieldType::String),
        (&["1", "heat"], FieldType::String),
        (&["007", "008"], FieldType::String),
        (&mixed, FieldType::Double),
        (&[], FieldType::Boolean),
    ] {
        assert_eq!(of(texts).narrowest(), expected, "{texts:?}");
    }
}

#[test]
fn distinct_words_are_counted_within_a_few_percent() {
    let mut profile = NameProfile::default();
    for number in 0..40_000 {
        profile.text(&format!("dev-{:06}", number % 5_000), 0);
    }
    let distinct = profile.distinct_words().unwrap();
    assert!((4_800.0..5_200.0).contains(&distinct), "{distinct}");
    assert!(of(&["1", "2"]).distinct_words().is_none());
}

#[test]
fn a_name_with_few_words_takes_little_memory_and_they_are_counted_all_the_same() {
    // B1
    let mut profile = NameProfile::default();
    for number in 0..1_000 {
        profile.text(&format!("dev-{}", number % LISTED_MAX), 0);
    }
    let distinct = profile.distinct_words().unwrap();
    assert!((31.9..32.1).contains(&distinct), "{distinct}");
    assert!(matches!(&profile.distinct, Sketch::Few(bits) if bits.len() <= LISTED_MAX), "{profile:?}");
    let mut more = of(&["another", "and another"]);
    more.merge(&profile);
    let mut other = profile.clone();
    other.merge(&of(&["another", "and another"]));
    assert_eq!(more.distinct_words(), other.distinct_words());
    assert!((33.9..34.1).contains(&more.distinct_words().unwrap()));
}

#[test]
fn the_order_of_records_does_not_matter() {
    let (mut one, mut other) = (of(&["1", "x"]), of(&["y", "2.5"]));
    let (left, right) = (one.clone(), other.clone());
    one.merge(&right);
    other.merge(&left);
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}
