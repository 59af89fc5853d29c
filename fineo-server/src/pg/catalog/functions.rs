//! Functions that clients ask of a Postgres server and that have one answer here.

use std::hash::{Hash, Hasher};

use arrow::datatypes::DataType;
use datafusion::{
    common::ScalarValue,
    error::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility},
};

use super::{super::settings::Settings, tables::VIEW_DEFINITION, tenant::DATABASE};

/// What `version()` says: tools read the number, people the rest.
fn version() -> String {
    format!("PostgreSQL {} (Fineo {})", super::super::settings::SERVER_VERSION, env!("CARGO_PKG_VERSION"))
}

/// The functions of a session of `tenant`.
pub(super) fn all(tenant: &str) -> Vec<ScalarUDF> {
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    let mut functions = Vec::new();
    for (name, value) in [
        ("version", text(&version())),
        ("current_database", text(DATABASE)),
        ("current_catalog", text(DATABASE)),
        ("session_user", text(tenant)),
        ("current_user", text(tenant)),
        ("current_role", text(tenant)),
        ("pg_get_userbyid", text(tenant)),
        ("inet_server_addr", ScalarValue::Utf8(None)),
        ("inet_client_addr", ScalarValue::Utf8(None)),
        ("inet_server_port", ScalarValue::Int32(None)),
        ("pg_is_in_recovery", ScalarValue::Boolean(Some(false))),
        ("pg_is_wal_replay_paused", ScalarValue::Boolean(Some(false))),
        ("pg_is_other_temp_schema", ScalarValue::Boolean(Some(false))),
        ("pg_my_temp_schema", ScalarValue::Int32(Some(0))),
        ("txid_current", ScalarValue::Int64(Some(1))),
        ("pg_get_viewdef", text(VIEW_DEFINITION)),
        ("pg_size_pretty", text("0 bytes")),
        ("pg_backend_pid", ScalarValue::Int32(Some(0))),
        // Types of extensions, which clients look for by name: there are none.
        ("to_regtype", ScalarValue::Int32(None)),
    ] {
        functions.push(constant(name, value));
    }
    let nothing = [
        "obj_description",
        "col_description",
        "shobj_description",
        "pg_get_indexdef",
        "pg_get_ruledef",
        "pg_get_triggerdef",
        "pg_get_serial_sequence",
        "pg_get_functiondef",
        "pg_get_function_result",
        "pg_get_function_arguments",
        "pg_get_function_identity_arguments",
        "pg_get_function_sqlbody",
        "pg_tablespace_location",
        "pg_get_statisticsobjdef",
        "pg_collation_for",
        "pg_get_partition_constraintdef",
        "pg_get_expr",
        "pg_get_constraintdef",
        "pg_get_partkeydef",
    ];
    functions.extend(nothing.map(|name| constant(name, ScalarValue::Utf8(None))));
    let visible = [
        "pg_function_is_visible",
        "pg_type_is_visible",
        "pg_operator_is_visible",
        "pg_opclass_is_visible",
        "pg_opfamily_is_visible",
        "pg_collation_is_visible",
        "pg_conversion_is_visible",
        "pg_ts_config_is_visible",
        "pg_ts_dict_is_visible",
        "pg_ts_parser_is_visible",
        "pg_ts_template_is_visible",
        "pg_statistics_obj_is_visible",
        "has_column_privilege",
        "has_function_privilege",
        "has_sequence_privilege",
        "has_tablespace_privilege",
        "has_type_privilege",
        "pg_has_role",
    ];
    functions.extend(visible.map(|name| constant(name, ScalarValue::Boolean(Some(true)))));
    let sizes = ["pg_table_size", "pg_indexes_size", "pg_database_size", "pg_relation_size", "pg_total_relation_size"];
    functions.extend(sizes.map(|name| constant(name, ScalarValue::Int64(Some(0)))));
    // Of columns that count up: there are none.
    functions.push(constant("json_build_object", ScalarValue::Utf8(None)));
    functions.push(ScalarUDF::from(Setting { name: "current_setting", signature: any_arguments() }));
    functions.push(ScalarUDF::from(Setting { name: "set_config", signature: any_arguments() }));
    functions
}

fn any_arguments() -> Signature {
    Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Stable)
}

fn constant(name: &'static str, value: ScalarValue) -> ScalarUDF {
    ScalarUDF::from(Constant { name, value, signature: any_arguments() })
}

/// A function that answers the same, whatever it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Constant {
    name: &'static str,
    value: ScalarValue,
    signature: Signature,
}

impl Hash for Constant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// `current_setting(name)` and `set_config(name, value, is_local)`: the one shows what is so for everybody, the other
/// answers with the value and changes nothing, since nothing in the catalog depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Setting {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Setting {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let text = |index: usize| match arguments.args.get(index) {
            Some(ColumnarValue::Scalar(value)) => value.try_as_str().flatten().map(str::to_owned),
            Some(ColumnarValue::Array(_)) | None => None,
        };
        let value = match self.name {
            "set_config" => text(1),
            _ => text(0).and_then(|name| Settings::default().value(&name)),
        };
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(value)))
    }
}
