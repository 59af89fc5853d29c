//! What `||`, lists in brackets, structs, maps, `extract` and `^` are planned as: the functions that are called by name, which are
//! held to a bound where they grow.

use std::sync::Arc;

use datafusion::{
    arrow::{array::ArrayRef, compute::kernels::concat_elements::concat_elements_dyn, datatypes::DataType},
    common::{DFSchema, Result, exec_err, plan_err},
    error::DataFusionError,
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
        expr::ScalarFunction,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
        type_coercion::binary::BinaryTypeCoercer,
    },
    scalar::ScalarValue,
    sql::sqlparser::ast::BinaryOperator,
};

use super::{growth::bounded, parts::PART};

/// Plans what calls a function without its name.
#[derive(Debug)]
pub(crate) struct JoinPlanner {
    texts: Arc<ScalarUDF>,
    /// All functions that are called by name, held to their bounds.
    functions: Vec<Arc<ScalarUDF>>,
}

impl JoinPlanner {
    /// The planner that uses those of `functions`, and makes no more than `bytes_max` of one batch.
    pub(crate) fn new(functions: &[Arc<ScalarUDF>], bytes_max: usize) -> Self {
        let texts = bounded(vec![Arc::new(ScalarUDF::from(Joined::default()))], bytes_max).remove(0);
        Self { texts, functions: functions.to_vec() }
    }

    fn named(&self, name: &str) -> Option<&Arc<ScalarUDF>> {
        self.functions.iter().find(|function| function.name() == name)
    }

    /// A call of the function of that name.
    fn called(&self, name: &str, args: Vec<Expr>) -> PlannerResult<Vec<Expr>> {
        match self.named(name) {
            Some(function) => PlannerResult::Planned(call(function, args)),
            None => PlannerResult::Original(args),
        }
    }
}

impl ExprPlanner for JoinPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let is_list = |expr: &Expr| expr.get_type(schema).map(|data_type| matches!(data_type, DataType::List(_)));
        let are_lists = || Ok::<_, DataFusionError>((is_list(&expr.left)?, is_list(&expr.right)?));
        let function = match expr.op {
            BinaryOperator::StringConcat => match are_lists()? {
                (false, false) => Some(&self.texts),
                (true, true) => self.named("array_concat"),
                // An item more is not much.
                (true, false) | (false, true) => None,
            },
            BinaryOperator::AtArrow | BinaryOperator::ArrowAt if are_lists()? == (true, true) => {
                self.named("array_has_all")
            }
            // The engine's own is "exclusive or".
            BinaryOperator::BitwiseXor => self.named("power"),
            _ => None,
        };
        Ok(match function {
            Some(function) if expr.op == BinaryOperator::ArrowAt => {
                PlannerResult::Planned(call(function, vec![expr.right, expr.left]))
            }
            Some(function) => PlannerResult::Planned(call(function, vec![expr.left, expr.right])),
            None => PlannerResult::Original(expr),
        })
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(self.called(PART, args))
    }

    fn plan_array_literal(&self, exprs: Vec<Expr>, _schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(self.called("make_array", exprs))
    }

    fn plan_struct_literal(&self, args: Vec<Expr>, is_named_struct: bool) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(self.called(if is_named_struct { "named_struct" } else { "struct" }, args))
    }

    fn plan_make_map(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let (Some(list), true) = (self.named("make_array"), args.len().is_multiple_of(2)) else {
            return Ok(PlannerResult::Original(args));
        };
        let (keys, values): (Vec<_>, Vec<_>) = args.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
        let list = |items: Vec<(usize, Expr)>| call(list, items.into_iter().map(|(_, item)| item).collect());
        Ok(self.called("map", vec![list(keys), list(values)]))
    }
}

fn call(function: &Arc<ScalarUDF>, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args))
}

/// The operator `||` of texts, as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined(Signature);

impl Default for Joined {
    fn default() -> Self {
        Self(Signature::user_defined(Volatility::Immutable))
    }
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &'static str {
        "||"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    /// The column is called as the operator's would be.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(names.join(" || "))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [left, right] = arg_types else { return plan_err!("|| takes two values") };
        let (left, right) = BinaryTypeCoercer::new(left, &Operator::StringConcat, right).get_input_types()?;
        Ok(vec![left, right])
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let [left, right] = arg_types else { return plan_err!("|| takes two values") };
        BinaryTypeCoercer::new(left, &Operator::StringConcat, right).get_result_type()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [left, right] = arrays.as_slice() else { return exec_err!("|| takes two values") };
        let joined: ArrayRef = concat_elements_dyn(left, right)?;
        Ok(if is_one {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?)
        } else {
            ColumnarValue::Array(joined)
        })
    }
}
