//! `ROLLUP`, `CUBE` and `GROUPING SETS`: a column that is the same in all rows is not so in their result, which leaves it out
//! of some groups.
//!
//! DataFusion 55.2 takes what it knows of the rows for known of the groups: a column that a filter fixes, one that
//! is a constant, two that are equal. Groups were split, and nobody sorted by such a column.

use std::{
    fmt::{self, Formatter},
    sync::Arc,
};

use datafusion::{
    common::{
        Column,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder},
    optimizer::AnalyzerRule,
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, aggregates::AggregateExec,
        execution_plan::replace_children_if_necessary,
    },
};

/// Makes columns of the constants that are grouped by in sets.
#[derive(Debug)]
pub(crate) struct NamesConstants;

impl AnalyzerRule for NamesConstants {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Aggregate(aggregate) => named(aggregate),
            plan => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "names_constants"
    }
}

fn named(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let constants: Vec<Expr> = match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(set)] => {
            set.distinct_expr().into_iter().filter(|expr| expr.column_refs().is_empty()).cloned().collect()
        }
        _ => Vec::new(),
    };
    if constants.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let column = |expr: Expr| match constants.contains(&expr) {
        true => Expr::Column(Column::from_name(expr.schema_name().to_string())),
        false => expr,
    };
    let columns = |exprs: Vec<Expr>| exprs.into_iter().map(column).collect::<Vec<_>>();
    let group_expr = aggregate.group_expr.into_iter().map(|expr| match expr {
        Expr::GroupingSet(GroupingSet::Rollup(exprs)) => Expr::GroupingSet(GroupingSet::Rollup(columns(exprs))),
        Expr::GroupingSet(GroupingSet::Cube(exprs)) => Expr::GroupingSet(GroupingSet::Cube(columns(exprs))),
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => {
            Expr::GroupingSet(GroupingSet::GroupingSets(sets.into_iter().map(columns).collect()))
        }
        expr => expr,
    });
    let group_expr = group_expr.collect();
    let known = aggregate.input.schema().columns().into_iter().map(Expr::Column);
    let all: Vec<Expr> =
        known.chain(constants.iter().map(|expr| expr.clone().alias(expr.schema_name().to_string()))).collect();
    let input = LogicalPlanBuilder::from(aggregate.input).project(all)?.build()?;
    let aggregate = Aggregate::try_new(Arc::new(input), group_expr, aggregate.aggr_expr)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}

/// Forgets what is known of the rows that are grouped in sets.
#[derive(Debug)]
pub(crate) struct ForgetsConstants;

impl PhysicalOptimizerRule for ForgetsConstants {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match node.downcast_ref::<AggregateExec>() {
            Some(aggregate) if aggregate.group_expr().has_grouping_set() => {
                let input = Arc::new(Forgotten::new(Arc::clone(aggregate.input())));
                Ok(Transformed::yes(replace_children_if_necessary(node, vec![input])?))
            }
            _ => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "forgets_constants"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The rows of its input, of which nothing is known.
#[derive(Debug)]
struct Forgotten {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Forgotten {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let nothing = EquivalenceProperties::new(input.schema());
        let properties = PlanProperties::clone(input.properties()).with_eq_properties(nothing);
        Self { input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for Forgotten {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Forgotten")
    }
}

impl ExecutionPlan for Forgotten {
    fn name(&self) -> &'static str {
        "Forgotten"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input))),
            _ => Err(DataFusionError::Internal("one child is expected".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
