//! `coalesce` of text beside days, times, intervals or truth values: the text is read as such, as in Postgres. The engine knows no type
//! for both.

use std::sync::Arc;

use datafusion::{arrow::datatypes::DataType, logical_expr::ScalarUDF};

use super::guarded::{Guard, guarded};

/// `functions`, of which `coalesce` reads text as what stands beside it.
pub(crate) fn of_one_type(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    guarded(functions, |name| (name == "coalesce").then_some(ReadsText))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ReadsText;

impl Guard for ReadsText {
    fn taken(&self, given: &[DataType]) -> Option<Vec<DataType>> {
        let mut others = given.iter().filter(|of| !of.is_string() && !of.is_null());
        let other = others.next()?;
        let is_read = other.is_temporal() || *other == DataType::Boolean;
        let is_only = others.all(|another| another == other);
        let has_text = given.iter().any(DataType::is_string);
        (is_read && is_only && has_text).then(|| vec![other.clone(); given.len()])
    }
}
