//! Decides what a change makes of a schema; nothing is read or written.

use std::{collections::HashMap, sync::Arc};

use fineo_core::{Error, Result, Timestamp};

use crate::{Change, HistoryEntry, TenantSchema, document::State, edit::Edit, undo};

/// The documents after `changes`.
pub(super) fn edited(schema: &TenantSchema, changes: &[Change], now: Timestamp) -> Result<Edit> {
    let mut edit = Edit::new(schema.state().clone(), now);
    for (number, change) in changes.iter().enumerate() {
        edit.apply(change).map_err(|error| if changes.len() > 1 { error.with("step", number + 1) } else { error })?;
    }
    check_names(&edit.state)?;
    edit.forget_gone_grants();
    Ok(edit)
}

/// The documents without what `entry` did.
pub(super) fn undone(
    schema: &TenantSchema,
    entry: &HistoryEntry,
    later: &[HistoryEntry],
    now: Timestamp,
) -> Result<Edit> {
    let state = undo::undone(schema.state(), entry, later, now)?;
    check_names(&state).map_err(|error| error.with("change", entry.id))?;
    let mut edit = Edit::new(state, now);
    edit.forget_gone_grants();
    edit.summary.push(format!("undo change {} of version {}: {}", entry.id, entry.version, entry.summary.join("; ")));
    Ok(edit)
}

/// SC4: a name belongs to one metric, and among a metric's fields to one field.
fn check_names(state: &State) -> Result<()> {
    let clash = |name: &Arc<str>, holder: &str, what: &'static str| {
        Error::invalid("the name is taken by now").with("name", name).with(what, holder)
    };
    let mut holders: HashMap<&Arc<str>, u64> = HashMap::new();
    for (number, entry) in state.tenant.metrics.iter().filter(|(_, entry)| entry.is_live()) {
        for name in &entry.names {
            if let Some(other) = holders.insert(name, *number) {
                let holder = state.tenant.metrics.get(&other).map_or("", |entry| &entry.names[0]);
                return Err(clash(name, holder, "metric"));
            }
        }
    }
    for document in state.metrics.values() {
        let mut holders: HashMap<&Arc<str>, u32> = HashMap::new();
        for (number, field) in &document.fields {
            for name in &field.names {
                if let Some(other) = holders.insert(name, *number) {
                    return Err(clash(name, document.fields.get(&other).map_or("", |field| &field.names[0]), "field"));
                }
            }
            let of_other_name = |name: &&Arc<str>| !field.names.contains(*name);
            if let Some(name) = field.conversions.iter().filter_map(|stated| stated.name.as_ref()).find(of_other_name) {
                return Err(Error::invalid("a later change depends on it: a conversion is stated for the name")
                    .with("name", name)
                    .with("field", &field.names[0]));
            }
        }
    }
    Ok(())
}
