//! A subquery that is a value, and has more than one row for a row outside: an error, but only where its value is wanted.

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::{
        array::{Array, AsArray},
        datatypes::{DataType, Int64Type},
    },
    error::{DataFusionError, Result},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
    },
};

/// `value`, the first of a subquery's; an error where its rows are more than one, as `count` says.
pub(super) fn one_row(value: Expr, count: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::any(2, Volatility::Immutable);
        Arc::new(ScalarUDF::from(OneRow { signature }))
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&FUNCTION), vec![value, count]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OneRow {
    signature: Signature,
}

impl ScalarUDFImpl for OneRow {
    fn name(&self) -> &'static str {
        "one_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut given = args.args.into_iter();
        let (Some(value), Some(count)) = (given.next(), given.next()) else {
            return Err(DataFusionError::Internal("one_row takes a value and a count".to_owned()));
        };
        let counts = count.into_array(args.number_rows)?;
        let counts = counts.as_primitive::<Int64Type>();
        let is_more = (0..counts.len()).any(|row| counts.is_valid(row) && counts.value(row) > 1);
        if is_more {
            return Err(DataFusionError::Execution("Scalar subquery returned more than one row".to_owned()));
        }
        Ok(value)
    }
}
