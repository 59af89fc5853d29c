//! Steps of a query that read alike: `SELECT x + 1 AS x FROM (SELECT x + 1 AS x FROM …)`. The optimizer takes one projection over
//! another with the same expressions for the same thing twice, and leaves one out.

use std::collections::HashMap;

use datafusion::{
    common::{Result, metadata::FieldMetadata, tree_node::Transformed},
    logical_expr::{Expr, LogicalPlan, Projection, expr::Alias},
};

/// `plan`, in which no projection is the same as the one that comes next below it, whatever is between them.
pub(super) fn told_apart(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut seen: HashMap<Vec<Expr>, usize> = HashMap::new();
    // Those below come first.
    let told_apart = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Projection(projection) = &node else { return Ok(Transformed::no(node)) };
        if !projection.expr.iter().any(computes) {
            return Ok(Transformed::no(node));
        }
        let times = seen.entry(projection.expr.clone()).or_insert(0);
        *times += 1;
        if *times % 2 == 1 {
            return Ok(Transformed::no(node));
        }
        let exprs = projection.expr.iter().cloned().map(marked).collect();
        let projection = Projection::try_new_with_schema(exprs, projection.input.clone(), projection.schema.clone())?;
        Ok(Transformed::yes(LogicalPlan::Projection(projection)))
    })?;
    Ok(told_apart.data)
}

/// Whether `expr` gives its name to something else.
fn computes(expr: &Expr) -> bool {
    matches!(expr, Expr::Alias(Alias { expr, name, .. }) if !matches!(&**expr, Expr::Column(column) if column.name == *name))
}

/// `expr`, which no longer equals one without a mark.
fn marked(expr: Expr) -> Expr {
    match expr {
        Expr::Alias(alias) if alias.metadata.is_none() => {
            Expr::Alias(Alias { metadata: Some(FieldMetadata::default()), ..alias })
        }
        other => other,
    }
}
