//! The tables of `pg_catalog`: as the library makes them, with what it leaves out, and without rows that no tenant has.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch, new_null_array},
    compute::{cast, filter_record_batch},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{SchemaProvider, TableProvider, streaming::StreamingTable},
    datasource::MemTable,
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables, PgCatalogTable};
use futures::StreamExt;

use super::{
    super::settings::Settings,
    attributes::Attributes,
    information::Texts,
    nothing,
    tenant::{DATABASE, TenantCatalog},
};

/// What is said of every view.
pub(super) const VIEW_DEFINITION: &str = "-- built into the server";

/// `pg_catalog` for one tenant.
#[derive(Debug)]
pub(super) struct PgTables {
    made: PgCatalogSchemaProvider<TenantCatalog, TenantCatalog>,
    tenant: TenantCatalog,
}

impl PgTables {
    pub(super) fn new(tenant: &TenantCatalog, fixed: Arc<PgCatalogStaticTables>) -> Result<Self> {
        Ok(Self {
            made: PgCatalogSchemaProvider::try_new(tenant.clone(), fixed, tenant.clone())?,
            tenant: tenant.clone(),
        })
    }

    /// `pg_authid`: the roles of `pg_roles`, and no password of anybody. The library has those of the server that it was made
    /// with.
    fn roles_with_passwords(&self) -> Result<Option<Arc<dyn TableProvider>>> {
        let (Some(theirs), Some(PgCatalogTable::Dynamic(roles))) =
            (self.made.build_table_by_name("pg_authid")?, self.made.build_table_by_name("pg_roles")?)
        else {
            return Ok(None);
        };
        let fields: Vec<Field> =
            theirs.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let rolled = Roles { roles, schema: Arc::new(Schema::new(fields)) };
        Ok(Some(Arc::new(StreamingTable::try_new(Arc::clone(&rolled.schema), vec![Arc::new(rolled)])?)))
    }

    fn views(&self) -> Texts {
        let mut rows = Texts::new(&["schemaname", "viewname", "viewowner", "definition"]);
        for ((schema, name), _) in self.tenant.relations().iter().filter(|(_, relation)| relation.is_view) {
            rows.add(&[Some(schema), Some(name), Some(self.tenant.tenant()), Some(VIEW_DEFINITION)]);
        }
        rows
    }
}

/// What holds for every session.
fn settings() -> Texts {
    let mut rows = Texts::new(&[
        "name",
        "setting",
        "unit",
        "category",
        "short_desc",
        "extra_desc",
        "context",
        "vartype",
        "source",
        "min_val",
        "max_val",
        "enumvals",
        "boot_val",
        "reset_val",
        "sourcefile",
        "sourceline",
        "pending_restart",
    ]);
    for (name, value) in Settings::default().all() {
        let mut row = vec![Some(name.as_str()), Some(value.as_str())];
        row.resize(rows.width(), None);
        rows.add(&row);
    }
    rows
}

#[async_trait]
impl SchemaProvider for PgTables {
    fn table_names(&self) -> Vec<String> {
        self.made.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "pg_views" => return self.views().finish().map(Some),
            "pg_settings" => return settings().finish().map(Some),
            "pg_authid" => return self.roles_with_passwords(),
            _ => {}
        }
        let Some(table) = self.made.build_table_by_name(&name)? else { return Ok(None) };
        if nothing::is_empty_table(&name) {
            return Ok(Some(Arc::new(MemTable::try_new(table.schema(), vec![Vec::new()])?)));
        }
        match table {
            PgCatalogTable::Dynamic(made) if name == "pg_class" => {
                let made = WithOptions::new(made);
                Ok(Some(Arc::new(StreamingTable::try_new(Arc::clone(&made.schema), vec![Arc::new(made)])?)))
            }
            PgCatalogTable::Dynamic(made) if name == "pg_attribute" => {
                let (Some(PgCatalogTable::Dynamic(namespaces)), Some(PgCatalogTable::Dynamic(classes))) =
                    (self.made.build_table_by_name("pg_namespace")?, self.made.build_table_by_name("pg_class")?)
                else {
                    return PgCatalogTable::Dynamic(made).try_into_table_provider().map(Some);
                };
                let schema = Arc::clone(made.schema());
                let typed = Attributes { made, namespaces, classes, tenant: self.tenant.clone() };
                Ok(Some(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(typed)])?)))
            }
            PgCatalogTable::Dynamic(made) if name == "pg_database" => Ok(Some(Arc::new(StreamingTable::try_new(
                Arc::clone(made.schema()),
                vec![Arc::new(OneDatabase(made))],
            )?))),
            other => other.try_into_table_provider().map(Some),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.made.table_exist(name)
    }
}

/// The databases without the one that the library adds: nobody can connect to it.
#[derive(Debug)]
struct OneDatabase(Arc<dyn PartitionStream>);

impl PartitionStream for OneDatabase {
    fn schema(&self) -> &SchemaRef {
        self.0.schema()
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let ours = self.0.execute(context).map(|batch| {
            let batch = batch?;
            let names = batch.column_by_name("datname").and_then(|names| names.as_string_opt::<i32>());
            let is_ours = names.map(|names| names.iter().map(|name| Some(name == Some(DATABASE))).collect());
            Ok(filter_record_batch(&batch, &is_ours.unwrap_or_else(|| vec![true; batch.num_rows()].into()))?)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.schema()), ours))
    }
}

/// The roles in the columns of another table; what they do not have is null, and so is every password.
#[derive(Debug)]
struct Roles {
    roles: Arc<dyn PartitionStream>,
    schema: SchemaRef,
}

impl PartitionStream for Roles {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let rolled = self.roles.execute(context).map(move |batch| {
            let batch = batch?;
            let column = |field: &FieldRef| match batch.column_by_name(field.name()) {
                Some(column) if field.name() != "rolpassword" => cast(column, field.data_type()),
                _ => Ok(new_null_array(field.data_type(), batch.num_rows())),
            };
            let columns = schema.fields().iter().map(column).collect::<Result<_, _>>()?;
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rolled))
    }
}

/// A table with two columns more, always null: nothing here has options or privileges of its own.
#[derive(Debug)]
struct WithOptions {
    made: Arc<dyn PartitionStream>,
    schema: SchemaRef,
}

impl WithOptions {
    fn new(made: Arc<dyn PartitionStream>) -> Self {
        let texts = DataType::new_list(DataType::Utf8, true);
        let more = ["reloptions", "relacl"].map(|name| FieldRef::new(Field::new(name, texts.clone(), true)));
        let fields: Vec<FieldRef> = made.schema().fields().iter().cloned().chain(more).collect();
        Self { schema: Arc::new(Schema::new_with_metadata(fields, HashMap::new())), made }
    }
}

impl PartitionStream for WithOptions {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let widened = self.made.execute(context).map(move |batch| {
            let batch = batch?;
            let mut columns = batch.columns().to_vec();
            for field in &schema.fields()[columns.len()..] {
                columns.push(new_null_array(field.data_type(), batch.num_rows()));
            }
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), widened))
    }
}
