//! Which texts leave a statement, and which stay.

use super::*;
use crate::{QueryLimits, sql::text};

fn check(sql: &str, shape: &str, texts: &[&str]) {
    let lifted = lift(text::parse(sql, &QueryLimits::default()).unwrap());
    assert_eq!(lifted.shape.to_string(), shape);
    assert_eq!(lifted.texts.iter().map(|text| &**text).collect::<Vec<_>>(), texts);
}

#[test]
fn texts_that_columns_are_compared_with_leave_a_statement() {
    check(
        "SELECT a FROM t WHERE d = 'x' AND ('1' <= timestamp AND timestamp < '2')",
        "SELECT a FROM t WHERE d = $lifted0 AND ($lifted1 <= timestamp AND timestamp < $lifted2)",
        &["x", "1", "2"],
    );
    check(
        "WITH c AS (SELECT 1 FROM t WHERE a = 'x') SELECT 1 FROM c UNION ALL SELECT 2 FROM t WHERE b BETWEEN 'y' AND 'z'",
        "WITH c AS (SELECT 1 FROM t WHERE a = $lifted0) SELECT 1 FROM c UNION ALL SELECT 2 FROM t WHERE b BETWEEN $lifted1 AND $lifted2",
        &["x", "y", "z"],
    );
}

#[test]
fn what_may_mean_something_else_elsewhere_stays() {
    for sql in [
        "SELECT 'x' = a FROM t GROUP BY 1",
        "SELECT a FROM t WHERE d = 'x' OR d = 'y'",
        "SELECT a FROM t WHERE NOT d = 'x'",
        "SELECT a FROM t WHERE lower(d) = 'x' AND d <> 'z' AND n = 5",
        "SELECT a FROM t WHERE d = (SELECT max(d) FROM t WHERE a = 'x')",
    ] {
        check(sql, sql, &[]);
    }
}

#[test]
fn a_place_is_told_from_a_parameter() {
    assert_eq!(place("$lifted12"), Some(12));
    assert_eq!(place("$12"), None);
    assert!(!can_lift("SELECT a FROM t WHERE d = $lifted0"));
}
