//! Foreign errors, classified where they enter.
//!
//! Every error of a query has a context `code`: lower snake case and stable. Where there is something to do
//! about it, a context `hint` says what; `position` says where in the text, where that is known.

use std::{cmp::Reverse, collections::BTreeSet, sync::LazyLock};

use arrow::error::ArrowError;
use datafusion::{
    common::{Column, SchemaError, Span, utils::datafusion_strsim::levenshtein},
    error::DataFusionError,
    execution::SessionStateDefaults,
};
use fineo_core::{Error, ErrorKind};

use crate::plan::functions;

mod advice;

/// How times are written, for who wrote a number.
pub(crate) const TIMES_ARE_WRITTEN: &str = "a day is written '2016-01-01', an instant '2016-01-01T12:00:00Z', milliseconds since 1970 \
                                            to_timestamp_millis(1451606400000), or of a text to_timestamp_millis(CAST(t AS BIGINT))";

const TEXT_IS_READ: &str = "a field that is not declared is text: CAST(field AS DOUBLE) reads it as a number";

/// The names of all functions.
static FUNCTIONS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let scalar = SessionStateDefaults::default_scalar_functions();
    let aggregate = SessionStateDefaults::default_aggregate_functions();
    let window = SessionStateDefaults::default_window_functions();
    let names = scalar.iter().map(|function| function.name()).chain(aggregate.iter().map(|function| function.name()));
    let engines = names.chain(window.iter().map(|function| function.name())).map(str::to_owned);
    engines.chain(functions::names().map(str::to_owned)).collect()
});

/// An error of the caller's with a stable code.
pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Error {
    Error::invalid(message).with("code", code)
}

/// A bound that was reached.
pub(crate) fn exceeded(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::LimitExceeded, message).with("code", code)
}

/// SQL that is not answered.
pub(crate) fn unsupported(detail: &str) -> Error {
    Error::new(ErrorKind::Unsupported, "this SQL is not supported")
        .with("code", "unsupported_sql")
        .with("detail", first_line(detail))
}

/// A defect.
pub(crate) fn defect(message: impl Into<String>) -> Error {
    Error::internal(message).with("code", "query_defect")
}

/// One of our errors on its way through the engine.
pub(crate) fn foreign(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The column that the planner did not find, where that is what went wrong.
pub(crate) fn missing_column(error: &DataFusionError) -> Option<Column> {
    match root(error) {
        DataFusionError::SchemaError(schema_error, _) => match schema_error.as_ref() {
            SchemaError::FieldNotFound { field, .. } => Some((**field).clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the planner stopped at two result columns that it would give one name. Where expressions have that name it has
/// no error for it but a text.
pub(crate) fn is_of_equal_names(error: &DataFusionError) -> bool {
    match root(error) {
        DataFusionError::SchemaError(error, _) => {
            matches!(
                **error,
                SchemaError::DuplicateQualifiedField { .. } | SchemaError::DuplicateUnqualifiedField { .. }
            )
        }
        DataFusionError::Plan(said) => said.contains("require unique expression names"),
        _ => false,
    }
}

/// The innermost error that says something.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, root),
        DataFusionError::External(inner) => inner.downcast_ref().map_or(error, root),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(inner) => inner.downcast_ref().map_or(error, root),
            _ => error,
        },
        _ => error,
    }
}

/// The error of ours that `error` came from, as from a reader of files.
pub(crate) fn carried(error: &DataFusionError) -> Option<&Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(ours);
        }
        next = error.source();
    }
    None
}

/// Says what `error` means to the caller.
pub(crate) fn classify(error: &DataFusionError) -> Error {
    if let Some(ours) = carried(root(error)) {
        return ours.clone();
    }
    let classified = match root(error) {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => return ours.clone(),
            None => engine(&inner.to_string()),
        },
        DataFusionError::ArrowError(arrow, _) => computation(arrow),
        DataFusionError::SchemaError(schema_error, _) => schema(schema_error),
        DataFusionError::ResourcesExhausted(_) => {
            exceeded("memory_limit", "the query needs more memory than it may have")
                .with("hint", "ask for fewer rows, groups or columns at once")
        }
        DataFusionError::NotImplemented(text) => unsupported(text),
        DataFusionError::Plan(text) | DataFusionError::Configuration(text) => planning(text),
        DataFusionError::Execution(text) => execution(text),
        DataFusionError::Internal(text) => internal(text),
        other => planning(&other.strip_backtrace()),
    };
    match span(error) {
        Some(span) => classified.with("position", place(span.start.line, span.start.column)),
        None => classified,
    }
}

/// Where in the text something is.
pub(crate) fn place(line: u64, column: u64) -> String {
    format!("line {line}, column {column}")
}

fn span(error: &DataFusionError) -> Option<Span> {
    error.diagnostic().and_then(|diagnostic| diagnostic.span)
}

/// Whether `text` is a whole number, of which nobody sees what time it is.
pub(crate) fn is_number_alone(text: &str) -> bool {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn unknown_function(name: &str) -> Error {
    let refused = refused("unknown_function", "no such function").with("function", name);
    if let Some(hint) = advice::instead_of(name) {
        return refused.with("hint", hint);
    }
    // The engine names any of several that are as near, another one each time.
    let distance = |known: &&String| levenshtein(&name.to_lowercase(), known);
    let begins_alike = |known: &str| name.chars().zip(known.chars()).take_while(|(one, other)| one == other).count();
    let near = FUNCTIONS.iter().min_by_key(|known| (distance(known), Reverse(begins_alike(known))));
    // Of a short name little is left where two letters differ.
    let near = near.filter(|near| 2 * distance(near) <= name.len() && (distance(near) < 2 || begins_alike(near) > 1));
    refused.with("hint", match near {
        Some(near) => format!("did you mean {near}?"),
        None => "functions are called as in PostgreSQL; CASE, FILTER (WHERE …) and OVER (ORDER BY timestamp) say what others have \
                 functions for"
            .to_owned(),
    })
}

/// The call that the engine has no function for, as `avg(text)`, where that is what it says in very many words.
fn unmatched(whole: &str) -> Option<Error> {
    let (said, call) = whole.split_once("No function matches the given name and argument types '")?;
    let is_long = ["match any signature", "coerce arguments", " requires "].iter().any(|words| said.contains(words));
    let call = call.split('\'').next().filter(|_| is_long)?;
    let call = ["Utf8View", "LargeUtf8", "Utf8"].into_iter().fold(call.to_owned(), |call, of| call.replace(of, "text"));
    let hint = match call.as_str() {
        call if call.starts_with("date_trunc(") && call.matches(", ").count() > 1 => {
            "in a zone: date_trunc('day', timestamp AT TIME ZONE 'Europe/Berlin') AT TIME ZONE 'Europe/Berlin'"
        }
        call if call.contains("text") => TEXT_IS_READ,
        _ => "CAST(x AS …) changes a type",
    };
    let call: String = call.chars().take(200).collect();
    Some(refused("query_invalid", "no function takes values of these types").with("function", call).with("hint", hint))
}

fn planning(whole: &str) -> Error {
    let text = first_line(whole);
    if let Some(name) = text.strip_prefix("Invalid function '").and_then(|rest| rest.split('\'').next()) {
        return unknown_function(name);
    }
    if let Some(unmatched) = unmatched(whole) {
        return unmatched;
    }
    if let Some(name) = text.strip_prefix("table function '").and_then(|rest| rest.split('\'').next()) {
        return refused("unknown_function", "no such table function").with("function", name);
    }
    // A function that was called with what it does not take is the caller's doing.
    let text = text.strip_prefix("Internal error: ").unwrap_or(&text);
    let refused = refused("query_invalid", "the query has no meaning").with("detail", text);
    if text.contains("Utf8View") || text.contains("received String") {
        return refused.with("hint", TEXT_IS_READ);
    }
    refused
}

fn execution(text: &str) -> Error {
    if text.contains("verflow") {
        return refused("overflow", "a value left the range of its type").with("detail", first_line(text));
    }
    pattern(text).unwrap_or_else(|| unworkable(first_line(text)))
}

fn schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, .. } => {
            refused("unknown_column", "no such column").with("column", field.flat_name())
        }
        SchemaError::AmbiguousReference { field } => refused("ambiguous_column", "more than one table has this column")
            .with("column", &field.name)
            .with("hint", "write the table before the column"),
        other => refused("query_invalid", "the query has no meaning").with("detail", first_line(&other.to_string())),
    }
}

fn computation(error: &ArrowError) -> Error {
    match error {
        ArrowError::CastError(text) => cast(text),
        ArrowError::ParseError(text) => cast(text),
        ArrowError::DivideByZero => {
            refused("division_by_zero", "division by zero").with("hint", "NULLIF(divisor, 0) gives null instead")
        }
        ArrowError::ArithmeticOverflow(text) => {
            refused("overflow", "a value left the range of its type").with("detail", first_line(text))
        }
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => engine(&inner.to_string()),
        },
        ArrowError::ComputeError(text) if text.contains("verflow") => {
            refused("overflow", "a value left the range of its type").with("detail", first_line(text))
        }
        other => {
            let text = other.to_string();
            pattern(&text).unwrap_or_else(|| unworkable(first_line(&text)))
        }
    }
}

/// What something below the engine says, which is a defect unless it is about a value.
fn engine(text: &str) -> Error {
    pattern(text).unwrap_or_else(|| defect("the engine failed").with("detail", first_line(text)))
}

/// The same of the engine itself.
fn internal(text: &str) -> Error {
    if text.starts_with("array_resize: ") {
        return unworkable(first_line(text));
    }
    pattern(text).unwrap_or_else(|| defect("the engine met a defect").with("detail", first_line(text)))
}

/// What is wrong with a regular expression, where that is what `text` says.
fn pattern(text: &str) -> Option<Error> {
    let signs = ["regex parse error", "Regular expression did not compile", "Compiled regex exceeds size limit"];
    signs.iter().any(|sign| text.contains(sign)).then(|| {
        let reason = text.lines().find_map(|line| line.trim_start().strip_prefix("error: "));
        unworkable(format!("not a regular expression: {}", first_line(reason.unwrap_or(text))))
    })
}

fn unworkable(detail: String) -> Error {
    refused("query_failed", "the query met a value that it cannot work with").with("detail", detail)
}

/// "Cannot cast string 'warm' to value of Float64 type" and its like.
fn cast(text: &str) -> Error {
    let refused = refused("cannot_cast", "a value does not fit the type it is cast to");
    let value = text.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\'')).map(|(value, _)| value);
    let named = match value {
        Some(value) => refused.with("value", value.chars().take(200).collect::<String>()),
        None => refused.with("detail", first_line(text)),
    };
    let type_name = text.rsplit_once("to value of ").and_then(|(_, rest)| rest.split(" type").next());
    let typed = match type_name {
        Some(type_name) => named.with("type", type_name),
        None => named,
    };
    let is_time =
        text.contains("timestamp") || type_name.is_some_and(|of| of.starts_with("Date") || of.starts_with("Timestamp"));
    let is_number = is_time && value.is_some_and(is_number_alone);
    typed.with("hint", if is_number { TIMES_ARE_WRITTEN } else { "TRY_CAST gives null for values that do not fit" })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
