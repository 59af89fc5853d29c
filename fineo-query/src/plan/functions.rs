//! Functions of Postgres' that the engine has not, and its other names for those that it has.

mod lengths;
mod numbers;
mod ordered;
mod rows;
mod texts;
mod times;
mod zones;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub(super) use lengths::{read_beside, scaled};
pub(crate) use zones::ZONED;

use rows::Function;

/// All that is written here.
fn written() -> impl Iterator<Item = &'static Function> {
    [numbers::ALL, texts::ALL, times::ALL, lengths::ALL].into_iter().flatten()
}

/// `functions`, and those that are written here.
pub(crate) fn with_ours(mut functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    functions.extend(written().map(|function| Arc::new(function.udf())));
    functions.push(zones::zoned());
    functions
}

/// The same of aggregates.
pub(crate) fn with_our_aggregates(mut functions: Vec<Arc<AggregateUDF>>) -> Vec<Arc<AggregateUDF>> {
    functions.extend(ordered::all());
    functions
}

/// The names that are known here alone.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    written()
        .map(|function| function.name)
        .chain([ZONED])
        .chain(ordered::NAMES)
        .chain(OTHER_NAMES.iter().map(|(name, _)| *name))
}

/// What Postgres calls a function, and what the engine does.
const OTHER_NAMES: [(&str, &str); 9] = [
    // Theirs take away or replace each item that is equal, not the first one.
    ("array_remove", "array_remove_all"),
    ("array_replace", "array_replace_all"),
    ("ceiling", "ceil"),
    ("every", "bool_and"),
    ("gen_random_uuid", "uuid"),
    ("sign", "signum"),
    ("statement_timestamp", "now"),
    ("transaction_timestamp", "now"),
    ("variance", "var"),
];

/// What the engine calls the function `name`.
pub(super) fn known_as(name: &str) -> &str {
    OTHER_NAMES.iter().find(|(other, _)| *other == name).map_or(name, |(_, known)| known)
}
