//! `sum` of whole numbers, which has more room inside than its answer.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray},
        datatypes::{
            ArrowNativeTypeOp, ArrowPrimitiveType, DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type,
        },
    },
    common::ScalarValue,
    error::{DataFusionError, Result},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, Expr, GroupsAccumulator, Operator,
        ReversedUDAF, SetMonotonicity, Signature, StatisticsArgs,
        expr::AggregateFunction,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
};

use super::overflow;

/// What numbers are while they are summed up: as many as there can be of them fit.
const ROOM: DataType = DataType::Decimal128(38, 0);

/// `functions`, of which `sum` answers no other number than the sum.
pub(crate) fn exact(functions: Vec<Arc<AggregateUDF>>) -> Vec<Arc<AggregateUDF>> {
    let exact = functions.into_iter().map(|function| match function.name() {
        "sum" => Arc::new(AggregateUDF::new_from_impl(ExactSum { inner: function })),
        _ => function,
    });
    exact.collect()
}

/// The engine's `sum`, which is given whole numbers as decimals.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    inner: Arc<AggregateUDF>,
}

fn is_whole(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::UInt64)
}

/// The field of an answer, with room.
fn roomy(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), ROOM, field.is_nullable()))
}

fn with_room<'a>(args: AccumulatorArgs<'a>) -> AccumulatorArgs<'a> {
    AccumulatorArgs { return_field: roomy(&args.return_field), ..args }
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let answer = args.return_type().clone();
        if !is_whole(&answer) {
            return self.inner.accumulator(args);
        }
        Ok(Box::new(Roomy { inner: self.inner.accumulator(with_room(args))?, answer }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if !is_whole(args.return_type()) {
            return self.inner.state_fields(args);
        }
        self.inner.state_fields(StateFieldsArgs { return_field: roomy(&args.return_field), ..args })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let answer = args.return_type().clone();
        if !is_whole(&answer) {
            return self.inner.create_groups_accumulator(args);
        }
        Ok(Box::new(Roomy { inner: self.inner.create_groups_accumulator(with_room(args))?, answer }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let answer = args.return_type().clone();
        if !is_whole(&answer) {
            return self.inner.create_sliding_accumulator(args);
        }
        let inner = match args.is_distinct {
            true => Box::new(Differing::default()),
            false => self.inner.create_sliding_accumulator(with_room(args))?,
        };
        Ok(Box::new(Roomy { inner, answer }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn simplify_expr_op_literal(
        &self,
        call: &AggregateFunction,
        arg: &Expr,
        op: Operator,
        literal: &Expr,
        is_left: bool,
    ) -> Result<Option<Expr>> {
        self.inner.inner().simplify_expr_op_literal(call, arg, op, literal, is_left)
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.inner.inner().value_from_stats(statistics)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }
}

/// Sums up decimals, and answers whole numbers.
#[derive(Debug)]
struct Roomy<A> {
    inner: A,
    answer: DataType,
}

/// The numbers to be summed up, with room.
fn widened(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    values.iter().map(wide).collect()
}

fn wide(values: &ArrayRef) -> Result<ArrayRef> {
    let wide: PrimitiveArray<Decimal128Type> = match values.data_type() {
        DataType::Int64 => values.as_primitive::<Int64Type>().unary(i128::from),
        DataType::UInt64 => values.as_primitive::<UInt64Type>().unary(i128::from),
        other => return Err(DataFusionError::Internal(format!("{other} is no whole number"))),
    };
    Ok(Arc::new(wide.with_data_type(ROOM)))
}

fn narrowed(sums: &ArrayRef, answer: &DataType) -> Result<ArrayRef> {
    let sums = sums.as_primitive::<Decimal128Type>();
    Ok(match answer {
        DataType::UInt64 => Arc::new(narrow::<UInt64Type>(sums)?),
        _ => Arc::new(narrow::<Int64Type>(sums)?),
    })
}

fn narrow<T: ArrowPrimitiveType>(sums: &PrimitiveArray<Decimal128Type>) -> Result<PrimitiveArray<T>>
where
    T::Native: ArrowNativeTypeOp + TryFrom<i128>,
{
    sums.try_unary(|sum| T::Native::try_from(sum).map_err(|_| overflow("the sum of whole numbers")))
}

impl Accumulator for Roomy<Box<dyn Accumulator>> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&widened(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&widened(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.inner.evaluate()?.to_array()?;
        ScalarValue::try_from_array(&narrowed(&sum, &self.answer)?, 0)
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
        size_of::<Self>() + self.inner.size()
    }
}

/// The numbers that differ of a frame that slides, as decimals: how often each is there. The engine's has 64 bits for their sum.
#[derive(Debug, Default)]
struct Differing {
    counts: HashMap<i128, u64>,
    sum: i128,
}

impl Accumulator for Differing {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for number in values[0].as_primitive::<Decimal128Type>().iter().flatten() {
            let count = self.counts.entry(number).or_default();
            *count += 1;
            self.sum += if *count == 1 { number } else { 0 };
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for number in values[0].as_primitive::<Decimal128Type>().iter().flatten() {
            if let Entry::Occupied(mut counted) = self.counts.entry(number) {
                *counted.get_mut() -= 1;
                if *counted.get() == 0 {
                    counted.remove();
                    self.sum -= number;
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = (!self.counts.is_empty()).then_some(self.sum);
        Ok(ScalarValue::Decimal128(sum, 38, 0))
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Err(DataFusionError::Internal("the sums of frames are not merged".to_owned()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(DataFusionError::Internal("the sum of a frame has no state".to_owned()))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.counts.capacity() * size_of::<(i128, u64)>()
    }
}

impl GroupsAccumulator for Roomy<Box<dyn GroupsAccumulator>> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.inner.update_batch(&widened(values)?, group_indices, opt_filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        narrowed(&self.inner.evaluate(emit_to)?, &self.answer)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.inner.merge_batch(values, group_indices, total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&widened(values)?, opt_filter)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.inner.size()
    }
}
