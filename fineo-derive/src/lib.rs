//! `#[derive(FineoEvent)]`: a struct is the schema of a metric.
//!
//! The struct's name, fields, types, aliases and units declare the metric; a value of it is an event. Use it through
//! `fineo::FineoEvent`, where the trait and the words of the attributes are explained.

mod attributes;
mod expand;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Declares a metric from a struct with named fields, and writes its values as events of it.
///
/// `#[fineo(…)]` on the struct takes `metric = "name"` (default: the struct's name in snake case) and any number of
/// `alias = "name"`. On a field it takes `name = "name"` (default: the field's), any number of `alias = "name"`,
/// `unit = "C"`, `field_type = "decimal(10,2)"` (default: by the Rust type), and alone `timestamp`, for the event's time,
/// or `skip`, for what is not sent.
#[proc_macro_derive(FineoEvent, attributes(fineo))]
pub fn fineo_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::event(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
