//! What stays in the brackets that it is put into.

use super::check_predicate;
use crate::QueryLimits;

#[test]
fn a_condition_stays_in_the_brackets_that_it_is_put_into() {
    let check = |text: &str| check_predicate(text, &QueryLimits::default()).map_err(|error| error.to_string());
    for kept in ["code = 'a'", "(a) OR (b IN (1, 2))", "raw LIKE '%) OR (%'", "a -- ) of a comment", "a /* ) */"] {
        assert_eq!(check(kept), Ok(()), "{kept}");
    }
    for (broken, told) in [
        ("1 = 1) OR (1 = 1", "position=line 1, column 6"),
        ("a = 1\n) OR (b", "position=line 2, column 1"),
        ("(a", "does not close"),
        ("a; DROP TABLE b", "multiple_statements"),
        ("a;", "found=;"),
        ("", "sql_syntax"),
    ] {
        let error = check(broken).unwrap_err();
        assert!(error.contains(told), "{broken}: {error}");
    }
}
