//! Functions of the engine's that are asked for something before they are called.

use std::{fmt::Debug, hash::Hash, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::Result,
    config::ConfigOptions,
    logical_expr::{
        ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        interval_arithmetic::Interval,
        simplify::{ExprSimplifyResult, SimplifyContext},
        sort_properties::{ExprProperties, SortProperties},
    },
};

/// What is asked of the calls of a function, by its name.
pub(super) trait Guard: Debug + Clone + Eq + Hash + Send + Sync + 'static {
    /// Of what a call is given, while it is planned.
    fn check_asked(&self, _function: &str, _args: &ReturnFieldArgs<'_>) -> Result<()> {
        Ok(())
    }

    /// Of the type that a call makes.
    fn check_type(&self, _function: &str, _made: &DataType) -> Result<()> {
        Ok(())
    }

    /// Of a call, before it is made.
    fn check_call(&self, _function: &str, _args: &ScalarFunctionArgs) -> Result<()> {
        Ok(())
    }

    /// The types as which values of the types `given` are taken, where those are not the engine's.
    fn taken(&self, _given: &[DataType]) -> Option<Vec<DataType>> {
        None
    }

    /// What the function is given of a call that was checked.
    fn given(&self, args: ScalarFunctionArgs) -> Result<ScalarFunctionArgs> {
        Ok(args)
    }
}

/// `functions`, of which those that `guard_of` has a guard for are asked by it.
pub(super) fn guarded<G: Guard>(
    functions: Vec<Arc<ScalarUDF>>,
    guard_of: impl Fn(&str) -> Option<G>,
) -> Vec<Arc<ScalarUDF>> {
    let guarded = functions.into_iter().map(|function| match guard_of(function.name()) {
        Some(guard) => Arc::new(ScalarUDF::from(Guarded { inner: function, guard })),
        None => function,
    });
    guarded.collect()
}

/// Functions of numbers that the engine knows as rising or falling where they are defined.
const OF_SOME_NUMBERS: [&str; 8] = ["acos", "acosh", "asin", "atanh", "ln", "log10", "log2", "sqrt"];

/// `functions`, by which one can sort whatever numbers they are given.
pub(crate) fn of_any_number(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    guarded(functions, |name| OF_SOME_NUMBERS.contains(&name).then_some(Nothing))
}

/// Asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Nothing;

impl Guard for Nothing {}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Guarded<G> {
    inner: Arc<ScalarUDF>,
    guard: G,
}

/// What a function that stands before another says as that one does.
macro_rules! as_inner {
    () => {
        fn name(&self) -> &str {
            self.inner.name()
        }

        fn aliases(&self) -> &[String] {
            self.inner.aliases()
        }

        fn schema_name(&self, args: &[Expr]) -> Result<String> {
            self.inner.inner().schema_name(args)
        }

        fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
            self.inner.inner().return_type(arg_types)
        }

        fn is_strict(&self) -> bool {
            self.inner.inner().is_strict()
        }

        fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
            self.inner.inner().simplify(args, info)
        }

        fn short_circuits(&self) -> bool {
            self.inner.inner().short_circuits()
        }

        fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
            self.inner.inner().conditional_arguments(args)
        }

        fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
            self.inner.inner().evaluate_bounds(input)
        }

        fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
            // Some fail where numbers may lie outside of those that they take; nothing is known then, that is all.
            Ok(self.inner.inner().output_ordering(inputs).unwrap_or(SortProperties::Unordered))
        }

        fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
            self.inner.inner().preserves_lex_ordering(inputs)
        }

        fn documentation(&self) -> Option<&Documentation> {
            self.inner.documentation()
        }
    };
}

pub(super) use as_inner;

impl<G: Guard> ScalarUDFImpl for Guarded<G> {
    as_inner!();

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = Arc::new(self.inner.inner().with_updated_config(config)?);
        Some(ScalarUDF::from(Self { inner, guard: self.guard.clone() }))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.guard.check_asked(self.name(), &args)?;
        let field = self.inner.inner().return_field_from_args(args)?;
        self.guard.check_type(self.name(), field.data_type())?;
        Ok(field)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.guard.check_call(self.name(), &args)?;
        let args = self.guard.given(args)?;
        self.inner.inner().invoke_with_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match self.guard.taken(arg_types) {
            Some(taken) => Ok(taken),
            None => self.inner.inner().coerce_types(arg_types),
        }
    }
}
