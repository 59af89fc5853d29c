//! What `IS DISTINCT FROM` compares, and what `^` is a power of.

use datafusion::sql::sqlparser::{
    ast::{Expr, SetExpr, Statement, UnaryOperator},
    dialect::{Dialect, GenericDialect},
};

use super::Sql;
use crate::{QueryLimits, sql::text::parse};

fn condition(sql: &str) -> Expr {
    let statement = parse(&format!("SELECT x FROM t WHERE {sql}"), &QueryLimits::default()).unwrap();
    let Statement::Query(query) = statement else { panic!("{sql}") };
    let SetExpr::Select(select) = *query.body else { panic!("{sql}") };
    select.selection.unwrap()
}

/// `expr` with parentheses around every comparison and every condition of two parts.
fn told(expr: &Expr) -> String {
    match expr {
        Expr::IsDistinctFrom(left, right) => format!("[{} <> {}]", told(left), told(right)),
        Expr::IsNotDistinctFrom(left, right) => format!("[{} == {}]", told(left), told(right)),
        Expr::BinaryOp { left, op, right } => format!("[{} {op} {}]", told(left), told(right)),
        Expr::UnaryOp { op: op @ (UnaryOperator::Minus | UnaryOperator::Plus), expr } => {
            format!("[{op}{}]", told(expr))
        }
        Expr::Nested(inner) => told(inner),
        other => other.to_string(),
    }
}

#[test]
fn and_and_or_are_no_part_of_what_values_are_compared_with() {
    for (sql, expected) in [
        ("a IS DISTINCT FROM b", "[a <> b]"),
        ("a IS DISTINCT FROM b AND c", "[[a <> b] AND c]"),
        ("x AND a IS DISTINCT FROM b OR c", "[[x AND [a <> b]] OR c]"),
        ("c OR a is not distinct from b + 1 or d", "[[c OR [a == [b + 1]]] OR d]"),
        ("a = b IS DISTINCT FROM c = d AND e", "[[[a = b] <> [c = d]] AND e]"),
        ("a IS DISTINCT FROM b BETWEEN 1 AND 2 AND c", "[[a <> b BETWEEN 1 AND 2] AND c]"),
        ("a IS DISTINCT FROM CASE WHEN b AND c THEN d END OR e", "[[a <> CASE WHEN b AND c THEN d END] OR e]"),
        ("a IS DISTINCT FROM 1 AND b IS NOT DISTINCT FROM 2 OR c", "[[[a <> 1] AND [b == 2]] OR c]"),
        ("a IS DISTINCT FROM (b AND c)", "[a <> [b AND c]]"),
        ("NOT a IS DISTINCT FROM b AND c", "[NOT a IS DISTINCT FROM b AND c]"),
    ] {
        assert_eq!(told(&condition(sql)), expected, "{sql}");
    }
}

#[test]
fn a_power_binds_more_tightly_than_a_product_and_less_so_than_a_sign() {
    for (sql, expected) in [
        ("a * b ^ c * d", "[[a * [b ^ c]] * d]"),
        ("a ^ b ^ c", "[[a ^ b] ^ c]"),
        ("-a ^ b", "[[-a] ^ b]"),
        ("a ^ -b ^ c", "[[a ^ [-b]] ^ c]"),
        ("- a * b + - c", "[[[-a] * b] + [-c]]"),
        ("-a::int ^ 2 = +b", "[[[-a::INT] ^ 2] = [+b]]"),
        ("a << b + c", "[a << [b + c]]"),
    ] {
        assert_eq!(told(&condition(sql)), expected, "{sql}");
    }
}

#[test]
fn all_else_is_read_as_the_general_dialect_does() {
    // A list of what it supports, taken from its source, may fall behind: some of what queries use of it.
    assert!(
        Sql::for_words(0).supports_filter_during_aggregation() && GenericDialect.supports_filter_during_aggregation()
    );
    for sql in [
        "SELECT * EXCEPT (a) FROM t",
        "SELECT * REPLACE (a + 1 AS a) FROM t",
        "SELECT count(*) FILTER (WHERE a > 1) FROM t GROUP BY ALL",
        "SELECT sum(a) OVER w FROM t WINDOW w AS (ORDER BY b)",
        "FROM t SELECT a",
        "SELECT first_value(a IGNORE NULLS) OVER (ORDER BY b) FROM t",
        "SELECT `a`, \"b\", [1, 2], {'k': 1}, E'\\n', 1 << 2 FROM t LIMIT 1, 2",
    ] {
        assert!(parse(sql, &QueryLimits::default()).is_ok(), "{sql}");
    }
}
