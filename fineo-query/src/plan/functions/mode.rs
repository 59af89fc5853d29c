//! `mode() WITHIN GROUP (ORDER BY x)`: the value that comes most often; of several the first in that order.

use std::{cmp::Ordering, collections::HashMap, mem::size_of, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray},
        datatypes::{DataType, Field, FieldRef, Int64Type},
    },
    common::{Result, ScalarValue, plan_err},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::{AggregateOrderSensitivity, format_state_name},
    },
};

pub(super) const NAME: &str = "mode";

pub(super) fn mode() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Mode { signature: Signature::any(1, Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mode {
    signature: Signature,
}

impl AggregateUDFImpl for Mode {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [of] => Ok(of.clone()),
            _ => plan_err!("mode is written as mode() WITHIN GROUP (ORDER BY x)"),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("mode has no DISTINCT: values that differ all come once");
        }
        let is_descending = args.order_bys.first().is_some_and(|order| order.options.descending);
        let of = args.return_field.data_type().clone();
        Ok(Box::new(Counts { of, counts: HashMap::new(), bytes: 0, is_descending }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let list = |name: &str, of: DataType| {
            let items = DataType::List(Arc::new(Field::new_list_field(of, true)));
            Arc::new(Field::new(format_state_name(args.name, name), items, true))
        };
        Ok(vec![list("values", args.return_field.data_type().clone()), list("counts", DataType::Int64)])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }
}

/// How often each value came.
#[derive(Debug)]
struct Counts {
    of: DataType,
    counts: HashMap<ScalarValue, i64>,
    bytes: usize,
    is_descending: bool,
}

impl Counts {
    fn add(&mut self, value: ScalarValue, count: i64) {
        if value.is_null() {
            return;
        }
        let bytes = value.size() + size_of::<i64>();
        let known = self.counts.entry(value).or_insert_with(|| {
            self.bytes += bytes;
            0
        });
        *known += count;
    }

    /// Whether one value comes before another, where both came as often.
    fn order(&self, one: &ScalarValue, other: &ScalarValue) -> Ordering {
        let order = one.partial_cmp(other).unwrap_or(Ordering::Equal);
        if self.is_descending { order.reverse() } else { order }
    }
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        for row in 0..values.len() {
            self.add(ScalarValue::try_from_array(values, row)?, 1);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let best = self
            .counts
            .iter()
            .max_by(|(one, ones), (other, others)| ones.cmp(others).then_with(|| self.order(other, one)));
        match best {
            Some((value, _)) => Ok(value.clone()),
            None => ScalarValue::try_from(&self.of),
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (values, counts): (Vec<_>, Vec<_>) =
            self.counts.iter().map(|(value, count)| (value.clone(), ScalarValue::Int64(Some(*count)))).unzip();
        Ok(vec![
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &self.of)),
            ScalarValue::List(ScalarValue::new_list_nullable(&counts, &DataType::Int64)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts] = states else { return plan_err!("mode has two states") };
        let (values, counts) = (values.as_list::<i32>(), counts.as_list::<i32>());
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            let (values, counts) = (values.value(row), counts.value(row));
            for (index, count) in counts.as_primitive::<Int64Type>().iter().enumerate() {
                self.add(ScalarValue::try_from_array(&values, index)?, count.unwrap_or_default());
            }
        }
        Ok(())
    }
}
