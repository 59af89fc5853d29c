//! Comparisons with all rows of a subquery, `x > ALL (SELECT …)`, `x = ANY (SELECT …)`, and with all values of an array.
//!
//! The planner compares by the names of columns, and where the subquery reads the same table, its column has the name of
//! the one beside it: each row would be compared with itself. So the subquery's column gets a name of ours. Of an array that
//! holds a null it knows what `ALL` is, but says that `ANY` is false where nobody knows: so that is said by `ALL`.

use std::{collections::HashSet, mem, ops::ControlFlow};

use datafusion::sql::sqlparser::{
    ast::{
        ArrayElemTypeDef, BinaryOperator, DataType, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, Statement,
        TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
    },
    parser::Parser,
};

use super::{dialect::Sql, exact};

const NAME: &str = "compared with";
const WRAPPED: &str = "SELECT * FROM (SELECT 1) AS \"compared with\" (\"compared with\")";

/// Says `= ANY` as `IN` and `<> ALL` as `NOT IN`, also of a list, and `< ANY` of an array as `NOT (… >= ALL …)`; names what the
/// other comparisons compare with.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Comparisons::default());
}

#[derive(Default)]
struct Comparisons {
    /// Where the tests are that a filter wants to be true: what is false there is as good as what nobody knows, and what the planner
    /// makes of it tells files apart.
    filters: HashSet<*const Expr>,
}

impl Comparisons {
    fn note(&mut self, filter: &Expr) {
        match filter {
            Expr::Nested(inner) => self.note(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.note(left);
                self.note(right);
            }
            Expr::AnyOp { .. } => {
                self.filters.insert(std::ptr::from_ref(filter));
            }
            _ => {}
        }
    }
}

impl VisitorMut for Comparisons {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let Some(filter) = &select.selection {
            self.note(filter);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let is_filter = self.filters.remove(&std::ptr::from_ref(&*expr));
        match expr {
            Expr::AnyOp { compare_op: BinaryOperator::Eq, left, right, .. } => {
                if let Some(subquery) = subquery(right) {
                    *expr = Expr::InSubquery { expr: Box::new(taken(left)), subquery, negated: false };
                } else if let Some(list) = list(right) {
                    *expr = Expr::InList { expr: Box::new(taken(left)), list, negated: false };
                } else if !is_filter {
                    by_all(expr);
                }
            }
            Expr::AllOp { compare_op: BinaryOperator::NotEq, left, right } => {
                if let Some(subquery) = subquery(right) {
                    *expr = Expr::InSubquery { expr: Box::new(taken(left)), subquery, negated: true };
                } else if let Some(list) = list(right) {
                    *expr = Expr::InList { expr: Box::new(taken(left)), list, negated: true };
                }
            }
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
                if let Some(subquery) = subquery(right) {
                    **right = Expr::Subquery(named(subquery));
                } else if !is_filter {
                    by_all(expr);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Says `x < ANY (array)` as `NOT (x >= ALL (array))`, which is the same, with nulls or without. A null that is no array by its type
/// stays: the planner knows of `= ANY (NULL)` alone.
fn by_all(expr: &mut Expr) {
    let Expr::AnyOp { left, compare_op, right, .. } = expr else { return };
    if matches!(&**right, Expr::Value(value) if value.value == Value::Null) {
        return;
    }
    let Some(compare_op) = opposite(compare_op) else { return };
    let all = Expr::AllOp { left: Box::new(taken(left)), compare_op, right: Box::new(taken(right)) };
    let not = Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(all))) };
    *expr = Expr::Nested(Box::new(not));
}

/// The operator that says whether `operator` does not hold.
fn opposite(operator: &BinaryOperator) -> Option<BinaryOperator> {
    Some(match operator {
        BinaryOperator::Eq => BinaryOperator::NotEq,
        BinaryOperator::NotEq => BinaryOperator::Eq,
        BinaryOperator::Lt => BinaryOperator::GtEq,
        BinaryOperator::LtEq => BinaryOperator::Gt,
        BinaryOperator::Gt => BinaryOperator::LtEq,
        BinaryOperator::GtEq => BinaryOperator::Lt,
        _ => return None,
    })
}

/// The subquery that `expr` is, taken out of it.
fn subquery(expr: &mut Expr) -> Option<Box<Query>> {
    match expr {
        Expr::Nested(inner) => subquery(inner),
        Expr::Subquery(_) => match taken(expr) {
            Expr::Subquery(query) => Some(query),
            _ => None,
        },
        _ => None,
    }
}

/// The values of the array that `expr` is, taken out of it; those of an array that is cast are cast each.
fn list(expr: &mut Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Nested(inner) => list(inner),
        Expr::Array(array) if !array.elem.is_empty() => Some(mem::take(&mut array.elem)),
        Expr::Cast {
            kind,
            expr: array,
            data_type: DataType::Array(ArrayElemTypeDef::SquareBracket(data_type, None)),
            array: false,
            format: None,
        } if !matches!(**data_type, DataType::Array(_)) => {
            let cast = |item: Expr| Expr::Cast {
                kind: kind.clone(),
                expr: Box::new(item),
                data_type: (**data_type).clone(),
                array: false,
                format: None,
            };
            Some(list(array)?.into_iter().map(cast).collect())
        }
        _ => None,
    }
}

fn taken(expr: &mut Expr) -> Expr {
    mem::replace(expr, Expr::Value(Value::Null.into()))
}

/// `query` with another name for its only column: in a table of its own where something may refer to the name that it has.
fn named(mut query: Box<Query>) -> Box<Query> {
    if query.order_by.is_none()
        && let Some(item) = only_item(&mut query.body)
        && let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
    {
        *item = SelectItem::ExprWithAlias { expr: taken(expr), alias: exact(NAME) };
        return query;
    }
    let Some(mut wrapped) = wrapped() else { return query };
    if let SetExpr::Select(select) = wrapped.body.as_mut()
        && let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation)
    {
        *subquery = query;
    }
    wrapped
}

fn only_item(body: &mut SetExpr) -> Option<&mut SelectItem> {
    let SetExpr::Select(select) = body else { return None };
    let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
    let refers = is_grouped || select.having.is_some() || select.qualify.is_some();
    match select.projection.as_mut_slice() {
        [item @ SelectItem::UnnamedExpr(_)] => Some(item),
        [item @ SelectItem::ExprWithAlias { .. }] if !refers => Some(item),
        _ => None,
    }
}

fn wrapped() -> Option<Box<Query>> {
    Parser::new(&Sql::for_words(WRAPPED.len())).try_with_sql(WRAPPED).ok()?.parse_query().ok()
}
