//! `pg_attribute` with JSON columns as what they are: the library goes by Arrow's types, among which JSON is text.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

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
    /// `pg_namespace`, which says what the schemas are called.
    pub(super) namespaces: Arc<dyn PartitionStream>,
    /// `pg_class`, which says what the tables are called, and in which schema.
    pub(super) classes: Arc<dyn PartitionStream>,
    pub(super) tenant: TenantCatalog,
}

impl PartitionStream for Attributes {
    fn schema(&self) -> &SchemaRef {
        self.made.schema()
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (made, classes) = (self.made.execute(Arc::clone(&context)), self.classes.execute(Arc::clone(&context)));
        let namespaces = self.namespaces.execute(context);
        let tenant = self.tenant.clone();
        let typed = stream::once(async move {
            let namespaces: Vec<RecordBatch> = namespaces.try_collect().await?;
            let classes: Vec<RecordBatch> = classes.try_collect().await?;
            let json = json_columns(&tenant, &namespaces, &classes);
            Ok::<_, datafusion::error::DataFusionError>(made.map(move |batch| typed(&batch?, &json)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.schema()), typed.try_flatten()))
    }
}

/// The columns of JSON, by their table's number.
fn json_columns(tenant: &TenantCatalog, namespaces: &[RecordBatch], classes: &[RecordBatch]) -> HashSet<(i32, String)> {
    let relations = tenant.relations();
    let schemas: HashMap<i32, &str> = namespaces.iter().flat_map(|batch| named(batch, "oid", "nspname")).collect();
    let mut found = HashSet::new();
    for batch in classes {
        let classes = named(batch, "oid", "relname").zip(named(batch, "relnamespace", "relname"));
        for ((number, name), (namespace, _)) in classes {
            let schema = schemas.get(&namespace).map(|schema| (*schema).to_owned());
            let relation = schema.and_then(|schema| relations.get(&(schema, name.to_owned())));
            let fields = relation.into_iter().flat_map(|relation| relation.columns.fields());
            found.extend(
                fields.filter(|field| types::of_field(field) == Type::JSON).map(|field| (number, field.name().clone())),
            );
        }
    }
    found
}

/// The numbers in one column of `batch`, each with the text beside it in another.
fn named<'a>(batch: &'a RecordBatch, number: &str, text: &str) -> impl Iterator<Item = (i32, &'a str)> {
    let numbers = batch.column_by_name(number).and_then(|numbers| numbers.as_primitive_opt::<Int32Type>());
    let texts = batch.column_by_name(text).and_then(|texts| texts.as_string_opt::<i32>());
    let both = numbers.zip(texts).into_iter().flat_map(|(numbers, texts)| numbers.iter().zip(texts));
    both.filter_map(|(number, text)| number.zip(text))
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
