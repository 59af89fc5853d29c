//! What a filter over made columns implies of a file's own columns, so that statistics can speak.
//!
//! Everything here errs on one side: rows that satisfy the filter satisfy what is implied.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::Schema,
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, CastExpr, Column, InListExpr, Literal, binary, is_not_null, lit},
    },
};
use fineo_core::EventId;
use fineo_schema::{Conversion, FieldType, coerce};

use super::{
    Merged, Place, Typed,
    adapter::{Hexadecimal, MergedExpr},
    evaluate::is_exact_cast,
};
use crate::{column::data_type, convert::is_unconditional};

/// The longest list of which each entry is looked up.
const LIST_LEN_MAX: usize = 20;

type Expr = Arc<dyn PhysicalExpr>;

/// What `filter` implies of the columns of `schema`, where that says something new.
pub(super) fn implied(filter: &Expr, schema: &Schema) -> Option<Expr> {
    if let Some(list) = filter.downcast_ref::<InListExpr>() {
        if list.negated() || list.list().is_empty() || list.list().len() > LIST_LEN_MAX {
            return None;
        }
        let tests = list.list().iter().map(|entry| compared(list.expr(), Operator::Eq, entry, schema));
        return any(tests, schema);
    }
    let test = filter.downcast_ref::<BinaryExpr>()?;
    let (left, right) = (test.left(), test.right());
    match test.op() {
        Operator::And => match (implied(left, schema), implied(right, schema)) {
            (Some(left), Some(right)) => binary(left, Operator::And, right, schema).ok(),
            (one, None) | (None, one) => one,
        },
        Operator::Or => any([implied(left, schema), implied(right, schema)].into_iter(), schema),
        op => match right.downcast_ref::<Literal>() {
            Some(_) => compared(left, *op, right, schema),
            None => compared(right, op.swap()?, left, schema),
        },
    }
}

/// One of `tests` holds, if every one of them is known.
fn any(tests: impl Iterator<Item = Option<Expr>>, schema: &Schema) -> Option<Expr> {
    let mut all: Option<Expr> = None;
    for test in tests {
        all = Some(match all {
            Some(before) => binary(before, Operator::Or, test?, schema).ok()?,
            None => test?,
        });
    }
    all
}

fn compared(tested: &Expr, op: Operator, literal: &Expr, schema: &Schema) -> Option<Expr> {
    let literal = literal.downcast_ref::<Literal>()?.value();
    if literal.is_null() {
        return None;
    }
    if let Some(Hexadecimal(id)) = tested.downcast_ref::<Hexadecimal>() {
        let wanted: EventId = match op {
            Operator::Eq => text(literal)?.parse().ok()?,
            _ => return None,
        };
        // Hexadecimal text of our making has small letters: any other is of no row.
        return binary(Arc::clone(id), Operator::Eq, lit(ScalarValue::BinaryView(Some(wanted.0.to_vec()))), schema)
            .ok();
    }
    let MergedExpr { merged, .. } = tested.downcast_ref::<MergedExpr>()?;
    let is_order = matches!(op, Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    if !is_order {
        return None;
    }
    let tests = merged.pieces.iter().map(|piece| match &piece.place {
        Place::Rest(_) => None,
        Place::Column(typed) => Test { merged, typed, op, literal, schema }.of_piece(&piece.conversions),
    });
    any(tests, schema)
}

fn text(literal: &ScalarValue) -> Option<&str> {
    literal.try_as_str().flatten()
}

/// A comparison of one piece.
struct Test<'a> {
    merged: &'a Merged,
    typed: &'a Typed,
    op: Operator,
    literal: &'a ScalarValue,
    schema: &'a Schema,
}

impl Test<'_> {
    fn of_piece(&self, conversions: &[Conversion]) -> Option<Expr> {
        match self.merged.field_type {
            None | Some(FieldType::String) => self.of_text(),
            Some(FieldType::Double) if !conversions.is_empty() => self.of_converted(conversions),
            Some(_) if !conversions.is_empty() => None,
            Some(wanted) if wanted == self.typed.value_type => self.value(self.op, self.literal.clone()),
            // A cast to fewer bits would fail where a value does not fit.
            Some(wanted) if is_exact_cast(self.typed.value_type, wanted) && wanted != FieldType::Int => {
                let value = self.column(&self.typed.value)?;
                let cast: Expr = Arc::new(CastExpr::new(value, data_type(Some(&wanted)), None));
                let cast = binary(cast, self.op, lit(self.literal.clone()), self.schema).ok()?;
                match &self.typed.text {
                    Some(text) => any([Some(cast), is_not_null(self.column(text)?).ok()].into_iter(), self.schema),
                    None => Some(cast),
                }
            }
            Some(_) => None,
        }
    }

    fn column(&self, name: &str) -> Option<Expr> {
        Some(Arc::new(Column::new(name, self.schema.index_of(name).ok()?)))
    }

    fn value(&self, op: Operator, literal: ScalarValue) -> Option<Expr> {
        binary(self.column(&self.typed.value)?, op, lit(literal), self.schema).ok()
    }

    /// A text is its value's, or stands beside.
    fn of_text(&self) -> Option<Expr> {
        if self.op != Operator::Eq {
            return None;
        }
        let wanted = text(self.literal)?;
        let value = match scalar(wanted, self.typed.value_type) {
            Some(value) => Some(self.value(Operator::Eq, value)?),
            None => None,
        };
        let beside = match &self.typed.text {
            Some(name) => {
                let literal = lit(ScalarValue::Utf8View(Some(wanted.to_owned())));
                Some(binary(self.column(name)?, Operator::Eq, literal, self.schema).ok()?)
            }
            None => None,
        };
        match (value, beside) {
            (Some(value), Some(beside)) => binary(value, Operator::Or, beside, self.schema).ok(),
            (Some(one), None) | (None, Some(one)) => Some(one),
            (None, None) => Some(lit(false)),
        }
    }

    /// One of the conversions that may hold gives such a number.
    fn of_converted(&self, conversions: &[Conversion]) -> Option<Expr> {
        if self.typed.value_type != FieldType::Double {
            return None;
        }
        let ScalarValue::Float64(Some(wanted)) = self.literal else { return None };
        let is_always_one = conversions.last().is_some_and(is_unconditional);
        let mut forms: Vec<(f64, f64)> = conversions.iter().map(|known| (known.scale, known.offset)).collect();
        if !is_always_one {
            forms.push((1.0, 0.0));
        }
        any(forms.into_iter().map(|(scale, offset)| self.before(*wanted, scale, offset)), self.schema)
    }

    /// The values that are `wanted` or in its order once they are converted, a little more than those.
    fn before(&self, wanted: f64, scale: f64, offset: f64) -> Option<Expr> {
        // Far beyond what two roundings do, far below what anybody prunes by.
        const SLACK: f64 = 1e-9;
        let exact = (wanted - offset) / scale;
        // Values that are not zero may become zero.
        let vanishing = f64::MIN_POSITIVE / scale.abs();
        let slack = ((wanted / scale).abs() + (offset / scale).abs()) * SLACK + vanishing;
        if !exact.is_finite() || !slack.is_finite() {
            return None;
        }
        let double = |value| ScalarValue::Float64(Some(value));
        let at_most = || self.value(Operator::LtEq, double(exact + slack));
        let at_least = || self.value(Operator::GtEq, double(exact - slack));
        match self.op {
            Operator::Eq => binary(at_least()?, Operator::And, at_most()?, self.schema).ok(),
            Operator::Lt | Operator::LtEq if scale > 0.0 => at_most(),
            Operator::Lt | Operator::LtEq => at_least(),
            Operator::Gt | Operator::GtEq if scale > 0.0 => at_least(),
            Operator::Gt | Operator::GtEq => at_most(),
            _ => None,
        }
    }
}

/// The value that `text` is under a type.
fn scalar(text: &str, value_type: FieldType) -> Option<ScalarValue> {
    Some(match value_type {
        FieldType::String => ScalarValue::Utf8View(Some(text.to_owned())),
        FieldType::Json => ScalarValue::Utf8View(Some(coerce::json(text)?.to_owned())),
        FieldType::Boolean => ScalarValue::Boolean(Some(coerce::boolean(text)?)),
        FieldType::Int => ScalarValue::Int32(Some(coerce::int(text)?)),
        FieldType::Long => ScalarValue::Int64(Some(coerce::long(text)?)),
        FieldType::Float => ScalarValue::Float32(Some(coerce::float(text)?)),
        FieldType::Double => ScalarValue::Float64(Some(coerce::double(text)?)),
        FieldType::Decimal { precision, scale } => {
            ScalarValue::Decimal128(Some(coerce::decimal(text, precision, scale)?), precision, scale)
        }
        FieldType::Timestamp => ScalarValue::TimestampMicrosecond(Some(coerce::timestamp(text)?), Some("UTC".into())),
        FieldType::Date => ScalarValue::Date32(Some(coerce::date(text)?)),
        FieldType::Bytes => ScalarValue::BinaryView(Some(coerce::bytes(text)?)),
    })
}
