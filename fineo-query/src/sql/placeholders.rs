//! Parameters that one calculates with, cast to the types that they have: without a type the planner would take a day for nothing in
//! particular, and lose the hours that are added to it.

use std::{convert::Infallible, ops::ControlFlow};

use datafusion::{
    arrow::datatypes::DataType,
    sql::sqlparser::ast::{self, BinaryOperator, CastKind, Expr, Statement, TimezoneInfo, Value, VisitMut, VisitorMut},
};

/// Casts the parameters of `statement`, of the types `given`, where it adds, subtracts, multiplies or divides by them.
pub(crate) fn cast(statement: &mut Statement, given: &[Option<DataType>]) {
    if given.iter().flatten().any(|of| name(of).is_some()) {
        let ControlFlow::Continue(()) = VisitMut::visit(statement, &mut Placeholders { given });
    }
}

struct Placeholders<'a> {
    given: &'a [Option<DataType>],
}

impl VisitorMut for Placeholders<'_> {
    type Break = Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        use BinaryOperator::{Divide, Minus, Multiply, Plus};
        if let Expr::BinaryOp { left, op: Plus | Minus | Multiply | Divide, right } = expr {
            for side in [left, right] {
                if let Some(data_type) = self.type_of(side) {
                    let value = Box::new(std::mem::replace(&mut **side, Expr::Value(Value::Null.into())));
                    **side = Expr::Cast { kind: CastKind::Cast, expr: value, data_type, array: false, format: None };
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl Placeholders<'_> {
    /// The type that `expr` is cast to, where it is a parameter.
    fn type_of(&self, expr: &Expr) -> Option<ast::DataType> {
        let Expr::Value(value) = expr else { return None };
        let Value::Placeholder(id) = &value.value else { return None };
        let index = id.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)?;
        name(self.given.get(index)?.as_ref()?)
    }
}

fn name(of: &DataType) -> Option<ast::DataType> {
    match of {
        DataType::Date32 => Some(ast::DataType::Date),
        DataType::Time64(_) => Some(ast::DataType::Time(None, TimezoneInfo::None)),
        DataType::Interval(_) => Some(ast::DataType::Interval { fields: None, precision: None }),
        _ => None,
    }
}
