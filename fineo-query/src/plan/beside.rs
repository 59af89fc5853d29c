//! The bounds of queries for a planner beside the engine, which reads tables of its own.

use std::sync::Arc;

use datafusion::{
    execution::session_state::{SessionState, SessionStateBuilder},
    logical_expr::LogicalPlan,
    sql::sqlparser::ast::Statement,
};
use fineo_core::Result;

use super::{growth, joined::JoinPlanner, sized, stoppable::StopsWhenUnwanted, weight, work};
use crate::{error::classify, sql::bounds};

/// `state`, whose functions make at most `bytes_max` bytes of one batch and work on it for some seconds, and whose work ends soon
/// after its rows are dropped. For that it takes a runtime whose worker is not the thread that reads.
pub fn bounded(state: SessionState, bytes_max: usize) -> SessionState {
    let mut builder = SessionStateBuilder::new_from_existing(state);
    let functions = work::bounded(builder.scalar_functions().take().unwrap_or_default());
    let functions = sized::of_small_types(growth::bounded(functions, bytes_max));
    // The first that plans an expression decides.
    let planners = builder.expr_planners().get_or_insert_default();
    planners.insert(0, Arc::new(JoinPlanner::new(&functions, bytes_max)));
    builder
        .with_scalar_functions(functions)
        .with_physical_optimizer_rule(Arc::new(StopsWhenUnwanted { may_spill: false }))
        .build()
}

/// That `statement` is not so tangled that to plan it takes longer than anybody waits, and has no type of a size that nothing holds.
///
/// # Errors
///
/// `LimitExceeded` when it is.
pub fn check_statement(statement: &Statement) -> Result<()> {
    bounds::check_size(statement)
}

/// That `plan` can be made one that runs, and takes no memory by a number that is written in it.
///
/// # Errors
///
/// `LimitExceeded` or `Invalid` when it cannot.
pub fn check_plan(plan: &LogicalPlan) -> Result<()> {
    sized::check_centroids(plan).and_then(|()| weight::check(plan)).map_err(|error| classify(&error))
}
