//! `pg_attribute` with JSON columns as what they are: the library goes by Arrow's types, among which JSON is text.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Int32Array, RecordBatch},
    datatypes::{Int32Type, SchemaRef},
};
use datafusion::{
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::{StreamExt, TryStreamExt, stream};
use pgwire::api::Type;

use super::{super::types, tenant::TenantCatalog};

/// The table.
#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) made: Arc<dyn PartitionStream>,
    /// `pg_class`, which says what the tables are called.
    pub(super) classes: Arc<dyn PartitionStream>,
    pub(super) tenant: TenantCatalog,
}

impl PartitionStream for Attributes {
    fn schema(&self) -> &SchemaRef {
        self.made.schema()
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (made, classes) = (self.made.execute(Arc::clone(&context)), self.classes.execute(context));
        let tenant = self.tenant.clone();
        let typed = stream::once(async move {
            let classes: Vec<RecordBatch> = classes.try_collect().await?;
            let json = json_columns(&tenant, &classes);
            Ok::<_, datafusion::error::DataFusionError>(made.map(move |batch| typed(&batch?, &json)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.schema()), typed.try_flatten()))
    }
}

/// The columns of JSON, by their table's number.
fn json_columns(tenant: &TenantCatalog, classes: &[RecordBatch]) -> HashSet<(i32, String)> {
    let relations = tenant.relations();
    let mut found = HashSet::new();
    for batch in classes {
        let numbers = batch.column_by_name("oid").and_then(|oids| oids.as_primitive_opt::<Int32Type>());
        let names = batch.column_by_name("relname").and_then(|names| names.as_string_opt::<i32>());
        let (Some(numbers), Some(names)) = (numbers, names) else { continue };
        for (number, name) in numbers.iter().zip(names).filter_map(|(number, name)| number.zip(name)) {
            let of_name = relations.iter().filter(|((_, relation), _)| relation == name);
            let fields = of_name.flat_map(|(_, relation)| relation.columns.fields());
            found.extend(
                fields.filter(|field| types::of_field(field) == Type::JSON).map(|field| (number, field.name().clone())),
            );
        }
    }
    found
}

/// `batch` with the types of the columns in `json` put right.
fn typed(batch: &RecordBatch, json: &HashSet<(i32, String)>) -> Result<RecordBatch> {
    let numbers = |name: &str| batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int32Type>());
    let names = batch.column_by_name("attname").and_then(|names| names.as_string_opt::<i32>());
    let (Some(tables), Some(types), Some(names)) = (numbers("attrelid"), numbers("atttypid"), names) else {
        return Ok(batch.clone());
    };
    let is_json = |row: usize| json.contains(&(tables.value(row), names.value(row).to_owned()));
    let type_of = |row: usize| if is_json(row) { Type::JSON.oid().cast_signed() } else { types.value(row) };
    let types: ArrayRef = Arc::new((0..batch.num_rows()).map(type_of).collect::<Int32Array>());
    let mut columns = batch.columns().to_vec();
    columns[batch.schema().index_of("atttypid")?] = types;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}
