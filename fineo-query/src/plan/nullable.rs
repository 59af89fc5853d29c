//! `x IS TRUE` and its like, as values of rows.
//!
//! DataFusion 55.2 knows that they are never null, but not that they are not once it compares `x` with what it has to be: it fails
//! where it aggregates rows of which it knows less than before. So the comparison is written while all agree on it.

use std::sync::Arc;

use datafusion::{
    common::{
        DFSchema, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::{Expr, LogicalPlan, Operator, Union, binary_expr, expr_rewriter::NamePreserver, lit},
    optimizer::{OptimizerConfig, OptimizerRule},
};

/// Compares where values of rows are asked for what they are; filters ask as they did.
#[derive(Debug)]
pub(crate) struct ComparesTruth;

impl OptimizerRule for ComparesTruth {
    fn name(&self) -> &'static str {
        "compares_truth"
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        compared(plan)
    }
}

fn compared(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let plan = plan.map_children(compared)?;
    let plan = plan.transform_data(|plan| plan.map_subqueries(compared))?;
    let plan = plan.transform_data(|plan| match &plan {
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) => of_values(plan),
        LogicalPlan::Union(union) if knows_too_much(union) => Ok(Transformed::yes(plan)),
        _ => Ok(Transformed::no(plan)),
    })?;
    // What may be null above follows from what may be null below.
    if plan.transformed { plan.map_data(known_anew) } else { Ok(plan) }
}

/// `plan` that says of its rows what follows from its inputs.
fn known_anew(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Union(Union { inputs, schema }) = plan else { return plan.recompute_schema() };
    let fields = schema.iter().enumerate().map(|(index, (qualifier, field))| {
        let field = field.as_ref().clone().with_nullable(may_be_null(&inputs, index));
        (qualifier.cloned(), Arc::new(field))
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?;
    Ok(LogicalPlan::Union(Union { inputs, schema: Arc::new(schema) }))
}

/// Whether `union` says of values that they are never null although they may be: the engine leaves it at what it said first.
fn knows_too_much(union: &Union) -> bool {
    let mut fields = union.schema.fields().iter().enumerate();
    fields.any(|(index, field)| !field.is_nullable() && may_be_null(&union.inputs, index))
}

fn may_be_null(inputs: &[Arc<LogicalPlan>], index: usize) -> bool {
    inputs.iter().any(|input| input.schema().field(index).is_nullable())
}

fn of_values(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let compared = expr.transform_up(|expr| Ok(of_value(expr)))?;
        Ok(if compared.transformed { compared.update_data(|expr| name.restore(expr)) } else { compared })
    })
}

fn of_value(expr: Expr) -> Transformed<Expr> {
    use Operator::{IsDistinctFrom, IsNotDistinctFrom};
    let (value, operator, truth) = match expr {
        Expr::IsTrue(value) => (value, IsNotDistinctFrom, Some(true)),
        Expr::IsNotTrue(value) => (value, IsDistinctFrom, Some(true)),
        Expr::IsFalse(value) => (value, IsNotDistinctFrom, Some(false)),
        Expr::IsNotFalse(value) => (value, IsDistinctFrom, Some(false)),
        Expr::IsUnknown(value) => (value, IsNotDistinctFrom, None),
        Expr::IsNotUnknown(value) => (value, IsDistinctFrom, None),
        expr => return Transformed::no(expr),
    };
    Transformed::yes(binary_expr(*value, operator, lit(ScalarValue::Boolean(truth))))
}
