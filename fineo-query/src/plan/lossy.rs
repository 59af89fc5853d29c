//! Casts and arithmetic that lose something of a value, kept from what turns them round.
//!
//! `CAST(amount AS INT) = 2` says neither that the amount is 2.00 nor that it is the same in every row, and no more does
//! `CAST("timestamp" AS DATE) = '2024-01-01'`. DataFusion 55.2 concludes both: simplification moves the cast to the constant
//! (`unwrap_cast`), and a filter whose intervals leave one instant takes the column for a constant, by which nobody
//! has to sort any more (`FilterExec`).

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, FieldRef, Schema},
    },
    common::{
        DFSchema,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    logical_expr::{
        Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, TryCast, expr_rewriter::NamePreserver,
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
    physical_expr::{
        PhysicalExpr, conjunction,
        expressions::{BinaryExpr, CastExpr},
        intervals::utils::check_support,
        utils::split_conjunction,
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        filter::{FilterExec, FilterExecBuilder},
    },
};

use super::as_it_is::as_it_is;

/// Functions that are casts, too.
const CASTS: [&str; 4] = ["arrow_cast", "arrow_try_cast", "cast_to_type", "try_cast_to_type"];

/// Keeps casts between numbers that lose something where they stand, for simplification.
#[derive(Debug)]
pub(crate) struct KeepsCasts;

fn kept(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let from = match &expr {
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => Some(&**expr),
        // They become casts while a plan is simplified.
        Expr::ScalarFunction(call) if CASTS.contains(&call.name()) => call.args.first(),
        _ => None,
    };
    let types = from.and_then(|from| Some((from.get_type(schema).ok()?, expr.get_type(schema).ok()?)));
    match types {
        Some((from, to)) if is_lossy(&from, &to) => Transformed::yes(as_it_is(expr, to)),
        Some(_) | None => Transformed::no(expr),
    }
}

impl AnalyzerRule for KeepsCasts {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let of_node = |plan: LogicalPlan| {
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let kept = expr.transform_up(|expr| Ok(kept(expr, &schema)))?;
                Ok(if kept.transformed { kept.update_data(|expr| name.restore(expr)) } else { kept })
            })
        };
        plan.transform_up_with_subqueries(of_node).data()
    }

    fn name(&self) -> &'static str {
        "keeps_casts"
    }
}

/// Whether a number of one type may be none of the other, or another one.
fn is_lossy(from: &DataType, to: &DataType) -> bool {
    let (Some((whole, scale)), Some((whole_max, scale_max))) = (digits(from), digits(to)) else { return false };
    // All digits are more than fit into so many bits.
    let is_cut = whole > whole_max || (whole == whole_max && to.is_integer());
    from != to && (is_cut || scale > scale_max || (to.is_unsigned_integer() && !from.is_unsigned_integer()))
}

/// How many digits numbers of a type have before the point, and how many behind it.
fn digits(data_type: &DataType) -> Option<(i16, i16)> {
    Some(match data_type {
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (i16::from(*precision) - i16::from(*scale), i16::from(*scale)),
        _ => return None,
    })
}

/// Keeps the tests of filters that have casts and arithmetic from being turned into bounds of columns.
#[derive(Debug)]
pub(crate) struct KeepsTests;

impl PhysicalOptimizerRule for KeepsTests {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(filter) = node.downcast_ref::<FilterExec>() else { return Ok(Transformed::no(node)) };
            let predicate = filter.predicate();
            if !check_support(predicate, &filter.input().schema()) || !turns(predicate)? {
                return Ok(Transformed::no(node));
            }
            let mut tests = Vec::new();
            for test in split_conjunction(predicate) {
                let is_kept = turns(test)?;
                tests.push(if is_kept { Arc::new(Opaque(Arc::clone(test))) } else { Arc::clone(test) });
            }
            let filter = FilterExecBuilder::from(filter).with_predicate(conjunction(tests)).build()?;
            Ok(Transformed::yes(Arc::new(filter) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "keeps_tests"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether a test is about more than columns and constants.
fn turns(test: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    let mut turns = false;
    test.apply(|expr| {
        let arithmetic = |binary: &BinaryExpr| {
            use Operator::{Divide, Minus, Modulo, Multiply, Plus};
            matches!(binary.op(), Plus | Minus | Multiply | Divide | Modulo)
        };
        turns |= expr.downcast_ref::<CastExpr>().is_some() || expr.downcast_ref::<BinaryExpr>().is_some_and(arithmetic);
        Ok(if turns { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(turns)
}

/// A test that is evaluated as it is, and of which nothing is known.
#[derive(Debug)]
pub(crate) struct Opaque(Arc<dyn PhysicalExpr>);

impl PartialEq for Opaque {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Eq for Opaque {}

impl Hash for Opaque {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PhysicalExpr for Opaque {
    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.0.return_field(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.0.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(match children.into_iter().next() {
            Some(test) => Arc::new(Self(test)),
            None => self,
        })
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType::{Decimal128, Float64, Int8, Int32, Int64, UInt64, Utf8};

    use super::is_lossy;

    #[test]
    fn a_cast_is_lossy_where_a_number_may_not_come_back() {
        for (from, to) in [
            (Int64, Int32),
            (Int64, UInt64),
            (UInt64, Int64),
            (Decimal128(10, 2), Int64),
            (Decimal128(10, 0), Int32),
            (Decimal128(10, 2), Decimal128(10, 1)),
            (Decimal128(10, 2), Decimal128(10, 3)),
            (Int8, Decimal128(3, 1)),
        ] {
            assert!(is_lossy(&from, &to), "{from} to {to}");
        }
        for (from, to) in [
            (Int32, Int64),
            (Int64, Int64),
            (Int64, Decimal128(19, 0)),
            (UInt64, Decimal128(20, 0)),
            (Decimal128(9, 0), Int32),
            (Decimal128(10, 2), Decimal128(12, 4)),
            (Float64, Int32),
            (Int64, Utf8),
        ] {
            assert!(!is_lossy(&from, &to), "{from} to {to}");
        }
    }
}
