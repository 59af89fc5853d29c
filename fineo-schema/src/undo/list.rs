//! Takes back what a change did to a list of names, where later changes only touched other names.

use serde_json::Value;

/// `current` without what turned `before` into `after`; none when a later change depends on that.
pub(super) fn taken_back(current: Option<&Value>, before: Option<&Value>, after: Option<&Value>) -> Option<Value> {
    let current = current?.as_array()?;
    let (before, after) = (before?.as_array()?, after?.as_array()?);
    let added: Vec<&Value> = after.iter().filter(|name| !before.contains(name)).collect();
    let removed: Vec<&Value> = before.iter().filter(|name| !after.contains(name)).collect();
    let is_only_order = added.is_empty() && removed.is_empty();
    let is_first_changed = before.first() != after.first();
    let is_first_kept = current.first() == after.first();
    let is_touched =
        added.iter().any(|name| !current.contains(name)) || removed.iter().any(|name| current.contains(name));
    let common = |names: &[Value], others: &[Value]| -> Vec<Value> {
        names.iter().filter(|name| others.contains(name)).cloned().collect()
    };
    let is_reordered = common(before, after) != common(after, before);
    if is_only_order || is_reordered || is_touched || is_first_changed && !is_first_kept {
        return None;
    }
    // The display name may since be one that this change added.
    if added.contains(&current.first()?) && !is_first_changed {
        return None;
    }
    let mut restored: Vec<Value> = current.iter().filter(|name| !added.contains(name)).cloned().collect();
    for name in removed {
        let at = before.iter().position(|known| known == name)?;
        restored.insert(at.min(restored.len()), name.clone());
    }
    // The display name that would be back may since be taken away.
    if is_first_changed && !before.is_empty() && restored.first() != before.first() {
        return None;
    }
    Some(Value::Array(restored))
}
