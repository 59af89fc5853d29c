//! Which questions are known to have no rows, and how they are asked then.

use datafusion::sql::sqlparser::{ast::VisitMut, dialect::PostgreSqlDialect, parser::Parser};

use super::{super::names::Names, Nothing};

fn asked(sql: &str) -> String {
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
    let _ = VisitMut::visit(&mut statements, &mut Names);
    let _ = VisitMut::visit(&mut statements, &mut Nothing::default());
    statements.remove(0).to_string()
}

fn check(sql: &str, expected: &str) {
    assert_eq!(asked(sql), expected, "{sql}");
}

fn check_stays(sql: &str) {
    assert_eq!(asked(sql), Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0).to_string());
}

#[test]
fn what_reads_a_table_without_rows_has_its_columns_and_nothing_else() {
    let of_keys = "SELECT NULL AS \"a\" WHERE false";
    check("SELECT a FROM pg_index", of_keys);
    check("SELECT x.a::text FROM pg_catalog.pg_index x ORDER BY b LIMIT 3", of_keys);
    check("SELECT f(1) AS a FROM pg_class c, pg_index i GROUP BY i.b", of_keys);
    check("SELECT a FROM pg_class c JOIN (SELECT unnest(indkey) AS k FROM pg_index) i ON c.oid = i.k", of_keys);
    check("WITH i AS (SELECT k FROM pg_index), j AS (SELECT 1) SELECT a FROM i", of_keys);
    check("SELECT a FROM pg_class c LEFT JOIN pg_am m ON true JOIN pg_constraint k ON true", of_keys);
    check("SELECT a FROM pg_index i RIGHT JOIN pg_policy p ON true", of_keys);
    check("SELECT a FROM information_schema.key_column_usage", of_keys);
    check(
        "SELECT f(1), g.f(2), 3, c.x, CASE WHEN true THEN 1 END FROM pg_trigger c",
        "SELECT NULL AS \"f\", NULL AS \"f_2\", NULL AS \"?column?\", NULL AS \"x\", NULL AS \"case\" WHERE false",
    );
}

#[test]
fn what_may_have_rows_is_asked_as_it_is() {
    for sql in [
        "SELECT a FROM pg_class",
        "SELECT a FROM pg_class AS c LEFT JOIN pg_index AS i ON c.oid = i.indrelid",
        "SELECT a FROM pg_index AS i FULL JOIN pg_class AS c ON c.oid = i.indrelid",
        "SELECT count(*) AS n FROM pg_index",
        "SELECT coalesce(max(a), 0) AS n FROM pg_index",
        "SELECT count(*) AS n WHERE false",
        "SELECT * FROM pg_index",
        "SELECT a FROM public.pg_index",
        "WITH pg_index AS (SELECT 1 AS a) SELECT a FROM pg_index",
    ] {
        check_stays(sql);
    }
}

#[test]
fn a_part_without_rows_is_simple_within_a_question_that_may_have_some() {
    check(
        "SELECT a FROM pg_class UNION ALL SELECT b FROM pg_index ORDER BY 1",
        "SELECT a FROM pg_class UNION ALL SELECT NULL AS \"b\" WHERE false ORDER BY 1",
    );
    check(
        "SELECT a, (SELECT adbin FROM pg_attrdef d WHERE d.adrelid = c.oid) FROM pg_class c \
         WHERE NOT EXISTS (SELECT 1 FROM pg_depend) AND oid NOT IN (SELECT indrelid FROM pg_index)",
        "SELECT a, NULL AS \"adbin\" FROM pg_class c WHERE true AND true",
    );
    check(
        "SELECT a FROM pg_class c LEFT JOIN (SELECT array_agg(k) AS k FROM pg_index GROUP BY i) x ON true",
        "SELECT a FROM pg_class c LEFT JOIN (SELECT NULL AS \"k\" WHERE false) x ON true",
    );
    check("SELECT (SELECT count(*) FROM pg_index)", "SELECT (SELECT count(*) AS \"count\" FROM pg_index) AS \"count\"");
}

#[test]
fn what_is_computed_has_the_name_that_postgres_gives_it_once() {
    check(
        "SELECT NULL AS a, n.b, NULL, NULL, f(1), x::text, g(1)::int, (SELECT y FROM t) FROM n",
        "SELECT NULL AS a, n.b, NULL AS \"?column?\", NULL AS \"?column?_2\", f(1) AS \"f\", x::TEXT, g(1)::INT AS \"g\", \
         (SELECT y FROM t) AS \"y\" FROM n",
    );
}
