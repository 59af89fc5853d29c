//! Which texts are tenant ids.

use super::TenantId;

#[test]
fn letters_digits_dots_dashes_and_inner_underscores_are_legal() {
    for text in ["a", "ACME", "acme-2.eu_west", "9", &"x".repeat(128)] {
        assert!(TenantId::new(text).is_ok(), "{text}");
    }
}

#[test]
fn whatever_could_be_a_path_or_a_quote_is_refused() {
    for text in ["", "_x", ".x", "..", "a/b", "a b", "a'b", "a\"b", "é", "a\0", "a\n", &"x".repeat(129)] {
        assert!(TenantId::new(text).is_err(), "{text:?}");
    }
}

#[test]
fn ids_are_case_sensitive() {
    assert_ne!(TenantId::new("Acme").unwrap(), TenantId::new("acme").unwrap());
}

#[test]
fn a_refusal_shows_no_more_than_a_glimpse_of_the_text() {
    let error = TenantId::new(&"€".repeat(10_000)).unwrap_err();
    assert!(error.to_string().len() < 400);
}
