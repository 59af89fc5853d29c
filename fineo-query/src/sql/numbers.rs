//! Whole numbers that are written out and beyond 64 bits with a sign: decimals, as in Postgres. The planner would round them to doubles.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Statement, UnaryOperator, Value, VisitMut, VisitorMut,
};

/// As many digits as a decimal has.
const DIGITS_MAX: usize = 38;
/// The least whole number has no opposite.
const OF_LEAST: &str = "9223372036854775808";

/// Has large whole numbers of `statement` be decimals.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Numbers);
}

struct Numbers;

impl VisitorMut for Numbers {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::UnaryOp { op: UnaryOperator::Minus, expr: number } = expr
            && let Expr::Value(number) = &mut **number
            && let Value::Number(digits, _) = &mut number.value
            && digits == OF_LEAST
        {
            digits.insert(0, '-');
            *expr = Expr::Value(number.clone());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Value(number) = &*expr else { return ControlFlow::Continue(()) };
        let Value::Number(digits, _) = &number.value else { return ControlFlow::Continue(()) };
        if let Some(digits) = large(digits) {
            *expr = Expr::Cast {
                kind: CastKind::Cast,
                data_type: DataType::Decimal(ExactNumberInfo::PrecisionAndScale(digits.len() as u64, 0)),
                expr: Box::new(Expr::Value(Value::SingleQuotedString(digits.to_owned()).into())),
                array: false,
                format: None,
            };
        }
        ControlFlow::Continue(())
    }
}

/// The digits of a whole number that has no room elsewhere.
fn large(text: &str) -> Option<&str> {
    let digits = text.trim_start_matches('0');
    let is_whole = digits.bytes().all(|digit| digit.is_ascii_digit());
    (is_whole && digits.len() <= DIGITS_MAX && !digits.is_empty() && digits.parse::<i64>().is_err()).then_some(digits)
}
