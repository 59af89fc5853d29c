//! What a change did, part by part, and how that is taken back.

mod list;

use std::sync::Arc;

use fineo_core::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Change, HistoryEntry,
    document::{IdentityEntry, MetricDocument, State},
    edit::setting::push_identity,
};

/// A part of the documents before and after a change. None: it was not there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delta {
    /// The keys from the root to the part.
    pub(crate) path: Vec<String>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// The parts that differ. A part is whatever is no object, or is only on one side.
pub(crate) fn deltas(before: &State, after: &State) -> Result<Vec<Delta>> {
    let mut found = Vec::new();
    let mut path = vec!["tenant".to_owned()];
    compare(&to_value(&before.tenant)?, &to_value(&after.tenant)?, &mut path, &mut found);
    let empty = Arc::new(MetricDocument::default());
    for (number, document) in &after.metrics {
        let old = before.metrics.get(number).unwrap_or(&empty);
        if !Arc::ptr_eq(old, document) {
            let mut path = vec!["metrics".to_owned(), number.to_string()];
            compare(&to_value(&**old)?, &to_value(&**document)?, &mut path, &mut found);
        }
    }
    Ok(found)
}

fn to_value(part: &impl Serialize) -> Result<Value> {
    serde_json::to_value(part).map_err(|source| Error::internal("a schema has no json").with_source(source))
}

fn compare(before: &Value, after: &Value, path: &mut Vec<String>, found: &mut Vec<Delta>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            found.push(Delta { path: path.clone(), before: Some(before.clone()), after: Some(after.clone()) });
        }
        return;
    };
    for (key, value) in old {
        path.push(key.clone());
        match new.get(key) {
            Some(other) => compare(value, other, path, found),
            None => found.push(Delta { path: path.clone(), before: Some(value.clone()), after: None }),
        }
        path.pop();
    }
    for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        path.push(key.clone());
        found.push(Delta { path: path.clone(), before: None, after: Some(value.clone()) });
        path.pop();
    }
}

/// `state` without what `entry` did. `later` are the changes since.
///
/// # Errors
///
/// `Invalid` when it cannot be taken back, or something later depends on it.
pub(crate) fn undone(state: &State, entry: &HistoryEntry, later: &[HistoryEntry], now: Timestamp) -> Result<State> {
    if entry.changes.iter().any(|change| matches!(change, Change::DiscoverMetrics { .. })) {
        return Err(Error::invalid("events brought the metric in; that cannot be undone").with("change", entry.id));
    }
    if let Some(root) = deleted_since_merge(state, entry) {
        let error = Error::invalid("of the merged metric something was deleted since, and a deletion is for ever");
        return Err(error.with("change", entry.id).with("metric", root));
    }
    let mut undone = state.clone();
    // A grant that fell with its field or metric is given anew by whoever may, or not at all.
    let is_of_roles = entry.changes.iter().any(Change::is_of_roles) || entry.deltas.iter().all(is_of_role);
    let counts = |delta: &&Delta| is_of_roles || !is_of_role(delta);
    check_keeps_hidden(state, entry, later)?;
    for delta in entry.deltas.iter().filter(counts) {
        take_back(&mut undone, delta, now).map_err(|refused| refused.explained(entry, delta, later))?;
    }
    for delta in entry.deltas.iter().filter(|delta| is_declaration(delta)) {
        let number = &delta.path[2];
        let document = number.parse().ok().and_then(|number: u64| undone.metrics.get(&number));
        if document.is_some_and(|document| !document.fields.is_empty()) {
            let fields = Delta { path: vec!["metrics".into(), number.clone()], before: None, after: None };
            return Err(Refused::DependsLater.explained(entry, &fields, later));
        }
    }
    Ok(undone)
}

/// What is hidden stays hidden: of a field that was hidden since, neither a name that the change gave it is taken back, nor the rows
/// that a merge brought under it.
fn check_keeps_hidden(state: &State, entry: &HistoryEntry, later: &[HistoryEntry]) -> Result<()> {
    let hidden = later.iter().flat_map(|later| &later.deltas).filter_map(|delta| match delta.path.as_slice() {
        [_, number, _, id, last] if last == "hidden_since" && delta.after.is_some() => Some((number, id)),
        _ => None,
    });
    for (number, id) in hidden {
        let (Ok(metric), Ok(field)) = (number.parse::<u64>(), id.parse::<u32>()) else { continue };
        let field = state.metrics.get(&metric).and_then(|metric| metric.fields.get(&field));
        let Some(field) = field else { continue };
        let takes_back = |delta: &Delta| match delta.path.as_slice() {
            [_, _, _, merged] => merged == "merged_into" && delta.after == Some(Value::from(metric)),
            [_, of, _, which, names] if of == number && which == id && names == "names" => true,
            _ => false,
        };
        if entry.deltas.iter().any(takes_back) {
            field.check_keeps_hidden(field.names.first().map_or("", |display| display))?;
        }
    }
    Ok(())
}

/// The metric that a merge of `entry` brought rows to and of which something was deleted since.
fn deleted_since_merge(state: &State, entry: &HistoryEntry) -> Option<String> {
    let merged = entry.deltas.iter().filter_map(|delta| match delta.path.as_slice() {
        [_, _, number, last] if last == "merged_into" && delta.after.is_some() => number.parse::<u64>().ok(),
        _ => None,
    });
    for mut number in merged {
        // Neither of two metrics has deletions when they are merged.
        for _ in 0..state.tenant.metrics.len() {
            let metric = state.tenant.metrics.get(&number)?;
            let document = state.metrics.get(&number);
            if metric.deleted.is_some() || document.is_some_and(|document| !document.deletions.is_empty()) {
                return metric.names.first().map(ToString::to_string);
            }
            let Some(into) = metric.merged_into else { break };
            number = into;
        }
    }
    None
}

fn is_of_role(delta: &Delta) -> bool {
    matches!(delta.path.as_slice(), [tenant, roles, ..] if tenant == "tenant" && roles == "roles")
}

/// Whether the delta made a metric declared.
fn is_declaration(delta: &Delta) -> bool {
    match delta.path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tenant", "metrics", _] => delta.before.is_none(),
        ["tenant", "metrics", _, "is_declared"] => delta.after == Some(Value::Bool(true)),
        _ => false,
    }
}

/// Why a part cannot be taken back.
enum Refused {
    DependsLater,
    IsDeletion,
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Refused {
    fn explained(self, entry: &HistoryEntry, delta: &Delta, later: &[HistoryEntry]) -> Error {
        match self {
            Self::Failed(error) => error,
            Self::IsDeletion => Error::invalid("a deletion is for ever").with("change", entry.id),
            Self::DependsLater => {
                let touches =
                    |other: &&HistoryEntry| other.deltas.iter().any(|later| overlaps(&later.path, &delta.path));
                let error = Error::invalid("a later change depends on it; undo that first").with("change", entry.id);
                match later.iter().rev().find(touches) {
                    Some(other) => error
                        .with("later", other.id)
                        .with("version", other.version)
                        .with("what", other.summary.join("; ")),
                    None => error.with("part", delta.path.join("/")),
                }
            }
        }
    }
}

fn overlaps(left: &[String], right: &[String]) -> bool {
    left.iter().zip(right).all(|(left, right)| left == right)
}

fn take_back(state: &mut State, delta: &Delta, now: Timestamp) -> Result<(), Refused> {
    let path: Vec<&str> = delta.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["metrics", _, "deletions", ..] | ["tenant", "metrics", _, "deleted"] => return Err(Refused::IsDeletion),
        ["tenant", "settings", "identity"] => {
            return take_back_identity(&mut state.tenant.settings.identity, delta, now);
        }
        ["metrics", number, "identity"] => {
            let document = Arc::make_mut(state.metrics.entry(number_of(number)?).or_default());
            return take_back_identity(&mut document.identity, delta, now);
        }
        ["tenant", "metrics", number] if delta.before.is_none() => return retire_metric(state, number, delta),
        ["tenant", ..] => {
            let mut root = to_value(&state.tenant)?;
            edit(&mut root, &path[1..], delta)?;
            let next_metric = state.tenant.next_metric;
            let edited = serde_json::from_value(root).map_err(broken)?;
            let before = std::mem::replace(&mut state.tenant, edited);
            state.tenant.next_metric = next_metric;
            for (number, old) in before.metrics {
                if let Some(entry) = state.tenant.metrics.get_mut(&number) {
                    (entry.version, entry.former_names) = (old.version, old.former_names);
                }
            }
        }
        ["metrics", number, ..] => {
            let document = state.metrics.entry(number_of(number)?).or_default();
            let mut root = to_value(&**document)?;
            edit(&mut root, &path[2..], delta)?;
            let next_field = document.next_field;
            let mut edited: MetricDocument = serde_json::from_value(root).map_err(broken)?;
            edited.next_field = next_field;
            *document = Arc::new(edited);
        }
        _ => return Err(Error::corrupt("a change touched an unknown part").into()),
    }
    Ok(())
}

fn broken(source: serde_json::Error) -> Error {
    Error::corrupt("a recorded change does not fit the schema").with_source(source)
}

fn number_of(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Error::corrupt("a recorded change has a metric without a number"))
}

/// A metric whose creation is undone stays as one that events brought in: its events stay readable.
fn retire_metric(state: &mut State, number: &str, delta: &Delta) -> Result<(), Refused> {
    let entry = state.tenant.metrics.get_mut(&number_of(number)?).ok_or(Refused::DependsLater)?;
    if Some(to_value(entry)?) != delta.after {
        return Err(Refused::DependsLater);
    }
    entry.names.truncate(1);
    (entry.is_declared, entry.is_ruled_out) = (false, false);
    Ok(())
}

/// Identity is a history by arrival: what held stays recorded, from now on the former one holds again.
fn take_back_identity(history: &mut Vec<IdentityEntry>, delta: &Delta, now: Timestamp) -> Result<(), Refused> {
    if Some(to_value(history)?) != delta.after {
        return Err(Refused::DependsLater);
    }
    let before: Vec<IdentityEntry> = match &delta.before {
        Some(value) => serde_json::from_value(value.clone()).map_err(broken)?,
        None => Vec::new(),
    };
    push_identity(history, before.last().and_then(|entry| entry.identity), now.micros())?;
    Ok(())
}

/// Sets the part at `path` under `root` back from `after` to `before`.
fn edit(root: &mut Value, path: &[&str], delta: &Delta) -> Result<(), Refused> {
    let Some((last, parents)) = path.split_last() else { return Err(Refused::DependsLater) };
    let mut parent = root;
    for key in parents {
        parent = parent.get_mut(*key).ok_or(Refused::DependsLater)?;
    }
    let Value::Object(parts) = parent else { return Err(Refused::DependsLater) };
    let current = parts.get(*last);
    let is_names = matches!(*last, "names" | "ruled_out" | "timestamp_aliases" | "timestamp_formats" | "metric_keys");
    // A recorded null is read back as nothing, and means the same.
    let stated = |part: Option<&Value>| part.filter(|value| !value.is_null()).cloned();
    let restored = if stated(current) == stated(delta.after.as_ref()) {
        delta.before.clone()
    } else if is_names {
        Some(list::taken_back(current, delta.before.as_ref(), delta.after.as_ref()).ok_or(Refused::DependsLater)?)
    } else {
        return Err(Refused::DependsLater);
    };
    match restored {
        Some(value) => {
            parts.insert((*last).to_owned(), value);
        }
        None => {
            parts.shift_remove(*last);
        }
    }
    Ok(())
}
