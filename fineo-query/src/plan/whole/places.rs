//! Places in an order, and counts, with a sign: the engine has them without one, and a difference that is negative as one that is huge.

use std::{fmt::Debug, ops::Range, sync::Arc};

use datafusion::{
    arrow::{
        array::ArrayRef,
        compute::{SortOptions, cast as cast_array},
        datatypes::{DataType, FieldRef},
    },
    common::{DFSchema, ScalarValue},
    error::Result,
    logical_expr::{
        Documentation, Expr, ExprSchemable, LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF,
        WindowUDFImpl, cast,
        expr::AggregateFunction,
        function::{ExpressionArgs, PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs},
        planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr},
        window_state::WindowAggState,
    },
    physical_expr::PhysicalExpr,
    sql::sqlparser::ast::BinaryOperator,
};

/// `functions`, of which those that answer places answer `BIGINT`.
pub(crate) fn signed(functions: Vec<Arc<WindowUDF>>) -> Vec<Arc<WindowUDF>> {
    let signed = functions.into_iter().map(|function| match function.name() {
        "row_number" | "rank" | "dense_rank" | "ntile" => Arc::new(WindowUDF::from(SignedPlaces(function))),
        _ => function,
    });
    signed.collect()
}

/// A function that answers places.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SignedPlaces(Arc<WindowUDF>);

impl WindowUDFImpl for SignedPlaces {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn expressions(&self, args: ExpressionArgs<'_>) -> Vec<Arc<dyn PhysicalExpr>> {
        self.0.expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(SignedEvaluator(self.0.partition_evaluator_factory(args)?)))
    }

    fn simplify(&self) -> Option<WindowFunctionSimplification> {
        self.0.simplify()
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.0.field(args)?;
        Ok(Arc::new(field.as_ref().clone().with_data_type(DataType::Int64)))
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.0.sort_options()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(arg_types)
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        match self.0.reverse_expr() {
            ReversedUDWF::Reversed(inner) => ReversedUDWF::Reversed(Arc::new(WindowUDF::from(Self(inner)))),
            other => other,
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.0.inner().limit_effect(args)
    }
}

#[derive(Debug)]
struct SignedEvaluator(Box<dyn PartitionEvaluator>);

fn with_sign(places: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast_array(places, &DataType::Int64)?)
}

impl PartitionEvaluator for SignedEvaluator {
    fn memoize(&mut self, state: &mut WindowAggState) -> Result<()> {
        self.0.memoize(state)
    }

    fn get_range(&self, index: usize, rows: usize) -> Result<Range<usize>> {
        self.0.get_range(index, rows)
    }

    fn is_causal(&self) -> bool {
        self.0.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        with_sign(&self.0.evaluate_all(values, rows)?)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        self.0.evaluate(values, range)?.cast_to(&DataType::Int64)
    }

    fn evaluate_all_with_rank(&self, rows: usize, ranks: &[Range<usize>]) -> Result<ArrayRef> {
        with_sign(&self.0.evaluate_all_with_rank(rows, ranks)?)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.0.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.0.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.0.include_rank()
    }
}

/// Makes an estimated count `BIGINT`, and other counts where one calculates with two of them.
#[derive(Debug)]
pub(crate) struct CountPlanner;

impl ExprPlanner for CountPlanner {
    fn plan_aggregate(&self, expr: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        if expr.func.name() != "approx_distinct" {
            return Ok(PlannerResult::Original(expr));
        }
        let RawAggregateExpr { func, args, distinct, filter, order_by, null_treatment } = expr;
        let call = AggregateFunction::new_udf(func, args, distinct, filter, order_by, null_treatment);
        Ok(PlannerResult::Planned(cast(Expr::AggregateFunction(call), DataType::Int64)))
    }

    fn plan_binary_op(&self, mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{Minus, Multiply, Plus};
        let is_unsigned = |side: &Expr| side.get_type(schema).is_ok_and(|of| of.is_unsigned_integer());
        if matches!(expr.op, Plus | Minus | Multiply) && is_unsigned(&expr.left) && is_unsigned(&expr.right) {
            for side in [&mut expr.left, &mut expr.right] {
                *side = cast(std::mem::take(side), DataType::Int64);
            }
        }
        Ok(PlannerResult::Original(expr))
    }
}
