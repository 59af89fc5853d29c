//! `SIMILAR TO`: the standard's patterns, said as the regular expressions that the engine knows.
//!
//! The planner would take the pattern for such an expression as it is: `%` and `_` would be letters, and a part of the text
//! would do.

use std::{iter::Peekable, ops::ControlFlow, str::Chars};

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement, Value, VisitMut, VisitorMut};
use fineo_core::{Error, Result};

use crate::error::{refused, unsupported};

/// Says the patterns of `statement` as regular expressions.
///
/// # Errors
///
/// `unsupported_sql` for a pattern that is no literal, `query_invalid` for one of a class that there is not.
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
        let Some(literal) = folded(pattern) else { return ControlFlow::Break(no_literal()) };
        let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
        let right = match literal {
            Some(pattern) => match regex(&pattern, escape) {
                Ok(regex) => Value::SingleQuotedString(regex),
                Err(error) => return ControlFlow::Break(error),
            },
            None => Value::Null,
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

/// The text that `pattern` is, whatever parentheses and `||` it is written with, or null; nothing where it is no literal.
fn folded(pattern: &Expr) -> Option<Option<String>> {
    match pattern {
        Expr::Nested(inner) => folded(inner),
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
            let (left, right) = (folded(left)?, folded(right)?);
            Some(left.zip(right).map(|(left, right)| left + &right))
        }
        Expr::Value(literal) => match &literal.value {
            Value::Null => Some(None),
            value => text(value).map(|text| Some(text.to_owned())),
        },
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
        _ => None,
    }
}

/// The classes of letters that have names.
const CLASSES: [&str; 13] = [
    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit",
];

/// The regular expression that says the same of a whole text.
fn regex(pattern: &str, escape: Option<char>) -> Result<String> {
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
            '[' if is_in_class && chars.next_if_eq(&':').is_some() => out.push_str(&named_class(&mut chars)?),
            '[' if !is_in_class => {
                is_in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // As the first of a class it stands for itself.
                if chars.next_if_eq(&']').is_some() {
                    literal(']', &mut out);
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
    Ok(out)
}

/// A class by name, such as `[:alpha:]`, of which `[:` was read.
fn named_class(chars: &mut Peekable<Chars<'_>>) -> Result<String> {
    let name: String = chars.by_ref().take_while(|letter| *letter != ']').collect();
    match name.strip_suffix(':').filter(|name| CLASSES.contains(name)) {
        Some(class) => Ok(format!("[:{class}:]")),
        None => Err(refused("query_invalid", "SIMILAR TO a class of letters that there is not").with("class", name)),
    }
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
            ("a[]]c", r"^(?s:a[\]]c)$"),
            ("a[^]x]c", r"^(?s:a[^\]x]c)$"),
        ] {
            assert_eq!(regex(pattern, Some('\\')).unwrap(), said, "{pattern}");
        }
        assert_eq!(regex("50#%#", Some('#')).unwrap(), r"^(?s:50%\#)$");
        assert_eq!(regex(r"a\d", None).unwrap(), r"^(?s:a\\d)$");
    }
}
