//! What a step of a change is, as the description of the API has it and as it is read.

use std::collections::BTreeMap;

use fineo::schema::{Change, Identity, MissingTimestamp, RetainDays, UnknownMetric};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use utoipa::ToSchema;

/// One step of a change. Metrics and fields are named by any of their names, exactly.
// It becomes a `fineo::schema::Change`, and a test holds them together. That type is stored, and reads what a later version of
// the server adds to it; this one knows no keys but its own.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Step {
    /// Declares a metric; one that events brought in is declared as it is.
    CreateMetric { name: String, aliases: Vec<String> },
    /// Gives a metric another display name; the old one becomes its first alias.
    RenameMetric { metric: String, to: String },
    /// Adds a name that events and queries may use.
    AddMetricAlias { metric: String, alias: String },
    /// Takes an alias away.
    RemoveMetricAlias { metric: String, alias: String },
    /// Lets `from`'s names and rows answer under `into`.
    MergeMetric { from: String, into: String },
    /// Makes rows up to some staged positions unreadable for ever.
    DeleteMetric {
        metric: String,
        /// Where the streams end: the server fills it in.
        through: BTreeMap<String, Value>,
    },
    /// Takes a declaration back: the metric stays as one that events brought in.
    UndeclareMetric { metric: String },
    /// Makes events of an undeclared metric malformed.
    RuleOutMetric { metric: String },
    /// Takes that back.
    RuleInMetric { metric: String },
    /// Declares a field.
    AddField { metric: String, name: String, field_type: String, aliases: Vec<String>, unit: Option<String> },
    /// Gives a field another display name; the old one becomes its first alias.
    RenameField { metric: String, field: String, to: String },
    /// Adds a name that answers for the field.
    AddFieldAlias { metric: String, field: String, alias: String },
    /// Takes an alias away.
    RemoveFieldAlias { metric: String, field: String, alias: String },
    /// Ranks aliases of a field as they are listed, in the places that they have among its names; others keep theirs.
    RankFieldAliases { metric: String, field: String, aliases: Vec<String> },
    /// Reads the values of a field as another type.
    RetypeField { metric: String, field: String, field_type: String },
    /// Says what a field is measured in; none takes that back.
    SetUnit { metric: String, field: String, unit: Option<String> },
    /// States values to be in another unit, or to be converted; the one stated last goes first.
    AddConversion { metric: String, field: String, conversion: StepConversion },
    /// Takes every conversion of a field back.
    RemoveConversions { metric: String, field: String },
    /// Makes every value of a field unreadable until it is unhidden.
    HideField { metric: String, field: String },
    /// Takes that back.
    UnhideField { metric: String, field: String },
    /// Takes a declaration back: the values become undeclared text again.
    UndeclareField { metric: String, field: String },
    /// Makes a field's values up to some staged positions unreadable for ever.
    DeleteField {
        metric: String,
        field: String,
        /// Where the streams end: the server fills it in.
        through: BTreeMap<String, Value>,
    },
    /// Makes events that bear an undeclared field malformed.
    RuleOutField { metric: String, field: String },
    /// Takes that back.
    RuleInField { metric: String, field: String },
    /// Says which keys of an event may name its metric.
    SetMetricKeys { keys: Vec<String> },
    /// Says how times are read, by one metric or by all.
    SetTimestampFormats { metric: Option<String>, formats: Vec<String> },
    /// Says which keys of an event may bear its time, for one metric or for all.
    SetTimestampAliases { metric: Option<String>, aliases: Vec<String> },
    /// Says what becomes of events of unknown metrics.
    SetUnknownMetric {
        #[schema(value_type = String)]
        policy: UnknownMetric,
    },
    /// Says what becomes of events without a time; for a metric, none means as the tenant says.
    SetMissingTimestamp {
        metric: Option<String>,
        #[schema(value_type = Option<String>)]
        policy: Option<MissingTimestamp>,
    },
    /// Says what makes later events the same; for a metric, none means as the tenant says.
    SetIdentity {
        metric: Option<String>,
        #[schema(value_type = Option<String>)]
        identity: Option<Identity>,
    },
    /// Says for how long rows are kept; for a metric, none means as the tenant says.
    SetRetainDays {
        metric: Option<String>,
        #[schema(value_type = Option<Value>)]
        days: Option<RetainDays>,
    },
    /// Makes a role, which may read nothing yet.
    CreateRole { role: String },
    /// Takes a role away: who comes in it may read nothing.
    DeleteRole { role: String },
    /// Lets a role read fields of a metric, `*` for all, or all of the metric `*`, or `errors.stream`. With `*`, `later` says
    /// whether undeclared fields and what comes later are meant too.
    GrantRead { role: String, metric: String, fields: Vec<String>, later: Option<bool> },
    /// Takes that back, for some fields or, where none is named, for the whole metric.
    RevokeRead { role: String, metric: String, fields: Vec<String> },
    /// Brings in metrics that events named.
    DiscoverMetrics { names: Vec<String> },
    /// Makes the inverse of an earlier change.
    Undo { change: String },
}

/// Values in another unit, or what is done with them, within a scope.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StepConversion {
    /// The unit that the values are in; else `scale` and `offset` say what is done with them.
    unit: Option<String>,
    /// What values are multiplied with, where no unit is given.
    scale: f64,
    /// What is then added, where no unit is given.
    offset: f64,
    /// Only values sent under this name of the field.
    name: Option<String>,
    /// Only rows whose metric's name as sent is this.
    metric_name: Option<String>,
    /// Only rows whose time, in microseconds since 1970, is not before this.
    from: Option<i64>,
    /// Only rows whose time, in microseconds since 1970, is before this.
    to: Option<i64>,
}

/// Reads steps. A key that a step does not have is refused: a step that is for one metric would be for all without it.
pub(super) fn read<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Vec<Change>, D::Error> {
    let mut changes = Vec::new();
    for step in Vec::<Step>::deserialize(deserializer)? {
        let step = serde_json::to_value(step).map_err(D::Error::custom)?;
        changes.push(serde_json::from_value(step).map_err(D::Error::custom)?);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is missing in, or wrong with, a step; nothing where there is such a step.
    fn wrong<T: for<'a> Deserialize<'a>>(step: &Value) -> String {
        serde_json::from_value::<T>(step.clone()).err().map(|error| error.to_string()).unwrap_or_default()
    }

    /// The names in `text` that stand between backquotes.
    fn quoted(text: &str) -> impl Iterator<Item = &str> {
        text.split('`').skip(1).step_by(2)
    }

    #[test]
    fn every_step_is_described_as_it_is_read() {
        let unknown = wrong::<Change>(&serde_json::json!({"op": "?"}));
        assert_eq!(unknown, wrong::<Step>(&serde_json::json!({"op": "?"})));
        let operations: Vec<&str> = quoted(&unknown).skip(1).collect();
        assert!(operations.contains(&"add_field") && operations.len() > 30, "{operations:?}");
        for operation in operations {
            let mut step = serde_json::json!({"op": operation});
            // Each part that is missing is filled in with what is read there.
            loop {
                let missing = wrong::<Change>(&step);
                assert_eq!(missing, wrong::<Step>(&step), "{step}");
                if missing.is_empty() {
                    break;
                }
                assert!(missing.starts_with("missing field"), "{step}: {missing}");
                let part = quoted(&missing).next().unwrap().to_owned();
                let conversion = serde_json::json!({"scale": 1.0, "offset": 0.0, "from": null, "to": null});
                let values = serde_json::json!(["x", [], conversion, {}, "reject", "0".repeat(32)]);
                let fits = |value: &&Value| {
                    step[&part] = (*value).clone();
                    let left = wrong::<Change>(&step);
                    left.is_empty() || left.starts_with("missing field")
                };
                let fitting = values.as_array().unwrap().iter().find(fits);
                assert!(fitting.is_some(), "nothing fits {part} of {operation}: {}", wrong::<Change>(&step));
            }
            let read: Change = serde_json::from_value(step.clone()).unwrap();
            let described: Step = serde_json::from_value(step).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), serde_json::to_value(described).unwrap());
        }
    }
}
