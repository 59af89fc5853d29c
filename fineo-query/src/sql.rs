//! SQL text and its syntax tree: what may be asked, what it names, and how names are spelled for the planner.

pub(crate) mod apart;
pub(crate) mod asked;
pub(crate) mod bounds;
pub(crate) mod brackets;
pub(crate) mod lift;
pub(crate) mod placeholders;
pub(crate) mod rewrite;
pub(crate) mod text;

mod arrays;
mod compared;
mod dialect;
mod elsewhere;
mod fetch;
mod flat;
mod grouped;
pub(crate) mod lengths;
mod merged;
mod numbers;
mod rows;
mod similar;
mod spoken;
mod star;
pub(crate) mod steps;
mod tuples;
pub(crate) mod unnested;
mod windows;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

/// The parts of a dotted name.
pub(crate) fn parts(name: &ObjectName) -> Vec<&Ident> {
    name.0.iter().filter_map(ObjectNamePart::as_ident).collect()
}

/// `parts` from `from` on as one name, with its dots: flattened fields are written like this.
pub(crate) fn joined(parts: &[Ident]) -> String {
    let texts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    texts.join(".")
}

/// Whether an identifier means exactly what it spells.
pub(crate) fn is_quoted(ident: &Ident) -> bool {
    ident.quote_style.is_some()
}

/// `name` as an identifier that means exactly that.
pub(crate) fn exact(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// The one of `names` that `ident` means: an exact match, else the only one that differs in case.
pub(crate) fn matching<'a>(ident: &Ident, names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if let Some(name) = names.clone().find(|name| *name == ident.value) {
        return Some(name);
    }
    if is_quoted(ident) {
        return None;
    }
    let lower = ident.value.to_lowercase();
    let mut similar = names.filter(|name| name.to_lowercase() == lower);
    let first = similar.next()?;
    similar.all(|other| other == first).then_some(first)
}
