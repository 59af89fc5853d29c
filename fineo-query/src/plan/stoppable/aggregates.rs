//! Aggregates over windows that look, from row to row, whether anybody still wants the rows.
//!
//! What a window function is asked for all rows of its partition is one step of the engine, and a frame that many rows
//! are in makes each of them cost much.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::ArrayRef,
        datatypes::{DataType, FieldRef},
    },
    common::{
        ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Expr, LogicalPlan, SetMonotonicity, Signature,
        WindowFunctionDefinition,
        expr::WindowFunctionParams,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
    optimizer::{OptimizerConfig, OptimizerRule},
    physical_expr::window::{PlainAggregateWindowExpr, SlidingAggregateWindowExpr, WindowExpr},
};

use super::{ROWS_PER_TURN, Unwanted, by_turns};

/// The rule that makes them look. It changes no answer.
#[derive(Debug)]
pub(crate) struct WindowsLook;

impl OptimizerRule for WindowsLook {
    fn name(&self) -> &'static str {
        "windows_look"
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let unwanted = Unwanted::default();
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(_) => {
                node.map_expressions(|expr| expr.transform_up(|expr| Ok(looking(expr, &unwanted))))
            }
            _ => Ok(Transformed::no(node)),
        })
    }
}

fn looking(mut expr: Expr, unwanted: &Unwanted) -> Transformed<Expr> {
    if let Expr::WindowFunction(window) = &mut expr
        && let WindowFunctionDefinition::AggregateUDF(function) = &window.fun
        && of(function).is_none()
    {
        let looks = Looks { inner: Arc::clone(function), unwanted: unwanted.clone() };
        window.fun = WindowFunctionDefinition::AggregateUDF(Arc::new(AggregateUDF::new_from_impl(looks)));
        return Transformed::yes(expr);
    }
    Transformed::no(expr)
}

/// What an aggregate looks at, if it looks.
fn of(function: &AggregateUDF) -> Option<&Unwanted> {
    function.inner().downcast_ref::<Looks>().map(|looks| &looks.unwanted)
}

/// What the aggregate of a window looks at, if it is one that looks.
pub(super) fn looked_at(expr: &Arc<dyn WindowExpr>) -> Option<&Unwanted> {
    let expr = expr.as_any();
    let plain = expr.downcast_ref::<PlainAggregateWindowExpr>().map(PlainAggregateWindowExpr::get_aggregate_expr);
    let sliding = expr.downcast_ref::<SlidingAggregateWindowExpr>().map(SlidingAggregateWindowExpr::get_aggregate_expr);
    of(plain.or(sliding)?.fun())
}

/// An aggregate that looks.
#[derive(Debug)]
struct Looks {
    inner: Arc<AggregateUDF>,
    unwanted: Unwanted,
}

// Only the function matters: whoever compares two of one statement finds them looking at the same.
impl PartialEq for Looks {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Looks {}

impl Hash for Looks {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl AggregateUDFImpl for Looks {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(arg_fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(self.watched(self.inner.accumulator(args)?))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(self.watched(self.inner.create_sliding_accumulator(args)?))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_schema_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_display_name(params)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }
}

impl Looks {
    fn watched(&self, inner: Box<dyn Accumulator>) -> Box<dyn Accumulator> {
        Box::new(Watched { inner, unwanted: self.unwanted.clone(), rows: 0 })
    }
}

/// What accumulates, row after row.
#[derive(Debug)]
struct Watched {
    inner: Box<dyn Accumulator>,
    unwanted: Unwanted,
    rows: usize,
}

impl Accumulator for Watched {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.unwanted.check()?;
        self.inner.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.unwanted.check()?;
        self.inner.retract_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.unwanted.check()?;
        self.rows += 1;
        by_turns(self.rows.is_multiple_of(ROWS_PER_TURN), || self.inner.evaluate())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
