//! Puts a file's columns in the place of the asked ones, in projections and filters.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch},
        datatypes::{DataType, Schema, SchemaRef},
    },
    common::{
        ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    error::Result as EngineResult,
    logical_expr::ColumnarValue,
    physical_expr::{
        PhysicalExpr,
        expressions::{Column as FileColumn, lit},
    },
    physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory},
};
use fineo_core::{Error, Result};
use fineo_table::FileLayout;

use super::{ALIAS, Bounds, EVENT_ID, INGESTED_AT, Made, Merged, TIMESTAMP, evaluate, hint, made};
use crate::{
    column::{Column, Content},
    error::foreign,
    scan::{hexadecimal, sixteen},
};

/// Where a file's Arrow schema says by which plan it is read.
const PLAN: &str = "fineo.plan";
/// What the names of asked columns begin with: no file's column does.
const ASKED: char = '\0';

/// How each asked column is made of one file.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::scan) struct FilePlan(Vec<Asked>);

#[derive(Debug, Clone, PartialEq)]
enum Asked {
    Made(Made),
    /// The id as hexadecimal text.
    Id,
}

impl FilePlan {
    /// The plan for a file of `layout`. Behind the asked columns the time stands once more, for filters.
    pub(in crate::scan) fn of(columns: &[Column], layout: &FileLayout, bounds: Bounds<'_>) -> Result<Self> {
        let own = |name: &str| Asked::Made(Made::Column(name.into()));
        let mut asked = Vec::with_capacity(columns.len() + 1);
        for column in columns {
            asked.push(match &column.content {
                Content::Timestamp => own(TIMESTAMP),
                Content::IngestedAt => own(INGESTED_AT),
                Content::Alias => own(ALIAS),
                Content::EventId => Asked::Id,
                Content::Cells(logical) => Asked::Made(made(logical, layout, bounds)?),
                Content::RawBytes | Content::RepairedAt => {
                    return Err(Error::internal("errors are in no file"));
                }
            });
        }
        asked.push(own(TIMESTAMP));
        Ok(Self(asked))
    }
}

/// The plans of the files of one scan.
#[derive(Debug)]
pub(in crate::scan) struct Plans {
    /// The asked columns, then the time.
    schema: SchemaRef,
    plans: Vec<FilePlan>,
}

impl Plans {
    /// No plans yet for columns of `schema`.
    pub(in crate::scan) fn new(schema: &Schema) -> Self {
        let renamed = schema.fields().iter().enumerate();
        let mut fields: Vec<_> =
            renamed.map(|(index, field)| field.as_ref().clone().with_name(asked_name(index))).collect();
        let time = datafusion::arrow::datatypes::Field::new(asked_name(fields.len()), crate::column::instant(), false);
        fields.push(time);
        Self { schema: Arc::new(Schema::new(fields)), plans: Vec::new() }
    }

    /// The asked columns under names of their own, then the time.
    pub(in crate::scan) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Adds a plan; files with equal plans share one. The schema says of itself which it is.
    pub(in crate::scan) fn add(&mut self, plan: FilePlan, file_schema: &Schema) -> SchemaRef {
        let known = self.plans.iter().position(|known| *known == plan);
        let number = known.unwrap_or_else(|| {
            self.plans.push(plan);
            self.plans.len() - 1
        });
        let metadata = [(PLAN.to_owned(), number.to_string())].into();
        Arc::new(file_schema.clone().with_metadata(metadata))
    }

    /// The time, for filters.
    pub(in crate::scan) fn time(&self) -> Arc<dyn PhysicalExpr> {
        let index = self.schema.fields().len() - 1;
        Arc::new(FileColumn::new(self.schema.field(index).name(), index))
    }
}

fn asked_name(index: usize) -> String {
    format!("{ASKED}{index}")
}

/// A filter over a scan's columns as a filter over [`Plans::schema`], with what it implies of each file.
pub(in crate::scan) fn hinted(filter: &Arc<dyn PhysicalExpr>) -> EngineResult<Vec<Arc<dyn PhysicalExpr>>> {
    let renamed = Arc::clone(filter).transform_up(|expr| {
        Ok(match expr.downcast_ref::<FileColumn>() {
            Some(column) => {
                let renamed = FileColumn::new(&asked_name(column.index()), column.index());
                Transformed::yes(Arc::new(renamed) as Arc<dyn PhysicalExpr>)
            }
            None => Transformed::no(expr),
        })
    })?;
    let hint = Arc::new(Hint(Arc::clone(&renamed.data)));
    Ok(vec![hint, renamed.data])
}

impl PhysicalExprAdapterFactory for Plans {
    fn create(
        &self,
        _logical_file_schema: SchemaRef,
        physical_file_schema: SchemaRef,
    ) -> EngineResult<Arc<dyn PhysicalExprAdapter>> {
        let number = physical_file_schema.metadata().get(PLAN).and_then(|number| number.parse::<usize>().ok());
        let plan = number.and_then(|number| self.plans.get(number));
        let plan = plan.ok_or_else(|| foreign(Error::internal("a file without a plan is read")))?;
        let exprs: Result<Vec<_>> = plan
            .0
            .iter()
            .zip(self.schema.fields())
            .map(|(asked, field)| expr(asked, field.data_type(), &physical_file_schema))
            .collect();
        Ok(Arc::new(Adapter { exprs: exprs.map_err(foreign)?, schema: physical_file_schema }))
    }
}

fn expr(asked: &Asked, data_type: &DataType, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    Ok(match asked {
        Asked::Id => Arc::new(Hexadecimal(column(EVENT_ID, schema)?)),
        Asked::Made(Made::Absent) => {
            lit(ScalarValue::try_from(data_type).map_err(|_| Error::internal("a type without null"))?)
        }
        Asked::Made(Made::Column(name)) => {
            let column = column(name, schema)?;
            let found = column.data_type(schema).ok();
            if found.as_ref() != Some(data_type) {
                let error = Error::corrupt("a file's column has another type than its layout says");
                return Err(error.with("column", name));
            }
            column
        }
        Asked::Made(Made::Merged(merged)) => {
            let names = merged.columns();
            let children: Result<Vec<_>> = names.iter().map(|name| column(name, schema)).collect();
            Arc::new(MergedExpr { merged: Arc::new(merged.clone()), names: names.into(), children: children? })
        }
    })
}

fn column(name: &str, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let index = schema.index_of(name);
    let index = index.map_err(|_| Error::corrupt("a file has not the column that it says").with("column", name))?;
    Ok(Arc::new(FileColumn::new(name, index)))
}

#[derive(Debug)]
struct Adapter {
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let rewritten = expr.transform_up(|expr| {
            if let Some(column) = expr.downcast_ref::<FileColumn>()
                && column.name().starts_with(ASKED)
            {
                return match self.exprs.get(column.index()) {
                    Some(made) => Ok(Transformed::yes(Arc::clone(made))),
                    None => Err(foreign(Error::internal("a filter asks for a column that nobody asked for"))),
                };
            }
            Ok(match expr.downcast_ref::<Hint>() {
                Some(Hint(filter)) => {
                    let implied = hint::implied(filter, &self.schema);
                    Transformed::yes(implied.unwrap_or_else(|| lit(true)))
                }
                None => Transformed::no(expr),
            })
        });
        Ok(rewritten?.data)
    }
}

/// What a filter implies of the columns of a file; true until a file is known.
#[derive(Debug, Clone, Eq)]
struct Hint(Arc<dyn PhysicalExpr>);

/// A column that is put together of a file's columns.
#[derive(Debug, Clone)]
pub(super) struct MergedExpr {
    pub(super) merged: Arc<Merged>,
    names: Arc<[Arc<str>]>,
    children: Vec<Arc<dyn PhysicalExpr>>,
}

/// A file's ids as hexadecimal text.
#[derive(Debug, Clone, Eq)]
pub(super) struct Hexadecimal(pub(super) Arc<dyn PhysicalExpr>);

impl PartialEq for MergedExpr {
    fn eq(&self, other: &Self) -> bool {
        self.merged == other.merged && self.children == other.children
    }
}

impl Eq for MergedExpr {}

impl PartialEq for Hint {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl PartialEq for Hexadecimal {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Hash for Hint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Hash for Hexadecimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Hash for MergedExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.names.hash(state);
        self.children.hash(state);
    }
}

impl fmt::Display for MergedExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "merged({})", self.names.join(", "))
    }
}

impl fmt::Display for Hexadecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hexadecimal({})", self.0)
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "implied({})", self.0)
    }
}

impl PhysicalExpr for MergedExpr {
    fn data_type(&self, _input_schema: &Schema) -> EngineResult<DataType> {
        Ok(evaluate::type_of(&self.merged))
    }

    fn nullable(&self, _input_schema: &Schema) -> EngineResult<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> EngineResult<ColumnarValue> {
        let rows = batch.num_rows();
        let arrays: EngineResult<Vec<ArrayRef>> =
            self.children.iter().map(|child| child.evaluate(batch)?.into_array(rows)).collect();
        let inputs = evaluate::Inputs { rows, names: &self.names, arrays: &arrays? };
        Ok(ColumnarValue::Array(self.merged.values(&inputs).map_err(foreign)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.children.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> EngineResult<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { children, ..(*self).clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PhysicalExpr for Hexadecimal {
    fn data_type(&self, _input_schema: &Schema) -> EngineResult<DataType> {
        Ok(DataType::Utf8View)
    }

    fn nullable(&self, _input_schema: &Schema) -> EngineResult<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> EngineResult<ColumnarValue> {
        let ids = self.0.evaluate(batch)?.into_array(batch.num_rows())?;
        let ids = ids.as_binary_view_opt();
        let ids = ids.ok_or_else(|| foreign(Error::corrupt("a file's ids have another type")))?;
        if ids.iter().any(|id| id.and_then(sixteen).is_none()) {
            return Err(foreign(Error::corrupt("a file's id has the wrong length")));
        }
        Ok(ColumnarValue::Array(hexadecimal(ids.len(), ids.iter().flatten())))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> EngineResult<Arc<dyn PhysicalExpr>> {
        only(children, "an id").map(|child| Arc::new(Self(child)) as _)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PhysicalExpr for Hint {
    fn data_type(&self, _input_schema: &Schema) -> EngineResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _input_schema: &Schema) -> EngineResult<bool> {
        Ok(false)
    }

    fn evaluate(&self, _batch: &RecordBatch) -> EngineResult<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> EngineResult<Arc<dyn PhysicalExpr>> {
        only(children, "a hint").map(|child| Arc::new(Self(child)) as _)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn only(children: Vec<Arc<dyn PhysicalExpr>>, what: &'static str) -> EngineResult<Arc<dyn PhysicalExpr>> {
    let only: std::result::Result<[Arc<dyn PhysicalExpr>; 1], _> = children.try_into();
    let [only] = only.map_err(|_| foreign(Error::internal("one child is expected").with("of", what)))?;
    Ok(only)
}
