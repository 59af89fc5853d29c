//! `information_schema` as the SQL standard has it: what tools ask for when they do not ask `pg_catalog`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int32Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{SchemaProvider, TableProvider},
    datasource::MemTable,
    error::Result,
};
use pgwire::api::Type;

use super::{
    super::types,
    tenant::{DATABASE, SCHEMAS, TenantCatalog},
};

/// Tables that are always empty here, with their columns.
const EMPTY: [(&str, &[&str]); 8] = [
    (
        "table_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
            "is_deferrable",
            "initially_deferred",
        ],
    ),
    (
        "key_column_usage",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "ordinal_position",
            "position_in_unique_constraint",
        ],
    ),
    (
        "constraint_column_usage",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
        ],
    ),
    (
        "referential_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "unique_constraint_catalog",
            "unique_constraint_schema",
            "unique_constraint_name",
            "match_option",
            "update_rule",
            "delete_rule",
        ],
    ),
    (
        "routines",
        &["specific_catalog", "specific_schema", "specific_name", "routine_schema", "routine_name", "routine_type"],
    ),
    ("sequences", &["sequence_catalog", "sequence_schema", "sequence_name", "data_type"]),
    ("triggers", &["trigger_catalog", "trigger_schema", "trigger_name", "event_object_schema", "event_object_table"]),
    ("table_privileges", &["grantor", "grantee", "table_catalog", "table_schema", "table_name", "privilege_type"]),
];

/// Whether this table of `information_schema` has no rows.
pub(super) fn is_empty_table(name: &str) -> bool {
    EMPTY.iter().any(|(empty, _)| *empty == name)
}

/// The tables of `information_schema` for one tenant.
#[derive(Debug)]
pub(super) struct Information(pub(super) TenantCatalog);

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        let own = ["tables", "views", "columns", "schemata"].into_iter();
        own.chain(EMPTY.iter().map(|(name, _)| *name)).map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let rows = match name.to_ascii_lowercase().as_str() {
            "tables" => self.tables(),
            "views" => self.views(),
            "columns" => self.columns(),
            "schemata" => self.schemata(),
            other => match EMPTY.iter().find(|(empty, _)| *empty == other) {
                Some((_, columns)) => Texts::new(columns),
                None => return Ok(None),
            },
        };
        rows.finish().map(Some)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().contains(&name.to_ascii_lowercase())
    }
}

impl Information {
    fn tables(&self) -> Texts {
        let mut rows = Texts::new(&[
            "table_catalog",
            "table_schema",
            "table_name",
            "table_type",
            "self_referencing_column_name",
            "reference_generation",
            "is_insertable_into",
            "is_typed",
            "commit_action",
        ]);
        for ((schema, name), relation) in self.0.relations().iter() {
            let kind = if relation.is_view { "VIEW" } else { "BASE TABLE" };
            rows.add(&[Some(DATABASE), Some(schema), Some(name), Some(kind), None, None, Some("NO"), Some("NO"), None]);
        }
        rows
    }

    /// The views, whose definitions are nobody's but the server's.
    fn views(&self) -> Texts {
        let names = ["table_catalog", "table_schema", "table_name", "view_definition", "check_option", "is_updatable"];
        let mut rows = Texts::new(&names);
        for ((schema, name), _) in self.0.relations().iter().filter(|(_, relation)| relation.is_view) {
            rows.add(&[Some(DATABASE), Some(schema), Some(name), None, Some("NONE"), Some("NO")]);
        }
        rows
    }

    fn schemata(&self) -> Texts {
        let mut rows = Texts::new(&[
            "catalog_name",
            "schema_name",
            "schema_owner",
            "default_character_set_catalog",
            "default_character_set_schema",
            "default_character_set_name",
            "sql_path",
        ]);
        for schema in SCHEMAS {
            rows.add(&[Some(DATABASE), Some(schema), Some(self.0.tenant()), None, None, None, None]);
        }
        rows
    }

    fn columns(&self) -> Texts {
        let mut rows = Texts::new(&[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "column_default",
            "is_nullable",
            "data_type",
            "udt_catalog",
            "udt_schema",
            "udt_name",
            "is_identity",
            "is_generated",
            "is_updatable",
            "character_maximum_length",
            "character_set_name",
            "collation_name",
            "domain_name",
            "identity_generation",
        ]);
        rows.numbers = vec![
            ("ordinal_position", Vec::new()),
            ("numeric_precision", Vec::new()),
            ("numeric_scale", Vec::new()),
            ("datetime_precision", Vec::new()),
        ];
        for ((schema, table), relation) in self.0.relations().iter() {
            for (index, field) in relation.columns.fields().iter().enumerate() {
                let of = types::of_field(field);
                let is_nullable = if field.is_nullable() { "YES" } else { "NO" };
                rows.add(&[
                    Some(DATABASE),
                    Some(schema),
                    Some(table),
                    Some(field.name()),
                    None,
                    Some(is_nullable),
                    Some(standard_name(&of)),
                    Some(DATABASE),
                    Some("pg_catalog"),
                    Some(of.name()),
                    Some("NO"),
                    Some("NEVER"),
                    Some("NO"),
                    None,
                    None,
                    None,
                    None,
                    None,
                ]);
                let (precision, scale) = match field.data_type() {
                    DataType::Decimal128(precision, scale) => (Some(i32::from(*precision)), Some(i32::from(*scale))),
                    _ => (None, None),
                };
                let instant = matches!(field.data_type(), DataType::Timestamp(..)).then_some(6);
                rows.number([i32::try_from(index + 1).ok(), precision, scale, instant]);
            }
        }
        rows
    }
}

/// What the standard calls a type.
pub(super) fn standard_name(of: &Type) -> &str {
    match *of {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::TIMESTAMP => "timestamp without time zone",
        _ => of.name(),
    }
}

/// Rows of text, with columns of numbers after them.
pub(super) struct Texts {
    names: Vec<&'static str>,
    columns: Vec<Vec<Option<String>>>,
    numbers: Vec<(&'static str, Vec<Option<i32>>)>,
}

impl Texts {
    pub(super) fn new(names: &[&'static str]) -> Self {
        Self { names: names.to_vec(), columns: vec![Vec::new(); names.len()], numbers: Vec::new() }
    }

    /// How many columns of text there are.
    pub(super) fn width(&self) -> usize {
        self.names.len()
    }

    pub(super) fn add(&mut self, values: &[Option<&str>]) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value.map(str::to_owned));
        }
    }

    fn number<const N: usize>(&mut self, values: [Option<i32>; N]) {
        for ((_, column), value) in self.numbers.iter_mut().zip(values) {
            column.push(value);
        }
    }

    pub(super) fn finish(self) -> Result<Arc<dyn TableProvider>> {
        let texts = self.names.iter().map(|name| Field::new(*name, DataType::Utf8, true));
        let numbers = self.numbers.iter().map(|(name, _)| Field::new(*name, DataType::Int32, true));
        let schema = Arc::new(Schema::new(texts.chain(numbers).collect::<Vec<_>>()));
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for column in self.columns {
            arrays.push(Arc::new(StringArray::from(column)));
        }
        for (_, column) in self.numbers {
            arrays.push(Arc::new(Int32Array::from(column)));
        }
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
    }
}
