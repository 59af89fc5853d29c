//! `SIMILAR TO`: the standard's patterns, said as the regular expressions that the engine knows.
//!
//! The planner would take the pattern for such an expression as it is: `%` and `_` would be letters, and a part of the text
//! would do.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement, Value, VisitMut, VisitorMut};
use fineo_core::{Error, Result};

use crate::error::unsupported;

/// Says the patterns of `statement` as regular expressions.
///
/// # Errors
///
/// `unsupported_sql` for a pattern that is no literal.
pub(super) fn rewrite(statement: &mut Statement) -> Result<()> {
    match VisitMut::visit(statement, &mut Patterns) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Patterns;

impl VisitorMut for Patterns {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::SimilarTo { negated, expr: tested, pattern, escape_char } = expr else {
            return ControlFlow::Continue(());
        };
        let escape = match escape_char.as_ref().map(|escape| text(&escape.value)) {
            None => Some('\\'),
            Some(escape) => escape.and_then(|escape| escape.chars().next()),
        };
        let Expr::Value(literal) = &**pattern else { return ControlFlow::Break(no_literal()) };
        let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
        let right = match (text(&literal.value), &literal.value) {
            (Some(pattern), _) => Value::SingleQuotedString(regex(pattern, escape)),
            (None, Value::Null) => Value::Null,
            (None, _) => return ControlFlow::Break(no_literal()),
        };
        let left = Box::new(std::mem::replace(&mut **tested, Expr::Value(Value::Null.into())));
        let test = Expr::BinaryOp { left, op, right: Box::new(Expr::Value(right.into())) };
        *expr = Expr::Nested(Box::new(test));
        ControlFlow::Continue(())
    }
}

fn no_literal() -> Error {
    unsupported("SIMILAR TO a pattern that is no literal: column ~ pattern takes regular expressions")
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
        _ => None,
    }
}

/// The regular expression that says the same of a whole text.
fn regex(pattern: &str, escape: Option<char>) -> String {
    let mut out = String::from("^(?s:");
    let mut is_in_class = false;
    let mut chars = pattern.chars().peekable();
    while let Some(next) = chars.next() {
        if Some(next) == escape {
            // At the end it stands for itself.
            literal(chars.next().unwrap_or(next), &mut out);
            continue;
        }
        match next {
            ']' if is_in_class => {
                is_in_class = false;
                out.push(']');
            }
            '[' if is_in_class && chars.peek() == Some(&':') => {
                // A class by name, such as [:alpha:], ends with its own bracket.
                out.push('[');
                for inside in chars.by_ref() {
                    out.push(inside);
                    if inside == ']' {
                        break;
                    }
                }
            }
            '[' if !is_in_class => {
                is_in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            '-' if is_in_class => out.push('-'),
            inside if is_in_class => literal(inside, &mut out),
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '|' | '*' | '+' | '?' | '{' | '}' | ')' => out.push(next),
            other => literal(other, &mut out),
        }
    }
    out.push_str(")$");
    out
}

/// Letters that mean something in a regular expression. Others mean something once they are escaped.
const META: &str = r"\.+*?()|[]{}^$#&-~";

fn literal(letter: char, out: &mut String) {
    if META.contains(letter) {
        out.push('\\');
    }
    out.push(letter);
}

#[cfg(test)]
mod tests {
    use super::regex;

    #[test]
    fn a_pattern_says_of_a_whole_text_what_the_standard_says() {
        for (pattern, said) in [
            ("(a|h)%", "^(?s:(?:a|h).*)$"),
            ("%[0-9]+", "^(?s:.*[0-9]+)$"),
            ("a_c", "^(?s:a.c)$"),
            ("a.c$", r"^(?s:a\.c\$)$"),
            ("[^a&&[:alpha:]]{2,3}", r"^(?s:[^a\&\&[:alpha:]]{2,3})$"),
            (r"50\%", "^(?s:50%)$"),
            (r"a\", r"^(?s:a\\)$"),
            ("<a>{2,}", "^(?s:<a>{2,})$"),
        ] {
            assert_eq!(regex(pattern, Some('\\')), said, "{pattern}");
        }
        assert_eq!(regex("50#%#", Some('#')), r"^(?s:50%\#)$");
        assert_eq!(regex(r"a\d", None), r"^(?s:a\\d)$");
    }
}
