//! `percentile_disc(p) WITHIN GROUP (ORDER BY x)` as the value at its place among all values in their order: the engine has only
//! the percentiles that lie between two values.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, OrderByExpr, Value,
};
use fineo_core::{Error, Result};

use super::spoken::{call, take};
use crate::error::refused;

/// What `function`, a discrete percentile, is in other words.
///
/// # Errors
///
/// `query_invalid` where it is not written as one.
pub(super) fn percentile(function: &mut Function) -> Result<Expr> {
    let [order] = function.within_group.as_slice() else {
        return Err(wrong("percentile_disc is written with WITHIN GROUP (ORDER BY …) over one value"));
    };
    if function.over.is_some() {
        return Err(wrong("percentile_disc is no window function"));
    }
    let order = order.clone();
    let share = share(&mut function.args).ok_or_else(|| wrong("percentile_disc takes a number from 0 to 1"))?;
    let is_value = Expr::IsNotNull(Box::new(order.expr.clone()));
    let is_counted = match function.filter.take() {
        Some(filter) => binary(Expr::Nested(filter), BinaryOperator::And, is_value),
        None => is_value,
    };
    let count = filtered(call("count", vec![order.expr.clone()]), is_counted.clone());
    let place = call("ceil", vec![binary(share, BinaryOperator::Multiply, count)]);
    let place = call("greatest", vec![number("1"), place]);
    let place = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(place),
        data_type: DataType::BigInt(None),
        array: false,
        format: None,
    };
    Ok(call("array_element", vec![filtered(gathered(order), is_counted), place]))
}

/// The number that is given, where it is a share.
fn share(args: &mut FunctionArguments) -> Option<Expr> {
    let FunctionArguments::List(list) = args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(share))] = list.args.as_mut_slice() else { return None };
    let Expr::Value(value) = &*share else { return None };
    let Value::Number(digits, _) = &value.value else { return None };
    let is_share = digits.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share));
    is_share.then(|| take(share))
}

/// All values in their order.
fn gathered(order: OrderByExpr) -> Expr {
    let mut gathered = call("array_agg", vec![order.expr.clone()]);
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut gathered {
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![order]));
    }
    gathered
}

fn filtered(mut call: Expr, filter: Expr) -> Expr {
    if let Expr::Function(function) = &mut call {
        function.filter = Some(Box::new(filter));
    }
    call
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn number(digits: &str) -> Expr {
    Expr::Value(Value::Number(digits.to_owned(), false).into())
}

fn wrong(message: &str) -> Error {
    refused("query_invalid", message).with("hint", "percentile_disc(0.5) WITHIN GROUP (ORDER BY x) is the median")
}
