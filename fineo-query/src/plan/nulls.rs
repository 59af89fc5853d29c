//! Null in tests that the engine puts together.
//!
//! DataFusion 55.2 makes one list of two: `x IN (1, 2) AND x NOT IN (2, NULL)` it takes for `x = 1`, and `x IN (1, 2) AND x IN (3, 4)`
//! for false, also where `x` is null, which shows below `NOT` or `IS NULL`. And where a join was found in which null equals null
//! (`a.x IS NOT DISTINCT FROM b.x`), it does so for whatever else is found later to be compared by it (`WHERE a.y = b.y`).

use std::collections::HashSet;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRewriter},
    },
    error::Result,
    functions::expr_fn::coalesce,
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator,
        expr::InList,
        expr_rewriter::NamePreserver,
        lit,
        utils::{conjunction, merge_schema, split_conjunction_owned},
    },
    optimizer::AnalyzerRule,
};

use super::as_it_is::as_it_is;

/// The rule.
#[derive(Debug)]
pub(crate) struct KeepsNulls;

impl AnalyzerRule for KeepsNulls {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(of_node).data()
    }

    fn name(&self) -> &'static str {
        "keeps_nulls"
    }
}

fn of_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let is_filter = matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::Join(_));
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        if !is_filter {
            let name = names.save(&expr);
            let kept = kept(expr)?;
            return Ok(if kept.transformed { kept.update_data(|expr| name.restore(expr)) } else { kept });
        }
        let mut is_changed = false;
        let mut parts = split_conjunction_owned(expr);
        for part in &mut parts {
            // Of what has to be true, null is as good as false.
            let test = equal(std::mem::take(part), &schema)?.transform_data(kept)?;
            let is_mixed = match &test.data {
                Expr::InList(list) => !is_of_values(list)?,
                _ => false,
            };
            is_changed |= test.transformed || is_mixed;
            *part = if is_mixed { as_it_is(test.data, DataType::Boolean) } else { test.data };
        }
        Ok(Transformed::new_transformed(conjunction(parts).unwrap_or_default(), is_changed))
    })
}

/// `test`, said by values of which none is null where it says that two are the same, null or not.
fn equal(test: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsNotDistinctFrom, right }) = &test else {
        return Ok(Transformed::no(test));
    };
    let has_columns = !left.column_refs().is_empty() && !right.column_refs().is_empty();
    if !has_columns || test.is_volatile() {
        return Ok(Transformed::no(test));
    }
    let of_left = left.get_type(schema)?;
    let Ok(value) = ScalarValue::new_default(&of_left) else { return Ok(Transformed::no(test)) };
    if right.get_type(schema)? != of_left {
        return Ok(Transformed::no(test));
    }
    let filled = |side: &Expr| coalesce(vec![side.clone(), lit(value.clone())]);
    let is_null = left.clone().is_null().eq(right.clone().is_null());
    Ok(Transformed::yes(is_null.and(filled(left).eq(filled(right)))))
}

/// `expr` with those of its tests apart that would become one though null is something else of both.
fn kept(expr: Expr) -> Result<Transformed<Expr>> {
    expr.rewrite(&mut Apart::default())
}

/// Whether a list has nothing but values that are not null: what it takes for a list to be put together with others.
fn is_of_values(list: &InList) -> Result<bool> {
    let is_null = |expr: &Expr| Ok(matches!(expr, Expr::Literal(value, _) if value.is_null()));
    for item in &list.list {
        let is_constant = item.column_refs().is_empty() && !item.is_volatile() && !item.contains_outer();
        if !is_constant || item.exists(is_null)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What some tests compare with values.
#[derive(Default)]
struct Compared {
    exprs: HashSet<Expr>,
    is_negated: bool,
}

impl Compared {
    /// What `test` itself compares, beside those it is made of.
    fn of(test: &Expr) -> Self {
        let compared = |expr: &Expr, is_negated| Self { exprs: HashSet::from([expr.clone()]), is_negated };
        match test {
            Expr::InList(list) => compared(&list.expr, list.negated),
            Expr::Not(_) => Self { is_negated: true, ..Self::default() },
            // Several of them are a list, too.
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Eq | Operator::NotEq), right }) => {
                match (&**left, &**right) {
                    (column @ Expr::Column(_), Expr::Literal(..)) | (Expr::Literal(..), column @ Expr::Column(_)) => {
                        compared(column, *op == Operator::NotEq)
                    }
                    _ => Self::default(),
                }
            }
            _ => Self::default(),
        }
    }

    fn with(self, other: Self) -> Self {
        let (mut more, less) =
            if self.exprs.len() < other.exprs.len() { (other.exprs, self.exprs) } else { (self.exprs, other.exprs) };
        more.extend(less);
        Self { exprs: more, is_negated: self.is_negated || other.is_negated }
    }

    fn is_shared(&self, other: &Self) -> bool {
        let (more, less) = if self.exprs.len() < other.exprs.len() { (other, self) } else { (self, other) };
        less.exprs.iter().any(|expr| more.exprs.contains(expr))
    }
}

/// Sets tests apart from the bottom up. Of each step that was begun it has what its parts compare.
#[derive(Default)]
struct Apart(Vec<Vec<Compared>>);

impl TreeNodeRewriter for Apart {
    type Node = Expr;

    fn f_down(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        self.0.push(Vec::new());
        Ok(Transformed::no(expr))
    }

    fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let parts = self.0.pop().unwrap_or_default();
        let (expr, is_apart) = match (expr, parts.as_slice()) {
            (
                Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }),
                [of_left, of_right],
            ) => {
                // `x IN (1) OR x IN (2)` is one list whatever `x` is.
                let is_union = op == Operator::Or && !of_left.is_negated && !of_right.is_negated;
                let is_apart = !is_union && of_left.is_shared(of_right);
                let right = if is_apart { Box::new(as_it_is(*right, DataType::Boolean)) } else { right };
                (Expr::BinaryExpr(BinaryExpr { left, op, right }), is_apart)
            }
            (expr, _) => (expr, false),
        };
        let compared = parts.into_iter().fold(Compared::of(&expr), Compared::with);
        if let Some(of_above) = self.0.last_mut() {
            of_above.push(compared);
        }
        Ok(Transformed::new_transformed(expr, is_apart))
    }
}
