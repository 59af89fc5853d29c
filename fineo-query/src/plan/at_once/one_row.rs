//! A subquery that is a value, and has more than one row for a row outside: an error, but only where its value is wanted.

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::{
        array::AsArray,
        datatypes::{DataType, Int64Type},
    },
    error::{DataFusionError, Result},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
    },
};

use fineo_core::{Error, ErrorKind};

use crate::error::foreign;

/// `value`, the first of a subquery's; an error where its rows are more than one, as `count` says, or where a row outside is none of
/// those that the subquery was asked for, whom `is_there` is true for.
pub(super) fn one_row(value: Expr, count: Expr, is_there: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::any(3, Volatility::Immutable);
        Arc::new(ScalarUDF::from(OneRow { signature }))
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&FUNCTION), vec![value, count, is_there]))
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
        let Ok([value, count, is_there]) = <[ColumnarValue; 3]>::try_from(args.args) else {
            return Err(DataFusionError::Internal("one_row takes three values".to_owned()));
        };
        let counts = count.into_array(args.number_rows)?;
        let counts = counts.as_primitive::<Int64Type>();
        if counts.iter().flatten().any(|count| count > 1) {
            return Err(DataFusionError::Execution("Scalar subquery returned more than one row".to_owned()));
        }
        if is_there.into_array(args.number_rows)?.null_count() > 0 {
            let message = "rows came or went while a subquery was asked for them: ask again";
            return Err(foreign(Error::new(ErrorKind::Unavailable, message).with("code", "rows_changed")));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::{
        array::{ArrayRef, BooleanArray, Int64Array},
        datatypes::{DataType, Field},
    };

    use super::*;

    fn asked(counts: Vec<Option<i64>>, are_there: Vec<Option<bool>>) -> std::result::Result<usize, String> {
        let number_rows = counts.len();
        let values: ArrayRef = Arc::new(Int64Array::from(vec![7; number_rows]));
        let (counts, there): (ArrayRef, ArrayRef) =
            (Arc::new(Int64Array::from(counts)), Arc::new(BooleanArray::from(are_there)));
        let args = [values, counts, there].map(ColumnarValue::Array).to_vec();
        let fields = args.iter().map(|arg| Arc::new(Field::new("", arg.data_type(), true))).collect();
        let return_field = Arc::new(Field::new("", DataType::Int64, true));
        let config_options = Arc::default();
        let given = ScalarFunctionArgs { args, arg_fields: fields, number_rows, return_field, config_options };
        let function = OneRow { signature: Signature::any(3, Volatility::Immutable) };
        let answer = function.invoke_with_args(given).map_err(|error| error.to_string())?;
        Ok(answer.into_array(number_rows).map_err(|error| error.to_string())?.len())
    }

    #[test]
    fn a_value_is_of_one_row_at_most_and_of_a_row_that_was_asked_for() {
        assert_eq!(asked(vec![Some(1), None, Some(0)], vec![Some(true); 3]), Ok(3));
        assert!(asked(vec![Some(1), Some(2)], vec![Some(true); 2]).unwrap_err().contains("more than one row"));
        assert!(asked(vec![Some(1), None], vec![Some(true), None]).unwrap_err().contains("rows_changed"));
    }
}
