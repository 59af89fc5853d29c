//! How many places a number is rounded to: the type of what becomes of a decimal follows from it.
//!
//! DataFusion 55.2 makes another type of the number first, which is a constant again only when the plan is simplified. Until
//! then it knows no places, and what is compared with the rounded decimal is made to fit a type that it does not have.

use datafusion::{
    common::{DFSchema, ScalarValue, tree_node::Transformed},
    logical_expr::{Expr, ExprSchemable, cast, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
};

use datafusion::arrow::datatypes::DataType;

/// `expr` with its places as the function takes them, where they are known.
pub(super) fn known(mut expr: Expr) -> Transformed<Expr> {
    let places = match &mut expr {
        Expr::ScalarFunction(call) if call.name() == "round" => call.args.get_mut(1),
        _ => None,
    };
    let known = places.and_then(|places| {
        *places = constant(places)?;
        Some(())
    });
    Transformed::new_transformed(expr, known.is_some())
}

/// `places`, a whole number, as the constant that it is.
fn constant(places: &Expr) -> Option<Expr> {
    let is_whole = places.get_type(&DFSchema::empty()).ok()?.is_integer();
    let is_same = places.column_refs().is_empty() && !places.is_volatile() && !places.contains_outer();
    if !is_whole || !is_same {
        return None;
    }
    let simplifier = ExprSimplifier::new(SimplifyContext::default());
    let simple = simplifier.simplify(cast(places.clone(), DataType::Int32)).ok()?;
    matches!(simple, Expr::Literal(ScalarValue::Int32(Some(_)), _)).then_some(simple)
}
