//! A scan that is yet to begin. A plan that is kept has one in place of each scan, and every run puts a scan of its own
//! there: what is pinned, and what texts and times are asked for, belongs to one run.

use std::{borrow::Cow, fmt, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    catalog::{Session, TableProvider},
    common::{
        ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableProviderFilterPushDown, expr::Placeholder},
    physical_expr::PhysicalExpr,
    physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties},
};

use super::literals;
use crate::{Parameter, column::Column, scan::FineoScan, sql::lift};

/// What the placeholders of one run mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    /// Those of `$1`, `$2`, ….
    pub(crate) parameters: &'a [Parameter],
    /// Those that were lifted out of the statement.
    pub(crate) texts: &'a [Arc<str>],
}

impl Values<'_> {
    /// What `placeholder` means, where that is exactly of its type.
    fn value(&self, placeholder: &Placeholder) -> Option<ScalarValue> {
        let text = match lift::place(&placeholder.id) {
            Some(place) => self.texts.get(place)?,
            None => {
                let number: usize = placeholder.id.strip_prefix('$')?.parse().ok()?;
                match self.parameters.get(number.checked_sub(1)?)? {
                    Parameter::Text(text) => text,
                    Parameter::Timestamp(instant) if is_instant(placeholder) => {
                        return Some(ScalarValue::TimestampMicrosecond(Some(instant.micros()), Some("UTC".into())));
                    }
                    Parameter::Null
                    | Parameter::Boolean(_)
                    | Parameter::Long(_)
                    | Parameter::Double(_)
                    | Parameter::Timestamp(_)
                    | Parameter::Bytes(_)
                    | Parameter::Decimal { .. }
                    | Parameter::Date(_)
                    | Parameter::Time(_)
                    | Parameter::Interval { .. } => return None,
                }
            }
        };
        if is_instant(placeholder) {
            return Some(ScalarValue::TimestampMicrosecond(Some(literals::instant(text, "UTC")?), Some("UTC".into())));
        }
        is_text(placeholder).then(|| ScalarValue::Utf8View(Some(text.to_string())))
    }

    /// `filter` with values for placeholders.
    fn fill(&self, filter: &Expr) -> Option<Expr> {
        let mut is_filled = true;
        let filled = filter.clone().transform_up(|expr| match &expr {
            Expr::Placeholder(placeholder) => match self.value(placeholder) {
                Some(value) => Ok(Transformed::yes(Expr::Literal(value, None))),
                None => {
                    is_filled = false;
                    Ok(Transformed::no(expr))
                }
            },
            _ => Ok(Transformed::no(expr)),
        });
        filled.ok().filter(|_| is_filled).map(|filled| filled.data)
    }
}

fn data_type(placeholder: &Placeholder) -> Option<&DataType> {
    placeholder.field.as_ref().map(|field| field.data_type())
}

fn is_instant(placeholder: &Placeholder) -> bool {
    let utc = |zone: &Arc<str>| &**zone == "UTC";
    matches!(data_type(placeholder), Some(DataType::Timestamp(TimeUnit::Microsecond, Some(zone))) if utc(zone))
}

fn is_text(placeholder: &Placeholder) -> bool {
    matches!(data_type(placeholder), Some(DataType::Utf8View))
}

fn has_placeholder(filter: &Expr) -> bool {
    filter.exists(|expr| Ok(matches!(expr, Expr::Placeholder(_)))).unwrap_or(true)
}

/// `filter` with some value of its type for each placeholder, to learn what a filter like this implies.
pub(crate) fn stand_in(filter: &Expr) -> Cow<'_, Expr> {
    if !has_placeholder(filter) {
        return Cow::Borrowed(filter);
    }
    let filled = filter.clone().transform_up(|expr| match &expr {
        Expr::Placeholder(placeholder) if is_instant(placeholder) => {
            let instant = ScalarValue::TimestampMicrosecond(Some(0), Some("UTC".into()));
            Ok(Transformed::yes(Expr::Literal(instant, None)))
        }
        Expr::Placeholder(placeholder) if is_text(placeholder) => {
            Ok(Transformed::yes(Expr::Literal(ScalarValue::Utf8View(Some(String::new())), None)))
        }
        _ => Ok(Transformed::no(expr)),
    });
    filled.map_or(Cow::Borrowed(filter), |filled| Cow::Owned(filled.data))
}

/// The place of a scan of the catalog's table number `table`.
pub(crate) struct OpenScan {
    pub(crate) table: usize,
    projection: Option<Vec<usize>>,
    filters: Vec<Expr>,
    limit: Option<usize>,
    columns: Vec<Column>,
    properties: Arc<PlanProperties>,
}

impl OpenScan {
    /// The place of scans that look like `scan` from outside.
    pub(crate) fn new(
        table: usize,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
        scan: &FineoScan,
    ) -> Self {
        let (projection, filters) = (projection.cloned(), filters.to_vec());
        let (columns, properties) = (scan.columns().to_vec(), Arc::clone(scan.properties()));
        Self { table, projection, filters, limit, columns, properties }
    }

    /// The columns, of a scan of all rows.
    pub(crate) fn all_columns(&self) -> Option<&[Column]> {
        self.limit.is_none().then_some(&*self.columns)
    }

    /// The scan of one run; none where it would not look like the one that was planned for.
    pub(crate) async fn begin(
        &self,
        table: &dyn TableProvider,
        state: &dyn Session,
        values: Values<'_>,
    ) -> Option<Arc<dyn ExecutionPlan>> {
        let filters: Vec<Expr> = self.filters.iter().map(|filter| values.fill(filter)).collect::<Option<_>>()?;
        // The plan has no filter of its own for these: the scan must still answer for them alone.
        let opened = self.filters.iter().zip(&filters).filter(|(open, _)| has_placeholder(open));
        let opened: Vec<&Expr> = opened.map(|(_, filled)| filled).collect();
        let pushed = table.supports_filters_pushdown(&opened).ok()?;
        if pushed.iter().any(|pushed| *pushed != TableProviderFilterPushDown::Exact) {
            return None;
        }
        let scan = table.scan(state, self.projection.as_ref(), &filters, self.limit).await.ok()?;
        let is_alike = scan.schema() == self.schema()
            && scan.properties().partitioning.partition_count() == self.properties.partitioning.partition_count();
        if !is_alike {
            return None;
        }
        // Nodes above need not tell again what follows from properties that are the same.
        let same = scan.downcast_ref::<FineoScan>().map(|scan| Arc::new(scan.with_properties(&self.properties)) as _);
        Some(same.unwrap_or(scan))
    }
}

impl fmt::Debug for OpenScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenScan({})", self.table)
    }
}

impl DisplayAs for OpenScan {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenScan: table={}", self.table)
    }
}

impl ExecutionPlan for OpenScan {
    fn name(&self) -> &'static str {
        "OpenScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            return Ok(self);
        }
        Err(DataFusionError::Internal("a scan has no children".to_owned()))
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Err(DataFusionError::Internal("a scan that did not begin has no rows".to_owned()))
    }
}
