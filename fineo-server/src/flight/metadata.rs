//! What the server and a tenant have, in the tables that Flight SQL asks for.

use std::sync::{Arc, OnceLock};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetTables, Nullable, Searchable, SqlInfo, SqlSupportedTransaction, XdbcDataType,
    metadata::{SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder},
};
use fineo::Session;
use tonic::Status;

use super::status::status;

/// The only catalog.
pub(super) const CATALOG: &str = "fineo";
/// The schemas of every tenant.
const SCHEMAS: [&str; 2] = ["errors", "public"];
/// The kinds of tables.
pub(super) const TABLE_TYPES: [&str; 2] = ["TABLE", "VIEW"];

/// Whether tables of catalog `asked` are asked for.
fn is_ours(asked: Option<&str>) -> bool {
    asked.is_none_or(|asked| asked == CATALOG)
}

/// The schemas that `command` asks for.
pub(super) fn schemas(command: CommandGetDbSchemas) -> Result<RecordBatch, Status> {
    let is_asked = is_ours(command.catalog.as_deref());
    let mut builder = command.into_builder();
    for schema in SCHEMAS.into_iter().filter(|_| is_asked) {
        builder.append(CATALOG, schema);
    }
    builder.build().map_err(Status::from)
}

/// The columns of what [`tables`] answers.
pub(super) fn tables_schema(command: CommandGetTables) -> SchemaRef {
    command.into_builder().schema()
}

/// The tables that `command` asks for, of the session's tenant.
pub(super) async fn tables(command: CommandGetTables, session: &Session) -> Result<RecordBatch, Status> {
    let is_asked = is_ours(command.catalog.as_deref());
    let has_columns = command.include_schema;
    let mut builder = command.into_builder();
    let tables = session.tables().await.map_err(|error| status(&error))?;
    for table in tables.into_iter().filter(|_| is_asked) {
        let is_metric = table.schema == "public" && !table.name.starts_with("fineo_");
        let kind = if is_metric { TABLE_TYPES[0] } else { TABLE_TYPES[1] };
        let columns = if has_columns {
            let name = table.name.replace('"', "\"\"");
            let described = session.describe(&format!("SELECT * FROM \"{}\".\"{name}\"", table.schema), &[]).await;
            described.map_err(|error| status(&error))?.schema
        } else {
            Arc::new(Schema::empty())
        };
        builder.append(CATALOG, &table.schema, &table.name, kind, &columns).map_err(Status::from)?;
    }
    builder.build().map_err(Status::from)
}

/// What the server says of itself.
pub(super) fn sql_info() -> &'static SqlInfoData {
    static INFO: OnceLock<SqlInfoData> = OnceLock::new();
    INFO.get_or_init(|| {
        let mut info = SqlInfoDataBuilder::new();
        info.append(SqlInfo::FlightSqlServerName, "Fineo");
        info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
        info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
        info.append(SqlInfo::FlightSqlServerReadOnly, true);
        info.append(SqlInfo::FlightSqlServerSql, true);
        info.append(SqlInfo::FlightSqlServerSubstrait, false);
        info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
        info.append(SqlInfo::FlightSqlServerCancel, false);
        info.append(SqlInfo::FlightSqlServerBulkIngestion, true);
        info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
        info.append(SqlInfo::SqlDdlCatalog, false);
        info.append(SqlInfo::SqlDdlSchema, false);
        info.append(SqlInfo::SqlDdlTable, false);
        info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
        info.append(SqlInfo::SqlTransactionsSupported, false);
        info.build().expect("the answers are of the kinds that the protocol has for them")
    })
}

/// The types of columns, as drivers of older interfaces ask for them.
pub(super) fn type_info() -> &'static XdbcTypeInfoData {
    static TYPES: OnceLock<XdbcTypeInfoData> = OnceLock::new();
    TYPES.get_or_init(|| {
        let mut builder = XdbcTypeInfoDataBuilder::new();
        for (name, data_type, size, quote) in [
            ("BOOLEAN", XdbcDataType::XdbcBit, 1, None),
            ("INT", XdbcDataType::XdbcInteger, 10, None),
            ("BIGINT", XdbcDataType::XdbcBigint, 19, None),
            ("REAL", XdbcDataType::XdbcReal, 7, None),
            ("DOUBLE", XdbcDataType::XdbcDouble, 15, None),
            ("DECIMAL", XdbcDataType::XdbcDecimal, 38, None),
            ("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX, Some("'")),
            ("VARBINARY", XdbcDataType::XdbcVarbinary, i32::MAX, Some("'")),
            ("DATE", XdbcDataType::XdbcDate, 10, Some("'")),
            ("TIMESTAMP", XdbcDataType::XdbcTimestamp, 32, Some("'")),
        ] {
            builder.append(XdbcTypeInfo {
                type_name: name.to_owned(),
                data_type,
                column_size: Some(size),
                literal_prefix: quote.map(str::to_owned),
                literal_suffix: quote.map(str::to_owned),
                create_params: None,
                nullable: Nullable::NullabilityNullable,
                case_sensitive: quote.is_some(),
                searchable: Searchable::Full,
                unsigned_attribute: quote.is_none().then_some(false),
                fixed_prec_scale: false,
                auto_increment: None,
                local_type_name: Some(name.to_owned()),
                minimum_scale: None,
                maximum_scale: None,
                sql_data_type: data_type,
                datetime_subcode: None,
                num_prec_radix: quote.is_none().then_some(10),
                interval_precision: None,
            });
        }
        builder.build().expect("the answers are of the kinds that the protocol has for them")
    })
}

/// Keys: no table has any.
pub(super) fn keys(names: &[&str], numbers: &[&str]) -> RecordBatch {
    let texts = names.iter().map(|name| Field::new(*name, DataType::Utf8, true));
    let numbers = numbers.iter().map(|name| {
        let data_type = if *name == "key_sequence" { DataType::Int32 } else { DataType::UInt8 };
        Field::new(*name, data_type, true)
    });
    RecordBatch::new_empty(Arc::new(Schema::new(texts.chain(numbers).collect::<Vec<_>>())))
}
