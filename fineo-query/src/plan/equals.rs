//! Values that are equal though they are not the same bits: zeros of both signs, and intervals of other parts.
//!
//! DataFusion 55.2 compares intervals by their months, days and nanoseconds one by one, so that 24 hours are less than a day. Here
//! they are as long as Postgres has them: a month is 30 days, a day is 24 hours. And it takes `-0.0` for another value than
//! `0.0` in lists, in `CASE x WHEN …`, and where rows are sorted or told apart by a window.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, PrimitiveArray},
        datatypes::{
            ArrowPrimitiveType, DataType, Decimal128Type, DurationMicrosecondType, DurationMillisecondType,
            DurationNanosecondType, DurationSecondType, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit,
            IntervalYearMonthType, TimeUnit,
        },
    },
    common::{
        DFSchema, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::{DataFusionError, Result},
    logical_expr::{
        Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        SortExpr, Volatility, expr::InList, expr_rewriter::NamePreserver, utils::merge_schema,
    },
    optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule},
};

use super::literals::is_comparison;

/// Compares what may be equal so that it is.
#[derive(Debug)]
pub(crate) struct ComparesEquals;

impl AnalyzerRule for ComparesEquals {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(of_node).data()
    }

    fn name(&self) -> &'static str {
        "compares_equals"
    }
}

fn of_node(mut plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let mut is_sorted = false;
    if let LogicalPlan::Sort(sort) = &mut plan {
        is_sorted = sort_keys(&mut sort.expr, &schema);
    }
    let compared = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let compared = expr.transform_up(|mut expr| {
            let is_changed = of_expr(&mut expr, &schema);
            Ok(Transformed::new_transformed(expr, is_changed))
        })?;
        Ok(if compared.transformed { compared.update_data(|expr| name.restore(expr)) } else { compared })
    })?;
    Ok(Transformed::new_transformed(compared.data, compared.transformed || is_sorted))
}

/// Whether `expr` compares, or sorts, what has to be brought into one form first; it is, then.
fn of_expr(expr: &mut Expr, schema: &DFSchema) -> bool {
    let is_interval = |side: &Expr| side.get_type(schema).is_ok_and(|of| matches!(of, DataType::Interval(_)));
    match expr {
        Expr::BinaryExpr(binary) if is_comparison(binary.op) => {
            (is_interval(&binary.left) || is_interval(&binary.right))
                && all(vec![&mut *binary.left, &mut *binary.right], schema)
        }
        Expr::Between(between) => {
            is_interval(&between.expr) && all(vec![&mut *between.expr, &mut *between.low, &mut *between.high], schema)
        }
        // What is in a list of constants stays a test of a column: see [`ListsZeros`].
        Expr::InList(list) => {
            (is_interval(&list.expr) || !list.list.iter().all(|item| matches!(item, Expr::Literal(..))))
                && all(std::iter::once(&mut *list.expr).chain(&mut list.list).collect(), schema)
        }
        Expr::Case(case) => match &mut case.expr {
            Some(value) => {
                let whens = case.when_then_expr.iter_mut().map(|(when, _)| &mut **when);
                all(std::iter::once(&mut **value).chain(whens).collect(), schema)
            }
            None => false,
        },
        Expr::WindowFunction(call) => {
            let is_told_apart = all(call.params.partition_by.iter_mut().collect(), schema);
            sort_keys(&mut call.params.order_by, schema) || is_told_apart
        }
        _ => false,
    }
}

fn sort_keys(keys: &mut [SortExpr], schema: &DFSchema) -> bool {
    all(keys.iter_mut().map(|key| &mut key.expr).collect(), schema)
}

/// Brings all of `sides` into one form; whether any was in another one.
fn all(sides: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    let mut is_changed = false;
    for side in sides {
        is_changed |= match side.get_type(schema) {
            Ok(DataType::Interval(_)) => {
                *side = length(std::mem::take(side), schema);
                true
            }
            Ok(DataType::Float64) => unsigned_zero(side, 0.0_f64.into()),
            Ok(DataType::Float32) => unsigned_zero(side, 0.0_f32.into()),
            _ => false,
        };
    }
    is_changed
}

/// Takes its sign from `expr`, where it is a zero; whether it had one.
pub(super) fn without_sign(expr: &mut Expr) -> bool {
    let Expr::Literal(value, _) = expr else { return false };
    let unsigned = match value {
        ScalarValue::Float64(Some(zero)) if *zero == 0.0 && zero.is_sign_negative() => ScalarValue::from(0.0_f64),
        ScalarValue::Float32(Some(zero)) if *zero == 0.0 && zero.is_sign_negative() => ScalarValue::from(0.0_f32),
        _ => return false,
    };
    *value = unsigned;
    true
}

/// Whether `expr` is what the engine compares part by part.
pub(super) fn is_length(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|of| is_duration(&of) || matches!(of, DataType::Interval(_)))
}

/// Has a window ordered by how long intervals are: the engine knows no range of them. Whether any is.
pub(super) fn order_by_lengths(keys: &mut [SortExpr], schema: &DFSchema) -> bool {
    let mut is_changed = false;
    for SortExpr { expr, .. } in keys {
        if is_length(expr, schema) {
            *expr = length_of(std::mem::take(expr));
            is_changed = true;
        }
    }
    is_changed
}

/// How long `interval` is, which as such might have no room for the difference of two times that is cast to it.
pub(super) fn length(interval: Expr, schema: &DFSchema) -> Expr {
    match interval {
        Expr::Cast(Cast { expr, .. }) if expr.get_type(schema).is_ok_and(|of| is_duration(&of)) => length_of(*expr),
        other => length_of(other),
    }
}

pub(super) fn length_of(interval: Expr) -> Expr {
    ScalarUDF::from(LengthOf(Signature::any(1, Volatility::Immutable))).call(vec![interval])
}

/// Adds zero, by which the sign of a zero is lost.
fn unsigned_zero(side: &mut Expr, zero: ScalarValue) -> bool {
    if matches!(side, Expr::Literal(..)) {
        return without_sign(side);
    }
    *side = std::mem::take(side) + Expr::Literal(zero, None);
    true
}

fn is_duration(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Duration(_))
}

/// Of a zero the one with the other sign.
fn other_zero(value: &ScalarValue) -> Option<ScalarValue> {
    match value {
        ScalarValue::Float64(Some(zero)) if *zero == 0.0 => Some((-zero).into()),
        ScalarValue::Float32(Some(zero)) if *zero == 0.0 => Some((-zero).into()),
        _ => None,
    }
}

/// Has both zeros in lists that have one of them. Lists are also made while a plan is optimized, of tests joined by `OR`.
#[derive(Debug)]
pub(crate) struct ListsZeros;

impl OptimizerRule for ListsZeros {
    fn name(&self) -> &'static str {
        "lists_zeros"
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let listed = expr.transform_up(|expr| Ok(both_listed(expr)))?;
                Ok(if listed.transformed { listed.update_data(|expr| name.restore(expr)) } else { listed })
            })
        })
    }
}

fn both_listed(expr: Expr) -> Transformed<Expr> {
    let Expr::InList(InList { expr, mut list, negated }) = expr else { return Transformed::no(expr) };
    let others: Vec<Expr> = list
        .iter()
        .filter_map(|item| match item {
            Expr::Literal(value, _) => other_zero(value).map(|zero| Expr::Literal(zero, None)),
            _ => None,
        })
        .filter(|other| !list.contains(other))
        .collect();
    let is_changed = !others.is_empty();
    list.extend(others);
    Transformed::new_transformed(Expr::InList(InList { expr, list, negated }), is_changed)
}

/// How many nanoseconds an interval has.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LengthOf(Signature);

const MILLISECOND: i128 = 1_000_000;
const SECOND: i128 = 1_000 * MILLISECOND;
const DAY: i128 = 86_400 * SECOND;
const MONTH: i128 = 30 * DAY;
const LENGTH: DataType = DataType::Decimal128(38, 0);

impl ScalarUDFImpl for LengthOf {
    fn name(&self) -> &'static str {
        "length_of_interval"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(LENGTH)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [given] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("one interval is expected".to_owned()));
        };
        Ok(match given {
            ColumnarValue::Array(array) => ColumnarValue::Array(lengths(array)?),
            ColumnarValue::Scalar(scalar) => {
                let lengths = lengths(&scalar.to_array()?)?;
                ColumnarValue::Scalar(ScalarValue::try_from_array(&lengths, 0)?)
            }
        })
    }
}

/// How many nanoseconds each interval, or difference of times, has.
pub(super) fn lengths(array: &ArrayRef) -> Result<ArrayRef> {
    let lengths = match array.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => {
            of_each::<IntervalYearMonthType>(array, |months| i128::from(months) * MONTH)
        }
        DataType::Interval(IntervalUnit::DayTime) => of_each::<IntervalDayTimeType>(array, |interval| {
            i128::from(interval.days) * DAY + i128::from(interval.milliseconds) * MILLISECOND
        }),
        DataType::Interval(IntervalUnit::MonthDayNano) => of_each::<IntervalMonthDayNanoType>(array, |interval| {
            i128::from(interval.months) * MONTH + i128::from(interval.days) * DAY + i128::from(interval.nanoseconds)
        }),
        DataType::Duration(TimeUnit::Second) => of_duration::<DurationSecondType>(array, SECOND),
        DataType::Duration(TimeUnit::Millisecond) => of_duration::<DurationMillisecondType>(array, MILLISECOND),
        DataType::Duration(TimeUnit::Microsecond) => of_duration::<DurationMicrosecondType>(array, 1_000),
        DataType::Duration(TimeUnit::Nanosecond) => of_duration::<DurationNanosecondType>(array, 1),
        other => return Err(DataFusionError::Internal(format!("{other} is no interval"))),
    };
    Ok(Arc::new(lengths.with_data_type(LENGTH)))
}

fn of_duration<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, unit: i128) -> PrimitiveArray<Decimal128Type> {
    of_each::<T>(array, |units| i128::from(units) * unit)
}

fn of_each<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    length: impl Fn(T::Native) -> i128,
) -> PrimitiveArray<Decimal128Type>
where
    T::Native: ArrowNativeTypeOp,
{
    array.as_primitive::<T>().unary(length)
}
