//! Which names are legal, and which are near a name that was not found.

use fineo_core::{Error, Result};

/// The most bytes of a name of a metric or field.
pub const NAME_BYTES_MAX: usize = 255;

/// What looking up an identifier found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// Exactly one thing has this name.
    One(T),
    /// Several names match when case is ignored, and none matches exactly.
    Ambiguous(Vec<String>),
    /// Nothing has this name.
    None {
        /// Names that look like it, nearest first.
        near: Vec<String>,
    },
}

impl<T> Found<T> {
    /// The one thing that was found.
    pub fn one(self) -> Option<T> {
        match self {
            Self::One(value) => Some(value),
            Self::Ambiguous(_) | Self::None { .. } => None,
        }
    }
}

/// Whether events may bear `name` for a field: 1–255 bytes without control characters.
pub fn is_legal(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// Whether `name` begins with the prefix that belongs to Fineo.
pub fn is_reserved(name: &str) -> bool {
    name.starts_with("_fineo_")
}

/// Whether events may name a metric `name`.
pub fn is_legal_metric(name: &str) -> bool {
    is_legal(name) && !is_reserved(name) && !name.starts_with("fineo_")
}

/// Checks a name or alias of a field that is to be declared.
///
/// # Errors
///
/// `Invalid` when it is illegal, reserved, or `timestamp`.
pub fn check_field(name: &str) -> Result<()> {
    check_legal("field", name)?;
    if name == "timestamp" {
        return Err(Error::invalid(
            "no field can be declared timestamp: it is every metric's time; add time keys with a timestamp alias",
        ));
    }
    Ok(())
}

/// Checks a name or alias of a metric.
///
/// # Errors
///
/// `Invalid` when it is illegal or reserved.
pub fn check_metric(name: &str) -> Result<()> {
    check_legal("metric", name)?;
    if name.starts_with("fineo_") {
        return Err(Error::invalid("names that begin with fineo_ are reserved for views").with("name", name));
    }
    Ok(())
}

/// Checks the name of a role.
///
/// # Errors
///
/// `Invalid` when it has other characters than letters and digits of ASCII, `_`, `-` and `.`, or more than 64 of them.
pub fn check_role(name: &str) -> Result<()> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if (1..=64).contains(&name.len()) && name.chars().all(is_plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(64).collect();
    Err(Error::invalid("not a name of a role: it has 1-64 letters, digits, _, - and .").with("role", shown))
}

fn check_legal(of: &'static str, name: &str) -> Result<()> {
    if !is_legal(name) {
        let shown: String = name.chars().take(60).collect();
        return Err(Error::invalid("not a legal name: it has 1-255 bytes and no control characters")
            .with("of", of)
            .with("name", shown));
    }
    if is_reserved(name) {
        return Err(Error::invalid("names that begin with _fineo_ are reserved").with("of", of).with("name", name));
    }
    Ok(())
}

/// At most three of `names` that look like `name`, nearest first.
pub fn near<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = distance_within(&wanted, &lower, (wanted.chars().count() + 1) / 4);
            let is_part = wanted.len() >= 3 && (lower.contains(&wanted) || wanted.contains(&lower) && lower.len() >= 3);
            distance.or(is_part.then_some(3)).map(|distance| (distance, candidate))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(3).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// How many characters differ between `a` and `b` (added, left out, replaced), if at most `limit`.
pub(crate) fn distance_within(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests;
