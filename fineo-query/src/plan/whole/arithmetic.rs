//! `+`, `-` and `*` of whole numbers, as functions that fail rather than wrap around.

use std::sync::Arc;

use datafusion::{
    arrow::{
        compute::kernels::numeric,
        datatypes::{DataType, Field, FieldRef},
    },
    common::{
        DFSchema, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::{
        BinaryExpr, Case, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
        ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::AggregateFunction,
        expr_rewriter::NamePreserver,
        interval_arithmetic::Interval,
        sort_properties::{ExprProperties, SortProperties},
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
    physical_expr_common::datum::apply,
};

use super::overflow;

/// Puts the functions in place of the operators.
#[derive(Debug)]
pub(crate) struct ChecksRanges;

impl AnalyzerRule for ChecksRanges {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(of_node).data()
    }

    fn name(&self) -> &'static str {
        "checks_ranges"
    }
}

fn of_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let checked = expr.transform_up(|expr| Ok(checked(expr, &schema)))?;
        Ok(if checked.transformed { checked.update_data(|expr| name.restore(expr)) } else { checked })
    })
}

fn checked(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_whole = |expr: &Expr| expr.get_type(schema).is_ok_and(|of| of.is_integer());
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match Checked::of(op) {
            Some(function) if is_whole(&left) && is_whole(&right) => {
                Transformed::yes(ScalarUDF::from(function).call(vec![*left, *right]))
            }
            _ => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
        },
        Expr::Negative(of) if is_whole(&of) => {
            Transformed::yes(ScalarUDF::from(Checked::new(Arithmetic::Negation)).call(vec![*of]))
        }
        Expr::AggregateFunction(call) => filtered(call),
        other => Transformed::no(other),
    }
}

/// `call` that is given nothing of the rows that its filter excludes: the engine computes what an aggregate is given of all rows.
fn filtered(mut call: AggregateFunction) -> Transformed<Expr> {
    let Some(filter) = &call.params.filter else { return Transformed::no(Expr::AggregateFunction(call)) };
    let mut is_changed = false;
    for arg in call.params.args.iter_mut().filter(|arg| may_fail(arg)) {
        let asked = Case::new(None, vec![(filter.clone(), Box::new(std::mem::take(arg)))], None);
        *arg = Expr::Case(asked);
        is_changed = true;
    }
    Transformed::new_transformed(Expr::AggregateFunction(call), is_changed)
}

/// Whether `expr` calculates with whole numbers.
fn may_fail(expr: &Expr) -> bool {
    let calculates = |expr: &Expr| {
        Ok(match expr {
            Expr::ScalarFunction(call) => call.func.inner().downcast_ref::<Checked>().is_some(),
            Expr::BinaryExpr(binary) => matches!(binary.op, Operator::Divide | Operator::Modulo),
            _ => false,
        })
    };
    expr.exists(calculates).unwrap_or(true)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Arithmetic {
    Sum,
    Difference,
    Product,
    Negation,
}

/// An operator of whole numbers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    arithmetic: Arithmetic,
    signature: Signature,
}

impl Checked {
    fn new(arithmetic: Arithmetic) -> Self {
        Self { arithmetic, signature: Signature::variadic_any(Volatility::Immutable) }
    }

    fn of(op: Operator) -> Option<Self> {
        let arithmetic = match op {
            Operator::Plus => Arithmetic::Sum,
            Operator::Minus => Arithmetic::Difference,
            Operator::Multiply => Arithmetic::Product,
            _ => return None,
        };
        Some(Self::new(arithmetic))
    }

    /// The operator as it is written, between what `args` are called.
    fn written(&self, args: &[Expr], called: impl Fn(&Expr) -> String) -> String {
        let args: Vec<String> = args.iter().map(called).collect();
        match self.arithmetic {
            Arithmetic::Negation => format!("(- {})", args.concat()),
            _ => args.join(&format!(" {} ", self.name())),
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.arithmetic {
            Arithmetic::Sum => "+",
            Arithmetic::Difference | Arithmetic::Negation => "-",
            Arithmetic::Product => "*",
        }
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(self.written(args, Expr::to_string))
    }

    /// A column is called as the operator's would be.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(self.written(args, |arg| arg.schema_name().to_string()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types[0].clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), args.arg_fields[0].data_type().clone(), is_nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (self.arithmetic, args.args.as_slice()) {
            (Arithmetic::Sum, [left, right]) => apply(left, right, numeric::add),
            (Arithmetic::Difference, [left, right]) => apply(left, right, numeric::sub),
            (Arithmetic::Product, [left, right]) => apply(left, right, numeric::mul),
            (_, [of, ..]) => {
                let zero = ColumnarValue::Scalar(ScalarValue::new_zero(&of.data_type())?);
                apply(&zero, of, numeric::sub)
            }
            (_, []) => Err(overflow("no operand")),
        }
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        match (self.arithmetic, inputs) {
            (Arithmetic::Sum, [left, right]) => left.add(*right),
            (Arithmetic::Difference, [left, right]) => left.sub(*right),
            _ => Interval::make_unbounded(&inputs[0].data_type()),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        Ok(match (self.arithmetic, inputs) {
            (Arithmetic::Sum, [left, right]) => left.sort_properties.add(&right.sort_properties),
            (Arithmetic::Difference, [left, right]) => left.sort_properties.sub(&right.sort_properties),
            (Arithmetic::Negation, [of]) => -of.sort_properties,
            _ => SortProperties::Unordered,
        })
    }
}
