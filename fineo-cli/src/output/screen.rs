//! Makes text safe to show: what would move the cursor, ring, colour or reorder is shown as an escape.

use std::{borrow::Cow, fmt::Write};

/// Whether a terminal acts on `character` instead of showing it.
pub(crate) fn is_active(character: char) -> bool {
    let is_bidi =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}');
    let is_break = matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}');
    character.is_control() || is_bidi || is_break
}

/// Appends `text` to `out`, with what a terminal would act on escaped.
pub(crate) fn push_escaped(text: &str, out: &mut String) {
    for character in text.chars() {
        if !is_active(character) {
            out.push(character);
            continue;
        }
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(other));
            }
        }
    }
}

/// `text` with what a terminal would act on escaped.
pub(crate) fn screened(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    push_escaped(text, &mut out);
    Cow::Owned(out)
}
