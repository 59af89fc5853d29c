//! Fields from one example event.

use fineo_core::{Error, Result};
use serde_json::Value;

use crate::FieldType;

/// The deepest nesting of an example.
const DEPTH_MAX: usize = 64;

/// The fields that an example event (a JSON object) has, with the types of its values: nested objects are
/// flattened with `.`, arrays are `json`, `null` says nothing. The keys in `left_out` are no fields.
///
/// # Errors
///
/// `Invalid` when it is no JSON object, or two paths flatten to one name.
pub fn fields_of_example(text: &str, left_out: &[&str]) -> Result<Vec<(String, FieldType)>> {
    let example: Value = serde_json::from_str(text)
        .map_err(|source| Error::invalid("the example is not json").with("problem", source.to_string()))?;
    if !example.is_object() {
        return Err(Error::invalid("the example is not a json object"));
    }
    let mut fields = Vec::new();
    collect("", &example, 0, &mut fields)?;
    fields.retain(|(name, _)| !left_out.contains(&name.as_str()));
    Ok(fields)
}

fn collect(path: &str, value: &Value, depth: usize, fields: &mut Vec<(String, FieldType)>) -> Result<()> {
    let field_type = match value {
        Value::Object(parts) if !parts.is_empty() || path.is_empty() => {
            if depth >= DEPTH_MAX {
                return Err(Error::invalid("the example is nested too deep").with("max", DEPTH_MAX));
            }
            for (key, part) in parts {
                let name = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(&name, part, depth + 1, fields)?;
            }
            return Ok(());
        }
        Value::Null => return Ok(()),
        Value::Object(_) | Value::Array(_) => FieldType::Json,
        Value::Bool(_) => FieldType::Boolean,
        Value::Number(number) if number.is_i64() => FieldType::Long,
        Value::Number(_) => FieldType::Double,
        Value::String(_) => FieldType::String,
    };
    if fields.iter().any(|(name, _)| name == path) {
        return Err(Error::invalid("two paths of the example flatten to one name").with("name", path));
    }
    fields.push((path.to_owned(), field_type));
    Ok(())
}
