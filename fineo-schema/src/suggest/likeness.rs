//! Whether two names look like one, and two ranges.

use crate::name::distance_within;

/// Whether the names are alike: equal but for case and punctuation, one the beginning of the other, or a
/// slip apart.
pub(super) fn is_like(left: &str, right: &str) -> bool {
    let (left, right) = (plain(left), plain(right));
    let shorter = left.chars().count().min(right.chars().count());
    if shorter == 0 || left == right {
        return shorter > 0;
    }
    // `temp1` and `temp2` are two things.
    let is_number_apart = left.trim_end_matches(is_digit) == right.trim_end_matches(is_digit);
    if is_number_apart {
        return false;
    }
    let is_beginning = shorter >= 3 && (left.starts_with(&right) || right.starts_with(&left));
    is_beginning || shorter >= 5 && distance_within(&left, &right, shorter / 5).is_some()
}

fn is_digit(character: char) -> bool {
    character.is_ascii_digit()
}

fn plain(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How much of the smaller range lies in both, 0–1.
pub(super) fn overlap(left: (f64, f64), right: (f64, f64)) -> f64 {
    let common = left.1.min(right.1) - left.0.max(right.0);
    let smaller = (left.1 - left.0).min(right.1 - right.0);
    match smaller > 0.0 {
        true => (common / smaller).clamp(0.0, 1.0),
        // A single value lies in the other range or does not.
        false => f64::from(u8::from(common >= 0.0)),
    }
}
