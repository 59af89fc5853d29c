//! What one tenant has, as the catalog shows it: names and types, never a row.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::{datasource::TableType, error::DataFusionError};
use datafusion_pg_catalog::pg_catalog::{
    catalog_info::CatalogInfo,
    context::{PgCatalogContextProvider, Role},
};
use fineo::{Result, Session, query::ColumnInfo};

/// The only database.
pub(super) const DATABASE: &str = "fineo";
/// The schemas of every tenant.
pub(super) const SCHEMAS: [&str; 4] = ["errors", "information_schema", "pg_catalog", "public"];

/// A table or view of the tenant.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) is_view: bool,
    pub(super) columns: SchemaRef,
}

/// Tables by schema and name.
type Relations = BTreeMap<(String, String), Relation>;

/// The tenant's tables, as of the last [`TenantCatalog::refresh`]. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct TenantCatalog {
    tenant: Arc<str>,
    relations: Arc<RwLock<Arc<Relations>>>,
}

impl TenantCatalog {
    pub(super) fn new(tenant: &str) -> Self {
        Self { tenant: tenant.into(), relations: Arc::default() }
    }

    /// Who the tenant is.
    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Reads what the tenant has now.
    ///
    /// # Errors
    ///
    /// When the schema cannot be read.
    pub(super) async fn refresh(&self, session: &Session) -> Result<()> {
        let known = self.relations();
        let mut relations = BTreeMap::new();
        for table in session.tables().await? {
            let is_metric = table.schema == "public" && !table.name.starts_with("fineo_");
            let columns = if is_metric {
                columns(&session.columns(&table.name).await?)
            } else if let Some(view) = known.get(&(table.schema.clone(), table.name.clone())) {
                // What is built into the server stays as it is.
                Arc::clone(&view.columns)
            } else if table.schema == "errors" {
                columns(&session.columns("errors.stream").await?)
            } else {
                // A view says itself what it gives.
                session.describe(&format!("SELECT * FROM \"{}\"", table.name.replace('"', "\"\"")), &[]).await?.schema
            };
            relations.insert((table.schema, table.name), Relation { is_view: !is_metric, columns });
        }
        *self.relations.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(relations);
        Ok(())
    }

    /// The tables and views by schema and name.
    pub(super) fn relations(&self) -> Arc<Relations> {
        Arc::clone(&self.relations.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn relation(&self, schema: &str, name: &str) -> Option<Relation> {
        self.relations().get(&(schema.to_owned(), name.to_owned())).cloned()
    }
}

fn columns(columns: &[ColumnInfo]) -> SchemaRef {
    let field = |column: &ColumnInfo| {
        let field = Field::new(&column.name, data_type(&column.type_name), column.name != "timestamp");
        if column.type_name == "json" {
            field.with_metadata([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into())
        } else {
            field
        }
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// The Arrow type of a field type's name.
fn data_type(name: &str) -> DataType {
    match name {
        "boolean" => DataType::Boolean,
        "int" => DataType::Int32,
        "long" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "date" => DataType::Date32,
        "bytes" => DataType::BinaryView,
        _ => decimal(name).unwrap_or(DataType::Utf8View),
    }
}

fn decimal(name: &str) -> Option<DataType> {
    let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    Some(DataType::Decimal128(precision.trim().parse().ok()?, scale.trim().parse().ok()?))
}

#[async_trait]
impl CatalogInfo for TenantCatalog {
    async fn catalog_names(&self) -> Result<Vec<String>, DataFusionError> {
        Ok(vec![DATABASE.to_owned()])
    }

    async fn schema_names(&self, catalog_name: &str) -> Result<Option<Vec<String>>, DataFusionError> {
        Ok((catalog_name == DATABASE).then(|| SCHEMAS.iter().map(|schema| (*schema).to_owned()).collect()))
    }

    async fn table_names(
        &self,
        _catalog_name: &str,
        schema_name: &str,
    ) -> Result<Option<Vec<String>>, DataFusionError> {
        let relations = self.relations();
        let names = relations.keys().filter(|(schema, _)| schema == schema_name).map(|(_, name)| name.clone());
        Ok(Some(names.collect()))
    }

    async fn table_schema(
        &self,
        _catalog_name: &str,
        schema_name: &str,
        table_name: &str,
    ) -> Result<Option<SchemaRef>, DataFusionError> {
        Ok(self.relation(schema_name, table_name).map(|relation| relation.columns))
    }

    async fn table_type(
        &self,
        _catalog_name: &str,
        schema_name: &str,
        table_name: &str,
    ) -> Result<Option<TableType>, DataFusionError> {
        let relation = self.relation(schema_name, table_name);
        Ok(relation.map(|relation| if relation.is_view { TableType::View } else { TableType::Base }))
    }
}

/// The one role that a tenant knows: itself.
#[async_trait]
impl PgCatalogContextProvider for TenantCatalog {
    async fn roles(&self) -> Vec<String> {
        vec![self.tenant.to_string()]
    }

    async fn role(&self, name: &str) -> Option<Role> {
        (name == &*self.tenant).then(|| Role {
            name: name.to_owned(),
            is_superuser: false,
            can_login: true,
            can_create_db: false,
            can_create_role: false,
            can_create_user: false,
            can_replication: false,
            grants: Vec::new(),
            inherited_roles: Vec::new(),
        })
    }
}
