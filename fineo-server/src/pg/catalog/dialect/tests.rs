//! What can be read in very many ways.

use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

use super::{super::recognition, Postgres};

#[test]
fn a_question_that_could_be_read_in_very_many_ways_is_not_tried_for_ever() {
    for open in ["f(", "position(", "CAST(", "substring(", "overlay(", "f(DISTINCT ", "ROW(", "convert(", "ceil("] {
        let sql = format!("SELECT {} FROM pg_class", open.repeat(50));
        let dialect = Postgres::for_words(100);
        let mut parser = Parser::new(&dialect).with_recursion_limit(300).try_with_sql(&sql).unwrap();
        assert!(parser.parse_statements().is_err(), "{open}");
    }
}

#[test]
fn a_question_of_tables_in_many_brackets_is_left_to_the_engine_unread() {
    // To read it takes longer than anybody waits.
    let sql = format!("SELECT * FROM {}pg_catalog.pg_class", "((SELECT * FROM ".repeat(31));
    assert!(recognition::parse(&sql).is_ok_and(|asked| asked.is_none()));
    let sql = "SELECT * FROM ((SELECT * FROM ((SELECT relname FROM pg_catalog.pg_class)) x)) y";
    assert!(recognition::parse(sql).is_ok_and(|asked| asked.is_some()));
}

#[test]
fn questions_read_as_those_of_postgres() {
    for sql in [
        "SELECT c.oid::regclass::text, a.x[1] FROM pg_catalog.pg_class c WHERE c.relname OPERATOR(pg_catalog.~) '^(m)$'",
        "SELECT a <-> b, x IS NOT NULL, E'\\n' FROM ONLY t AS u (v) ORDER BY 1 USING <",
        "SELECT f(a => 1, VARIADIC b), CASE WHEN a THEN ARRAY[[1], [2]] END",
        "SELECT $1::int4, trim(both 'x' from y), extract(epoch FROM t), ((a, b)).c",
    ] {
        let of_postgres = Parser::parse_sql(&PostgreSqlDialect {}, sql);
        assert_eq!(Parser::parse_sql(&Postgres::for_words(50), sql), of_postgres, "{sql}");
    }
}
