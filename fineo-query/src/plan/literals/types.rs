//! The types that what is compared is brought to, where the engine would choose others.

use datafusion::{
    arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit},
    common::{DFSchema, ScalarValue, tree_node::Transformed},
    error::Result,
    logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, cast},
};

use super::is_literal;

/// Every whole number has room, and as many digits behind the point.
const DECIMALS: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 18);

/// Beside numbers beyond this the engine's decimals have no room for 15 digits behind the point.
const DECIMALS_END: f64 = 1e22;

/// Brings all that `expr` compares to one type where the engine would choose another one; whether it did.
pub(super) fn unify(expr: &mut Expr, schema: &DFSchema) -> bool {
    as_instants(expr, schema) || as_doubles(expr, schema) || as_decimals(expr, schema)
}

/// What `expr` compares.
pub(super) fn compared(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::BinaryExpr(binary) => vec![&mut *binary.left, &mut *binary.right],
        Expr::Between(between) => vec![&mut *between.expr, &mut *between.low, &mut *between.high],
        Expr::InList(list) => std::iter::once(&mut *list.expr).chain(&mut list.list).collect(),
        Expr::Case(case) => {
            let whens = case.when_then_expr.iter_mut().map(|(when, _)| &mut **when);
            case.expr.as_deref_mut().into_iter().chain(whens).collect()
        }
        _ => Vec::new(),
    }
}

/// Makes days that are compared with instants those at which they begin, and counts all in microseconds.
fn as_instants(expr: &mut Expr, schema: &DFSchema) -> bool {
    let mut compared = compared(expr);
    let types: Vec<_> = compared.iter().map(|side| side.get_type(schema).ok()).collect();
    let mut instants =
        types.iter().flatten().filter(|side| matches!(side, DataType::Timestamp(TimeUnit::Microsecond, _)));
    let Some(instant) = instants.next() else { return false };
    let mut is_changed = false;
    for (side, of) in compared.iter_mut().zip(&types) {
        let read_as = match of {
            Some(DataType::Date32 | DataType::Date64) => instant.clone(),
            Some(DataType::Timestamp(TimeUnit::Nanosecond, zone)) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            _ => continue,
        };
        **side = cast(std::mem::take(*side), read_as);
        is_changed = true;
    }
    is_changed
}

/// Makes decimals that are compared with doubles, or with a number beyond all digits of decimals, doubles too: the engine would
/// make decimals of both, and one large double would end the query.
fn as_doubles(expr: &mut Expr, schema: &DFSchema) -> bool {
    let mut compared = compared(expr);
    let types: Vec<_> = compared.iter().map(|side| side.get_type(schema).ok()).collect();
    let is_double = |(side, of): (&&mut Expr, &Option<DataType>)| match (&**side, of) {
        (Expr::Literal(ScalarValue::Float64(Some(number)), _), _) => number.abs() >= DECIMALS_END,
        (_, of) => *of == Some(DataType::Float64),
    };
    if !compared.iter().zip(&types).any(is_double) {
        return false;
    }
    let mut is_changed = false;
    for (side, of) in compared.iter_mut().zip(&types) {
        if matches!(of, Some(DataType::Decimal128(..))) {
            **side = cast(std::mem::take(*side), DataType::Float64);
            is_changed = true;
        }
    }
    is_changed
}

/// Makes decimals of texts and whole numbers that are compared with each other, of which neither is written out: the engine would
/// read whole numbers alone, and doubles do not tell large ones from their neighbours.
fn as_decimals(expr: &mut Expr, schema: &DFSchema) -> bool {
    let mut compared = compared(expr);
    let types: Vec<_> = compared.iter().map(|side| side.get_type(schema).ok()).collect();
    let has = |is: &dyn Fn(&DataType) -> bool| {
        compared.iter().zip(&types).any(|(side, of)| !is_literal(side) && of.as_ref().is_some_and(is))
    };
    if !has(&is_text) || !has(&DataType::is_integer) {
        return false;
    }
    for (side, of) in compared.iter_mut().zip(&types) {
        if of.as_ref().is_some_and(|of| is_text(of) || of.is_integer()) {
            **side = cast(std::mem::take(*side), DECIMALS);
        }
    }
    true
}

fn is_text(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The same where text is looked for among the whole numbers of a subquery, or they among its texts.
pub(super) fn sought_as_decimal(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (wanted, subquery) = match &mut expr {
        Expr::InSubquery(test) => (&mut test.expr, &mut test.subquery),
        Expr::SetComparison(test) => (&mut test.expr, &mut test.subquery),
        _ => return Ok(Transformed::no(expr)),
    };
    let found = subquery.subquery.schema();
    let (Ok(of_wanted), [of_found]) = (wanted.get_type(schema), found.fields().as_ref()) else {
        return Ok(Transformed::no(expr));
    };
    let of_found = of_found.data_type();
    let are_of_two = (is_text(&of_wanted) && of_found.is_integer()) || (of_wanted.is_integer() && is_text(of_found));
    if is_literal(wanted) || !are_of_two {
        return Ok(Transformed::no(expr));
    }
    let decimals = found.columns().into_iter().map(|column| {
        let (relation, name) = (column.relation.clone(), column.name.clone());
        cast(Expr::Column(column), DECIMALS).alias_qualified(relation, name)
    });
    let decimals = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).project(decimals)?.build()?;
    subquery.subquery = decimals.into();
    **wanted = cast(std::mem::take(&mut **wanted), DECIMALS);
    Ok(Transformed::yes(expr))
}
