//! Windows that build on a named one: `OVER (w ROWS 2 PRECEDING)`, `WINDOW v AS (w ORDER BY x)`.
//!
//! The planner knows `OVER w` alone; where the name stands in brackets it would leave out what the name stands for.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, NamedWindowExpr, Query, Select, SetExpr, Statement, VisitMut, VisitorMut, WindowSpec,
    WindowType,
};
use fineo_core::{Error, Result};

use super::is_quoted;
use crate::error::refused;

/// Says every window that builds on another in full.
///
/// # Errors
///
/// `query_invalid` for the name of no window, and for one that says anew what the named one says.
pub(super) fn rewrite(statement: &mut Statement) -> Result<()> {
    match VisitMut::visit(statement, &mut Queries) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Queries;

impl VisitorMut for Queries {
    type Break = Error;

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let mut windows = Vec::new();
        if let Err(error) = of_body(&mut query.body, &mut windows) {
            return ControlFlow::Break(error);
        }
        query.order_by.visit(&mut Calls(&windows))
    }
}

/// The windows that have names, in full.
type Windows = Vec<(Ident, WindowSpec)>;

fn of_body(body: &mut SetExpr, windows: &mut Windows) -> Result<()> {
    match body {
        SetExpr::Select(select) => of_select(select, windows),
        SetExpr::SetOperation { left, right, .. } => {
            of_body(left, &mut Vec::new())?;
            of_body(right, &mut Vec::new())
        }
        _ => Ok(()),
    }
}

fn of_select(select: &mut Select, windows: &mut Windows) -> Result<()> {
    for window in &mut select.named_window {
        let mut spec = match &window.1 {
            NamedWindowExpr::WindowSpec(spec) => spec.clone(),
            NamedWindowExpr::NamedWindow(name) => named(name, windows)?.clone(),
        };
        complete(&mut spec, windows)?;
        window.1 = NamedWindowExpr::WindowSpec(spec.clone());
        windows.push((window.0.clone(), spec));
    }
    let mut calls = Calls(windows);
    for item in &mut select.projection {
        if let ControlFlow::Break(error) = item.visit(&mut calls) {
            return Err(error);
        }
    }
    match select.qualify.visit(&mut calls) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Completes what builds on a named window.
fn complete(spec: &mut WindowSpec, windows: &Windows) -> Result<()> {
    let Some(name) = spec.window_name.take() else { return Ok(()) };
    let base = named(&name, windows)?;
    let said_twice = !spec.partition_by.is_empty() || (!spec.order_by.is_empty() && !base.order_by.is_empty());
    if said_twice || base.window_frame.is_some() {
        return Err(refused(
            "query_invalid",
            "a window that builds on a named one adds an order or a frame that this does not have",
        )
        .with("window", &name.value));
    }
    spec.partition_by.clone_from(&base.partition_by);
    if spec.order_by.is_empty() {
        spec.order_by.clone_from(&base.order_by);
    }
    Ok(())
}

fn named<'w>(name: &Ident, windows: &'w Windows) -> Result<&'w WindowSpec> {
    let folded = |ident: &Ident| if is_quoted(ident) { ident.value.clone() } else { ident.value.to_lowercase() };
    let found = windows.iter().find(|(known, _)| folded(known) == folded(name));
    found.map(|(_, spec)| spec).ok_or_else(|| {
        refused("query_invalid", "there is no such window in this SELECT: WINDOW name AS (...) makes one")
            .with("window", &name.value)
    })
}

/// Completes the windows of calls.
struct Calls<'w>(&'w Windows);

impl VisitorMut for Calls<'_> {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(Function { over: Some(WindowType::WindowSpec(spec)), .. }) = expr else {
            return ControlFlow::Continue(());
        };
        match complete(spec, self.0) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
