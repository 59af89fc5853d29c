//! Questions that have no rows because of the tables that they read, asked in words that every planner knows.
//!
//! No tenant has an index, a constraint or a comment. Clients look for them all the same, at length, and in words that
//! the planner lacks: the columns of such a question and their names are all that counts.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    Expr, Function, GroupByExpr, Ident, JoinOperator, Query, Select, SelectItem, SetExpr, SetOperator, TableFactor,
    TableWithJoins, Value, Visit, Visitor, VisitorMut,
};

use super::{information, names, recognition::parts};

/// Tables of `pg_catalog` that have no rows here, whatever Postgres itself has in them: its functions are not ours.
const EMPTY: [&str; 34] = [
    "pg_attrdef",
    "pg_collation",
    "pg_constraint",
    "pg_default_acl",
    "pg_depend",
    "pg_description",
    "pg_enum",
    "pg_event_trigger",
    "pg_extension",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_index",
    "pg_inherits",
    "pg_init_privs",
    "pg_largeobject",
    "pg_matviews",
    "pg_partitioned_table",
    "pg_policy",
    "pg_proc",
    "pg_publication",
    "pg_publication_namespace",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_seclabel",
    "pg_sequence",
    "pg_shdepend",
    "pg_shdescription",
    "pg_shseclabel",
    "pg_statistic",
    "pg_statistic_ext",
    "pg_subscription",
    "pg_trigger",
    "pg_user_mapping",
];

/// Functions that make a row of no rows.
const AGGREGATES: [&str; 16] = [
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "string_agg",
    "sum",
];

/// Whether this table of `pg_catalog` has no rows.
pub(super) fn is_empty_table(name: &str) -> bool {
    EMPTY.contains(&name)
}

/// Asks what has no rows in the simplest words.
#[derive(Default)]
pub(super) struct Nothing {
    scopes: Vec<Given>,
}

/// The queries that a `WITH` names, and whether they have no rows.
type Given = Vec<(String, bool)>;

impl VisitorMut for Nothing {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.scopes.push(Vec::new());
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            let named = (table.alias.name.value.to_lowercase(), self.is_empty(&table.query));
            self.scopes.last_mut().expect("it was pushed above").push(named);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.simplify(&mut query.body);
        if matches!(&*query.body, SetExpr::Select(select) if is_simplified(select)) {
            (query.with, query.order_by, query.limit_clause, query.fetch) = (None, None, None, None);
        }
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let known = match expr {
            Expr::Subquery(query) if self.is_empty(query) => Value::Null,
            Expr::Exists { subquery, negated } if self.is_empty(subquery) => Value::Boolean(*negated),
            Expr::InSubquery { subquery, negated, .. } if self.is_empty(subquery) => Value::Boolean(*negated),
            _ => return ControlFlow::Continue(()),
        };
        *expr = Expr::value(known);
        ControlFlow::Continue(())
    }
}

impl Nothing {
    fn is_empty(&self, query: &Query) -> bool {
        self.is_empty_body(&query.body)
    }

    fn is_empty_body(&self, body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => self.is_empty_select(select),
            SetExpr::Query(query) => self.is_empty(query),
            SetExpr::SetOperation { left, op, right, .. } => {
                let (left, right) = (self.is_empty_body(left), self.is_empty_body(right));
                match op {
                    SetOperator::Union => left && right,
                    SetOperator::Intersect => left || right,
                    SetOperator::Except | SetOperator::Minus => left,
                }
            }
            _ => false,
        }
    }

    fn is_empty_select(&self, select: &Select) -> bool {
        let reads_nothing = is_simplified(select) || select.from.iter().any(|table| self.is_empty_join(table));
        reads_nothing && !makes_a_row(select)
    }

    fn is_empty_join(&self, table: &TableWithJoins) -> bool {
        let mut is_empty = self.is_empty_factor(&table.relation);
        for join in &table.joins {
            let is_next_empty = self.is_empty_factor(&join.relation);
            is_empty = match &join.join_operator {
                JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                    is_empty || is_next_empty
                }
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => is_next_empty,
                JoinOperator::FullOuter(_) => is_empty && is_next_empty,
                // Of the others at least what is on the left has to be there.
                _ => is_empty,
            };
        }
        is_empty
    }

    fn is_empty_factor(&self, factor: &TableFactor) -> bool {
        match factor {
            TableFactor::Table { name, args: None, .. } => match parts(name).as_slice() {
                [name] => self.given(name).unwrap_or_else(|| is_empty_table(name)),
                [.., schema, name] if schema == "pg_catalog" => is_empty_table(name),
                [.., schema, name] if schema == "information_schema" => information::is_empty_table(name),
                _ => false,
            },
            TableFactor::Derived { subquery, .. } => self.is_empty(subquery),
            TableFactor::NestedJoin { table_with_joins, .. } => self.is_empty_join(table_with_joins),
            _ => false,
        }
    }

    /// What the nearest `WITH` says of `name`.
    fn given(&self, name: &str) -> Option<bool> {
        self.scopes.iter().rev().flat_map(|scope| scope.iter().rev()).find(|(given, _)| given == name).map(|it| it.1)
    }

    fn simplify(&self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) if self.is_empty_select(select) => {
                if let Some(columns) = columns(select) {
                    simplify_select(select, columns);
                }
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.simplify(left);
                self.simplify(right);
            }
            _ => {}
        }
    }
}

/// Whether `select` is one that was asked in the simplest words already.
fn is_simplified(select: &Select) -> bool {
    let is_false = |expr: &Expr| matches!(expr, Expr::Value(value) if value.value == Value::Boolean(false));
    select.from.is_empty() && select.selection.as_ref().is_some_and(is_false)
}

/// Whether `select` has a row even if it reads none: it aggregates without a group.
fn makes_a_row(select: &Select) -> bool {
    let is_grouped = match &select.group_by {
        GroupByExpr::Expressions(expressions, _) => !expressions.is_empty(),
        GroupByExpr::All(_) => true,
    };
    let mut aggregates = Aggregates::default();
    let _ = select.projection.visit(&mut aggregates);
    !is_grouped && (aggregates.is_there || select.having.is_some())
}

/// Finds an aggregate that is not one of a subquery.
#[derive(Default)]
struct Aggregates {
    depth: usize,
    is_there: bool,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(Function { name, over: None, .. }) = expr
            && self.depth == 0
        {
            self.is_there |= parts(name).last().is_some_and(|name| AGGREGATES.contains(&name.as_str()));
        }
        ControlFlow::Continue(())
    }
}

/// The names of the columns that `select` gives; none where only its tables know.
fn columns(select: &Select) -> Option<Vec<Ident>> {
    let mut taken = BTreeSet::new();
    select.projection.iter().map(|item| Some(names::unique(names::given(item)?, &mut taken))).collect()
}

/// Makes `select` one without tables and rows: `SELECT NULL AS a, NULL AS b WHERE false`.
fn simplify_select(select: &mut Select, columns: Vec<Ident>) {
    let null = |alias: Ident| SelectItem::ExprWithAlias { expr: Expr::value(Value::Null), alias };
    select.projection = columns.into_iter().map(null).collect();
    select.selection = Some(Expr::value(Value::Boolean(false)));
    select.from.clear();
    select.lateral_views.clear();
    select.named_window.clear();
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    (select.distinct, select.having, select.qualify) = (None, None, None);
}

#[cfg(test)]
mod tests;
