//! Arrays that are written out, `ARRAY[a, b]`. The planner knows no rows outside of a subquery within them, so each is said as the
//! function that makes it.

use std::{mem, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{Expr, Ident, Statement, VisitMut, VisitorMut};

use super::apart::call;

/// Says arrays of `statement` as calls.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Arrays);
}

struct Arrays;

impl VisitorMut for Arrays {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Array(array) = expr {
            *expr = call(Ident::new("make_array"), mem::take(&mut array.elem));
        }
        ControlFlow::Continue(())
    }
}
