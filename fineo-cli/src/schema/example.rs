//! Declares a metric by the events of an example.

use std::path::Path;

use fineo::{
    core::{Error, Result},
    schema::{Change, FieldType, fields_of_example},
};
use fineo_server::http::resource::{DiscoveredView, TenantView};
use serde_json::{Map, Value, value::RawValue};

use crate::{input, output::screened};

/// The longest example.
const EXAMPLE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The events in `file`: objects, arrays of objects, or objects that follow one another.
pub(super) fn read(file: &Path) -> Result<Vec<String>> {
    let text = input::read_text(file, EXAMPLE_BYTES_MAX)?;
    let wrong = |message: &str| Error::invalid(message).with("file", file.display());
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}')).into_iter::<&RawValue>() {
        let value = value.map_err(|error| wrong("the example is not JSON").with_source(error))?.get();
        match serde_json::from_str::<Vec<&RawValue>>(value) {
            Ok(values) => events.extend(values.into_iter().map(|value| value.get().to_owned())),
            Err(_) => events.push(value.to_owned()),
        }
    }
    if events.is_empty() {
        return Err(wrong("the example holds no event"));
    }
    Ok(events)
}

/// The change that creates `metric` with the fields of `events`, in order of first sight.
pub(super) fn changes(
    metric: &str,
    aliases: &[String],
    events: &[String],
    settings: &TenantView,
) -> Result<Vec<Change>> {
    let mut fields: Vec<(String, FieldType)> = Vec::new();
    for event in events {
        let keys = no_fields(event, settings);
        let left_out: Vec<&str> = keys.iter().map(String::as_str).collect();
        for (name, shown) in fields_of_example(event, &left_out)? {
            match fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = common_type(*known, shown),
                None => fields.push((name, shown)),
            }
        }
    }
    let create = Change::CreateMetric { name: metric.to_owned(), aliases: aliases.to_vec() };
    let add = |(name, field_type): (String, FieldType)| Change::AddField {
        metric: metric.to_owned(),
        name,
        field_type: field_type.to_string(),
        aliases: Vec::new(),
        unit: None,
    };
    Ok(std::iter::once(create).chain(fields.into_iter().map(add)).collect())
}

/// Makes a double of what the example shows as whole and events have `sent` with fractions too; what is to be said of the
/// fields of which only the example is known.
pub(super) fn widen(changes: &mut [Change], sent: &[DiscoveredView]) -> Option<String> {
    let mut unknown = Vec::new();
    for change in changes {
        let Change::AddField { name, field_type, .. } = change else { continue };
        if *field_type != FieldType::Long.to_string() {
            continue;
        }
        let Some(known) = sent.iter().find(|known| known.field == *name) else {
            unknown.push(screened(name).into_owned());
            continue;
        };
        let share = |wanted: FieldType| {
            let shown = known.shares.iter().find(|shown| shown.field_type == wanted.to_string());
            shown.map_or(0.0, |shown| shown.share)
        };
        if share(FieldType::Double) > share(FieldType::Long) {
            *field_type = FieldType::Double.to_string();
        }
    }
    let names = unknown.join(", ");
    (!unknown.is_empty()).then(|| {
        format!(
            "note: the example shows whole numbers only as {names}: they are long, and 1.5 would be null; \
             field retype makes doubles of them"
        )
    })
}

/// The keys of `event` that name its metric and give its time.
fn no_fields(event: &str, settings: &TenantView) -> Vec<String> {
    let event: Map<String, Value> = serde_json::from_str(event).unwrap_or_default();
    let is_given = |key: &&str| event.get(*key).is_some_and(|value| !value.is_null());
    let metric_keys = settings.metric_keys.iter().map(String::as_str).chain(["metrictype"]);
    let time_keys = settings.timestamp_aliases.iter().map(String::as_str);
    let metric_key = metric_keys.into_iter().find(is_given);
    let time_key = time_keys.into_iter().find(is_given);
    metric_key.into_iter().chain(time_key).chain(["timestamp"]).map(str::to_owned).collect()
}

/// The type that holds values of both without a conflict.
fn common_type(one: FieldType, other: FieldType) -> FieldType {
    match (one, other) {
        (one, other) if one == other => one,
        (one, other) if one.is_number() && other.is_number() => FieldType::Double,
        (_, _) => FieldType::String,
    }
}

#[cfg(test)]
mod tests;
