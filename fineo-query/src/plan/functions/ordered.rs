//! Values that are picked out of all in their order: `mode() WITHIN GROUP (ORDER BY x)` is the one that comes most often, of several
//! the first, and `percentile_disc(p) WITHIN GROUP (ORDER BY x)` the first with which so large a share of all has come.

use std::{collections::HashMap, mem::size_of, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray},
        datatypes::{DataType, Field, FieldRef, Int64Type},
    },
    common::{Result, ScalarValue, plan_err},
    error::DataFusionError,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::{AggregateOrderSensitivity, format_state_name},
    },
    physical_expr::{PhysicalExpr, expressions::Literal},
};

use crate::{
    error::{foreign, refused},
    plan::equals::lengths,
};

const MODE: &str = "mode";
const PERCENTILE: &str = "percentile_disc";

pub(super) const NAMES: [&str; 2] = [MODE, PERCENTILE];

pub(super) fn all() -> impl Iterator<Item = Arc<AggregateUDF>> {
    let of = |name| Ordered { name, signature: Signature::user_defined(Volatility::Immutable) };
    NAMES.into_iter().map(move |name| Arc::new(AggregateUDF::new_from_impl(of(name))))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ordered {
    name: &'static str,
    signature: Signature,
}

/// Which of the values it is.
#[derive(Debug, Clone, Copy)]
enum Pick {
    Most,
    /// Where this share of all has come; none for a share that is null.
    Share(Option<f64>),
}

impl AggregateUDFImpl for Ordered {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The planner puts what is ordered before what is between the brackets.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match (self.name, given) {
            (MODE, [_]) | (PERCENTILE, [_, _]) => Ok(given.to_vec()),
            (MODE, _) => Err(wrong("mode is written as mode() WITHIN GROUP (ORDER BY x)")),
            _ => Err(wrong("percentile_disc is written with WITHIN GROUP (ORDER BY …) over one value")),
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(given.first().cloned().unwrap_or(DataType::Null))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("{} has no DISTINCT", self.name);
        }
        let pick = match args.exprs {
            [_, share] => Pick::Share(share_of(share)?),
            _ => Pick::Most,
        };
        let is_descending = args.order_bys.first().is_some_and(|order| order.options.descending);
        let of = args.return_field.data_type().clone();
        Ok(Box::new(Counts { pick, of, is_descending, counts: HashMap::new(), bytes: 0 }))
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

fn share_of(expr: &Arc<dyn PhysicalExpr>) -> Result<Option<f64>> {
    let refused = || wrong("percentile_disc takes a number from 0 to 1");
    let literal = expr.downcast_ref::<Literal>().ok_or_else(refused)?;
    match literal.value().cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(Some(share))) if (0.0..=1.0).contains(&share) => Ok(Some(share)),
        Ok(ScalarValue::Float64(None)) => Ok(None),
        _ => Err(refused()),
    }
}

fn wrong(message: &str) -> DataFusionError {
    foreign(
        refused("query_invalid", message).with("hint", "percentile_disc(0.5) WITHIN GROUP (ORDER BY x) is the median"),
    )
}

/// How often each value came.
#[derive(Debug)]
struct Counts {
    pick: Pick,
    of: DataType,
    is_descending: bool,
    /// By what is equal for equal values, and sorts as they do.
    counts: HashMap<ScalarValue, Count>,
    bytes: usize,
}

#[derive(Debug)]
struct Count {
    /// Of the equal values the least by its parts; none where they are all what they are counted by.
    shown: Option<ScalarValue>,
    count: i64,
}

impl Counts {
    /// Counts the value at each of some rows, so often as `count` says.
    fn add(&mut self, values: &ArrayRef, count: impl Fn(usize) -> i64) -> Result<()> {
        let lengths = match values.data_type() {
            DataType::Interval(_) => Some(lengths(values)?),
            _ => None,
        };
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            let value = ScalarValue::try_from_array(values, row)?;
            let (key, shown) = match &lengths {
                Some(lengths) => (ScalarValue::try_from_array(lengths, row)?, Some(value)),
                None => (one_of_equal(value), None),
            };
            if key.is_null() {
                continue;
            }
            let bytes = key.size() + size_of::<Count>() + shown.as_ref().map_or(0, ScalarValue::size);
            let known = self.counts.entry(key).or_insert_with(|| {
                self.bytes += bytes;
                Count { shown: None, count: 0 }
            });
            known.count += count(row);
            if shown.is_some() && (known.shown.is_none() || shown < known.shown) {
                known.shown = shown;
            }
        }
        Ok(())
    }

    /// All in their order.
    fn sorted(&self) -> Vec<(&ScalarValue, &Count)> {
        let mut sorted: Vec<_> = self.counts.iter().collect();
        sorted.sort_by(|(one, _), (other, _)| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
        if self.is_descending {
            sorted.reverse();
        }
        sorted
    }
}

/// `value`, but one and the same for both zeros, and for all that are no numbers.
fn one_of_equal(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float64(Some(0.0)) => 0.0_f64.into(),
        ScalarValue::Float64(Some(number)) if number.is_nan() => f64::NAN.into(),
        ScalarValue::Float32(Some(0.0)) => 0.0_f32.into(),
        ScalarValue::Float32(Some(number)) if number.is_nan() => f32::NAN.into(),
        value => value,
    }
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values.first().map_or(Ok(()), |values| self.add(values, |_| 1))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sorted = self.sorted();
        let found = match self.pick {
            // Of several the first: the last one is kept by what finds the largest.
            Pick::Most => sorted.into_iter().rev().max_by_key(|(_, count)| count.count),
            Pick::Share(None) => None,
            Pick::Share(Some(share)) => {
                let all: i64 = sorted.iter().map(|(_, count)| count.count).sum();
                let place = (share * all as f64).ceil().max(1.0);
                let mut come = 0;
                sorted.into_iter().find(|(_, count)| {
                    come += count.count;
                    come as f64 >= place
                })
            }
        };
        match found {
            Some((key, Count { shown, .. })) => Ok(shown.as_ref().unwrap_or(key).clone()),
            None => ScalarValue::try_from(&self.of),
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let shown = |(key, count): (&ScalarValue, &Count)| {
            (count.shown.as_ref().unwrap_or(key).clone(), ScalarValue::Int64(Some(count.count)))
        };
        let (values, counts): (Vec<_>, Vec<_>) = self.counts.iter().map(shown).unzip();
        Ok(vec![
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &self.of)),
            ScalarValue::List(ScalarValue::new_list_nullable(&counts, &DataType::Int64)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts] = states else { return plan_err!("values and their counts are merged") };
        let (values, counts) = (values.as_list::<i32>(), counts.as_list::<i32>());
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            let counts = counts.value(row);
            let counts = counts.as_primitive::<Int64Type>();
            self.add(&values.value(row), |index| counts.value(index))?;
        }
        Ok(())
    }
}
