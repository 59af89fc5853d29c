//! Aggregates that look, from row to row or from group to group, whether anybody still wants the rows.
//!
//! What a window function is asked for all rows of its partition is one step of the engine, and a frame that many rows
//! are in makes each of them cost much. What is gathered in an order is sorted and merged a group at a time, which nobody can
//! break off: so a group has no more values than that takes no time for.
//!
//! Two answers of the engine's are mended on the way: what slides over doubles subtracts nothing, and what gathers values that differ
//! is never turned into its reverse, which would sort them the other way round and leave them so.

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
        Accumulator, AggregateUDF, AggregateUDFImpl, Expr, LogicalPlan, ReversedUDAF, SetMonotonicity, Signature,
        WindowFunctionDefinition,
        expr::WindowFunctionParams,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
    optimizer::{OptimizerConfig, OptimizerRule},
    physical_expr::{
        expressions::Literal,
        window::{PlainAggregateWindowExpr, SlidingAggregateWindowExpr, WindowExpr},
    },
    physical_plan::aggregates::AggregateExec,
};

use super::{
    ROWS_PER_TURN, Unwanted, by_turns,
    gathers::{self, GATHER, Gathers, Keeps},
};
use crate::plan::{planners::check_wanted, sliding};

/// The rule that makes them look.
#[derive(Debug)]
pub(crate) struct AggregatesLook;

impl OptimizerRule for AggregatesLook {
    fn name(&self) -> &'static str {
        "aggregates_look"
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        check_wanted()?;
        let unwanted = Unwanted::default();
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(_) => {
                node.map_expressions(|expr| expr.transform_up(|expr| Ok(looking(expr, &unwanted))))
            }
            LogicalPlan::Aggregate(_) => {
                node.map_expressions(|expr| expr.transform_up(|expr| Ok(gathering(expr, &unwanted))))
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
        let inner = Arc::clone(function);
        let looks = Looks { inner, unwanted: unwanted.clone(), gathers: false, is_distinct: window.params.distinct };
        window.fun = WindowFunctionDefinition::AggregateUDF(Arc::new(AggregateUDF::new_from_impl(looks)));
        return Transformed::yes(expr);
    }
    Transformed::no(expr)
}

/// `expr` with an aggregate that looks, where it is one that gathers values in an order.
fn gathering(mut expr: Expr, unwanted: &Unwanted) -> Transformed<Expr> {
    if let Expr::AggregateFunction(call) = &mut expr
        && !call.params.order_by.is_empty()
        && GATHER.contains(&call.func.name())
        && of(&call.func).is_none()
    {
        let inner = Arc::clone(&call.func);
        let looks = Looks { inner, unwanted: unwanted.clone(), gathers: true, is_distinct: call.params.distinct };
        call.func = Arc::new(AggregateUDF::new_from_impl(looks));
        return Transformed::yes(expr);
    }
    Transformed::no(expr)
}

/// What the aggregates of `node` look at, if some look.
pub(super) fn looked_at_by(node: &AggregateExec) -> impl Iterator<Item = &Unwanted> {
    node.aggr_expr().iter().filter_map(|expr| of(expr.fun()))
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
    /// Whether it gathers the values of a group in an order.
    gathers: bool,
    /// Whether it does so with those that differ.
    is_distinct: bool,
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
        if self.gathers {
            return self.gathered(args);
        }
        Ok(self.watched(self.inner.accumulator(args)?))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let inner = match sliding::accumulator(self.name(), &args) {
            Some(exact) => exact,
            None => self.inner.create_sliding_accumulator(args)?,
        };
        Ok(self.watched(inner))
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

    fn with_beneficial_ordering(self: Arc<Self>, is_ordered: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let inner = self.inner.as_ref().clone().with_beneficial_ordering(is_ordered)?;
        Ok(inner.map(|inner| Arc::new(self.with_inner(Arc::new(inner))) as _))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        if self.gathers && self.is_distinct {
            return ReversedUDAF::NotSupported;
        }
        match self.inner.reverse_udf() {
            ReversedUDAF::Reversed(inner) => {
                ReversedUDAF::Reversed(Arc::new(AggregateUDF::new_from_impl(self.with_inner(inner))))
            }
            other => other,
        }
    }
}

impl Looks {
    fn with_inner(&self, inner: Arc<AggregateUDF>) -> Self {
        Self { inner, unwanted: self.unwanted.clone(), gathers: self.gathers, is_distinct: self.is_distinct }
    }

    fn watched(&self, inner: Box<dyn Accumulator>) -> Box<dyn Accumulator> {
        Box::new(Watched { inner, unwanted: self.unwanted.clone(), rows: 0 })
    }

    /// What gathers the values of a group in an order: all of them, those that differ, or the first or last ones.
    fn gathered(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let keeps = match (self.name(), args.is_distinct) {
            ("nth_value", _) => Keeps::Few,
            (_, true) => Keeps::Distinct,
            (_, false) => Keeps::All,
        };
        if let Some(nth) =
            args.exprs.get(1).filter(|_| keeps == Keeps::Few).and_then(|nth| nth.downcast_ref::<Literal>())
            && let ScalarValue::Int64(Some(nth)) = nth.value().cast_to(&DataType::Int64)?
        {
            gathers::check(nth.unsigned_abs(), self.name())?;
        }
        let inner = self.watched(self.inner.accumulator(args)?);
        Ok(Box::new(Gathers::new(inner, self.name(), keeps)))
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
        self.unwanted.check()?;
        self.inner.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.unwanted.check()?;
        self.inner.state()
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.inner.size()
    }
}
