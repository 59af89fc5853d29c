//! Finds the statements that only the newest row of each key counts for, and has their scans begin with those.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, SchemaRef, TimeUnit},
    common::{
        ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr, PhysicalSortExpr,
        aggregate::AggregateFunctionExpr,
        conjunction,
        expressions::{BinaryExpr, CastExpr, Column as ColumnExpr, Literal},
        utils::split_conjunction,
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        aggregates::{AggregateExec, AggregateMode},
        execution_plan::replace_children_if_necessary,
        filter::FilterExec,
        projection::ProjectionExec,
        windows::BoundedWindowAggExec,
    },
};

use super::OpenScan;
use crate::{
    column::{Column, Content},
    scan::{FineoScan, LatestExec, Newest, pushed::is_total},
};

/// Nodes that pass rows on, whatever others there are.
const PASSING: [&str; 6] = [
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "RepartitionExec",
    "SortExec",
    "SortPreservingMergeExec",
];

type Expr = Arc<dyn PhysicalExpr>;

/// The rule. It changes no answer: rows that are left out are behind newer ones that count.
#[derive(Debug)]
pub(crate) struct NewestFirst;

impl PhysicalOptimizerRule for NewestFirst {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let newest_first = |node: Arc<dyn ExecutionPlan>| match wanted(&node) {
            Some(node) => Ok(Transformed::yes(node)),
            None => Ok(Transformed::no(node)),
        };
        plan.transform_up(newest_first).data()
    }

    fn name(&self) -> &'static str {
        "newest_first"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `node` over a scan that begins with the newest rows, where only those count for it.
fn wanted(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        let input = begun(aggregate.input(), Asked::by_aggregate(aggregate)?)?;
        return replace_children_if_necessary(Arc::clone(node), vec![input]).ok();
    }
    let filter = node.downcast_ref::<FilterExec>()?;
    let projection = filter.input().downcast_ref::<ProjectionExec>();
    let numbered = projection.map_or(filter.input(), ProjectionExec::input);
    let window = numbered.downcast_ref::<BoundedWindowAggExec>()?;
    let test = match projection {
        None => Arc::clone(filter.predicate()),
        Some(projection) => below(filter.predicate(), &projected(projection)).filter(|_| is_plain(projection))?,
    };
    let input = begun(window.input(), Asked::by_window(window, &test)?)?;
    let mut begun = replace_children_if_necessary(Arc::clone(numbered), vec![input]).ok()?;
    if projection.is_some() {
        begun = replace_children_if_necessary(Arc::clone(filter.input()), vec![begun]).ok()?;
    }
    replace_children_if_necessary(Arc::clone(node), vec![begun]).ok()
}

fn projected(projection: &ProjectionExec) -> Vec<Expr> {
    projection.expr().iter().map(|projected| Arc::clone(&projected.expr)).collect()
}

/// Whether `projection` only chooses columns.
fn is_plain(projection: &ProjectionExec) -> bool {
    projection.expr().iter().all(|projected| projected.expr.downcast_ref::<ColumnExpr>().is_some())
}

/// `expr` over columns that are `exprs` over those of a node below.
fn below(expr: &Expr, exprs: &[Expr]) -> Option<Expr> {
    let below = Arc::clone(expr).transform_up(|part| match part.downcast_ref::<ColumnExpr>() {
        Some(column) => Ok(Transformed::yes(Arc::clone(&exprs[column.index()]))),
        None => Ok(Transformed::no(part)),
    });
    below.ok().map(|below| below.data)
}

/// What of a row counts, as expressions over the columns of some node.
struct Asked {
    key: Option<Expr>,
    /// The greater these are, the newer is the row.
    instants: Vec<Expr>,
    /// What says which of several rows of one instant counts.
    ties: Vec<Expr>,
    /// What else is computed of a row.
    values: Vec<Expr>,
    /// What rows that count satisfy.
    tests: Vec<Expr>,
}

impl Asked {
    /// What `aggregate` asks for: only what belongs to the newest row of each group.
    fn by_aggregate(aggregate: &AggregateExec) -> Option<Self> {
        let (groups, calls) = (aggregate.group_expr(), aggregate.aggr_expr());
        let is_of_rows = match aggregate.mode() {
            AggregateMode::Partial | AggregateMode::Single | AggregateMode::SinglePartitioned => true,
            AggregateMode::Final | AggregateMode::FinalPartitioned | AggregateMode::PartialReduce => false,
        };
        let is_plain = is_of_rows && !groups.has_grouping_set() && aggregate.filter_expr().iter().all(Option::is_none);
        if !is_plain || calls.is_empty() {
            return None;
        }
        let key = match groups.expr() {
            [] => None,
            [(key, _)] => Some(Arc::clone(key)),
            _ => return None,
        };
        let mut asked = Self { key, instants: Vec::new(), ties: Vec::new(), values: Vec::new(), tests: Vec::new() };
        for call in calls {
            let order = order_of(call, asked.key.as_ref())?;
            asked.instants.push(order.instant);
            asked.ties.extend(order.tie);
            asked.values.extend(call.expressions());
        }
        Some(asked)
    }

    /// What `window` asks for, whose rows `filter` takes: only the newest of each partition.
    fn by_window(window: &BoundedWindowAggExec, filter: &Expr) -> Option<Self> {
        let [call] = window.window_expr() else { return None };
        let is_number = call.field().is_ok_and(|field| *field.data_type() == DataType::Int64);
        let is_first =
            split_conjunction(filter).into_iter().any(|test| is_one(test, window.schema().fields().len() - 1));
        if !is_number || !is_first || !call.name().starts_with("row_number()") {
            return None;
        }
        let key = match call.partition_by() {
            [] => None,
            [key] => Some(Arc::clone(key)),
            _ => return None,
        };
        let order = ordered(call.order_by(), key.as_ref(), true)?;
        let (instants, ties) = (vec![order.instant], order.tie.into_iter().collect());
        Some(Self { key, instants, ties, values: Vec::new(), tests: Vec::new() })
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Expr> {
        let orders = self.instants.iter_mut().chain(&mut self.ties);
        self.key.iter_mut().chain(orders).chain(&mut self.values).chain(&mut self.tests)
    }

    /// The same below a node whose columns are `exprs` over those of its input.
    fn through(mut self, exprs: &[Expr]) -> Option<Self> {
        for expr in self.all() {
            *expr = below(expr, exprs)?;
        }
        // What is computed of rows that do not count may fail on them, too.
        self.values.extend(exprs.iter().cloned());
        Some(self)
    }

    /// What a scan of `columns` is to begin with.
    fn newest(self, columns: &[Column], schema: &SchemaRef) -> Option<Newest> {
        let timestamp = columns.iter().position(|column| matches!(column.content, Content::Timestamp))?;
        let is_total = |expr: &Expr| is_total(expr, schema) || is_newer(expr, timestamp);
        let is_newer = self.instants.iter().all(|expr| is_newer(expr, timestamp));
        let is_id = |expr: &Expr| {
            let column = expr.downcast_ref::<ColumnExpr>().and_then(|column| columns.get(column.index()));
            column.is_some_and(|column| matches!(column.content, Content::EventId))
        };
        // Rows of one instant are all answered, so what tells them apart changes nothing; among those of one second it decides.
        let is_exact = |expr: &Expr| expr.downcast_ref::<ColumnExpr>().is_some();
        let is_newer = is_newer && (self.ties.is_empty() || self.instants.iter().all(is_exact));
        if !is_newer || !self.ties.iter().all(is_id) || !self.values.iter().chain(&self.tests).all(is_total) {
            return None;
        }
        let key = match &self.key {
            None => None,
            Some(key) => {
                let place = key.downcast_ref::<ColumnExpr>()?.index();
                Some((place, key_names(columns.get(place)?)?))
            }
        };
        let test = (!self.tests.is_empty()).then(|| conjunction(self.tests));
        Some(Newest { timestamp, key, test })
    }
}

/// `node`, which passes rows on, over a scan that begins with the newest.
fn begun(node: &Arc<dyn ExecutionPlan>, asked: Asked) -> Option<Arc<dyn ExecutionPlan>> {
    if let Some(columns) = columns_of(node) {
        let newest = asked.newest(columns, &node.schema())?;
        return Some(Arc::new(LatestExec::new(Arc::clone(node), newest)));
    }
    let [input] = node.children()[..] else { return None };
    if node.fetch().is_some() {
        return None;
    }
    let asked = if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        asked.through(&projected(projection))?
    } else if let Some(filter) = node.downcast_ref::<FilterExec>() {
        let mut asked = match filter.projection() {
            Some(places) => asked.through(&picked(places, &input.schema()))?,
            None => asked,
        };
        asked.tests.push(Arc::clone(filter.predicate()));
        asked
    } else if PASSING.contains(&node.name()) {
        asked
    } else {
        return None;
    };
    replace_children_if_necessary(Arc::clone(node), vec![begun(input, asked)?]).ok()
}

fn picked(places: &[usize], schema: &SchemaRef) -> Vec<Expr> {
    let column = |place: &usize| Arc::new(ColumnExpr::new(schema.field(*place).name(), *place)) as Expr;
    places.iter().map(column).collect()
}

/// The columns of a scan without a limit.
fn columns_of(node: &Arc<dyn ExecutionPlan>) -> Option<&[Column]> {
    if let Some(open) = node.downcast_ref::<OpenScan>() {
        return open.all_columns();
    }
    node.downcast_ref::<FineoScan>().and_then(FineoScan::all_columns)
}

/// The stored names of a key: its values are the texts under them, one as good as the other.
fn key_names(column: &Column) -> Option<Vec<Arc<str>>> {
    let logical = column.logical().filter(|_| column.is_text())?;
    let is_readable = logical.sources.iter().all(|source| source.unreadable_through.is_none());
    is_readable.then(|| logical.sources.iter().map(|source| Arc::clone(&source.name)).collect())
}

/// What orders rows of one key.
struct Order {
    instant: Expr,
    tie: Option<Expr>,
}

/// What `call` has to be the greatest of its group, where it asks for what belongs to that row.
fn order_of(call: &AggregateFunctionExpr, key: Option<&Expr>) -> Option<Order> {
    if call.is_distinct() || call.ignore_nulls() {
        return None;
    }
    match (call.fun().name(), call.expressions().as_slice()) {
        ("max", [only]) => Some(Order { instant: Arc::clone(only), tie: None }),
        ("first_value", _) => ordered(call.order_bys(), key, true),
        ("last_value", _) => ordered(call.order_bys(), key, false),
        _ => None,
    }
}

/// The one or two expressions that order rows of one key, all of them descending or all ascending.
fn ordered(orders: &[PhysicalSortExpr], key: Option<&Expr>, is_descending: bool) -> Option<Order> {
    let orders: Vec<&PhysicalSortExpr> =
        orders.iter().filter(|order| !key.is_some_and(|key| key.eq(&order.expr))).collect();
    if orders.iter().any(|order| order.options.descending != is_descending) {
        return None;
    }
    let expr = |order: &PhysicalSortExpr| Arc::clone(&order.expr);
    match orders.as_slice() {
        [instant] => Some(Order { instant: expr(instant), tie: None }),
        [instant, tie] => Some(Order { instant: expr(instant), tie: Some(expr(tie)) }),
        _ => None,
    }
}

/// Whether `test` passes only where the column at `place` is one, of a column that counts from one.
fn is_one(test: &Expr, place: usize) -> bool {
    let Some(test) = test.downcast_ref::<BinaryExpr>() else { return false };
    let is_it = test.left().downcast_ref::<ColumnExpr>().is_some_and(|column| column.index() == place);
    let number = test.right().downcast_ref::<Literal>().map(|literal| literal.value());
    let Some(ScalarValue::Int64(Some(number))) = number else { return false };
    is_it && matches!((test.op(), number), (Operator::Eq | Operator::LtEq, 1) | (Operator::Lt, 2))
}

/// Whether `expr` is never less for a later time, and fails for none.
fn is_newer(expr: &Expr, timestamp: usize) -> bool {
    if let Some(column) = expr.downcast_ref::<ColumnExpr>() {
        return column.index() == timestamp;
    }
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        let is_coarse = matches!(
            cast.cast_type(),
            DataType::Int64 | DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, _)
        );
        return is_coarse && is_newer(cast.expr(), timestamp);
    }
    let Some(division) = expr.downcast_ref::<BinaryExpr>().filter(|binary| *binary.op() == Operator::Divide) else {
        return false;
    };
    let by = division.right().downcast_ref::<Literal>().map(|literal| literal.value());
    matches!(by, Some(ScalarValue::Int64(Some(1..)))) && is_newer(division.left(), timestamp)
}
