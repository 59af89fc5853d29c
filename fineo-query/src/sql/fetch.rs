//! `FETCH FIRST n ROWS ONLY`, the standard's own words for `LIMIT n`, which the planner does not know.

use datafusion::sql::sqlparser::ast::{Expr, Fetch, LimitClause, Query, Value};

/// Says as `LIMIT` what `query` says as `FETCH`. Shares of the rows and ties are left to be refused.
pub(super) fn as_limit(query: &mut Query) {
    let Some(Fetch { with_ties: false, percent: false, quantity }) = &query.fetch else { return };
    let limit = Some(quantity.clone().unwrap_or_else(|| Expr::Value(Value::Number("1".to_owned(), false).into())));
    match &mut query.limit_clause {
        None => {
            query.limit_clause = Some(LimitClause::LimitOffset { limit, offset: None, limit_by: Vec::new() });
        }
        Some(LimitClause::LimitOffset { limit: none @ None, .. }) => *none = limit,
        // Both at once are one too many.
        Some(LimitClause::LimitOffset { .. } | LimitClause::OffsetCommaLimit { .. }) => return,
    }
    query.fetch = None;
}
