//! Steps about settings, of one metric or of all.

use std::sync::Arc;

use fineo_core::{Error, Result};

use super::{Edit, too_many};
use crate::{Identity, MissingTimestamp, RetainDays, TimeFormat, document::IdentityEntry, name};

/// The most entries of a list of keys or formats.
const ENTRIES_MAX: usize = 100;

impl Edit {
    pub(super) fn set_metric_keys(&mut self, keys: &[String]) -> Result<()> {
        let keys = checked_keys(keys)?;
        if self.state.tenant.settings.metric_keys == keys {
            return Ok(());
        }
        let line = format!("metric keys: {}", keys.join(", "));
        self.state.tenant.settings.metric_keys = keys;
        self.note(line)
    }

    pub(super) fn set_timestamp_formats(&mut self, metric: Option<&str>, formats: &[String]) -> Result<()> {
        if formats.len() > ENTRIES_MAX {
            return Err(too_many("timestamp formats", ENTRIES_MAX));
        }
        let formats: Result<Vec<String>> =
            formats.iter().map(|text| Ok(TimeFormat::parse(text)?.to_string())).collect();
        let formats = formats?;
        let line = format!("{}timestamp formats: {}", scope(metric), formats.join(" | "));
        let slot = match metric {
            Some(metric) => {
                let number = self.metric_number(metric)?;
                &mut self.document(number).timestamp_formats
            }
            None => &mut self.state.tenant.settings.timestamp_formats,
        };
        if *slot == formats {
            return Ok(());
        }
        *slot = formats;
        self.note(line)
    }

    pub(super) fn set_timestamp_aliases(&mut self, metric: Option<&str>, aliases: &[String]) -> Result<()> {
        let aliases = checked_keys(aliases)?;
        let line = format!("{}timestamp aliases: {}", scope(metric), aliases.join(", "));
        let slot = match metric {
            Some(metric) => {
                let number = self.metric_number(metric)?;
                &mut self.document(number).timestamp_aliases
            }
            None => &mut self.state.tenant.settings.timestamp_aliases,
        };
        if *slot == aliases {
            return Ok(());
        }
        *slot = aliases;
        self.note(line)
    }

    pub(super) fn set_missing_timestamp(
        &mut self,
        metric: Option<&str>,
        policy: Option<MissingTimestamp>,
    ) -> Result<()> {
        let shown = policy.map_or("as the tenant says", MissingTimestamp::as_str);
        let line = format!("{}events without a time: {shown}", scope(metric));
        match metric {
            Some(metric) => {
                let number = self.metric_number(metric)?;
                if std::mem::replace(&mut self.document(number).missing_timestamp, policy) == policy {
                    return Ok(());
                }
            }
            None => {
                let policy = policy.unwrap_or_default();
                if std::mem::replace(&mut self.state.tenant.settings.missing_timestamp, policy) == policy {
                    return Ok(());
                }
            }
        }
        self.note(line)
    }

    pub(super) fn set_retain_days(&mut self, metric: Option<&str>, days: Option<RetainDays>) -> Result<()> {
        let shown = days.map_or_else(|| "as the tenant says".to_owned(), |days| days.to_string());
        let line = format!("{}days that rows are kept: {shown}", scope(metric));
        let slot = match metric {
            Some(metric) => {
                let number = self.metric_number(metric)?;
                &mut self.document(number).retain_days
            }
            None => &mut self.state.tenant.settings.retain_days,
        };
        if std::mem::replace(slot, days) == days {
            return Ok(());
        }
        self.note(line)
    }

    pub(super) fn set_identity(&mut self, metric: Option<&str>, identity: Option<Identity>) -> Result<()> {
        let now = self.now.micros();
        let shown = identity.map_or("as the tenant says", Identity::as_str);
        let line = format!("{}identity of events that arrive from now on: {shown}", scope(metric));
        let history = match metric {
            Some(metric) => {
                let number = self.metric_number(metric)?;
                &mut self.document(number).identity
            }
            None => &mut self.state.tenant.settings.identity,
        };
        if !push_identity(history, identity, now)? {
            return Ok(());
        }
        self.note(line)
    }
}

/// Adds an entry from `now` on, unless it says what holds already. What holds for earlier arrivals stays.
pub(crate) fn push_identity(history: &mut Vec<IdentityEntry>, identity: Option<Identity>, now: i64) -> Result<bool> {
    let last = history.last();
    if last.and_then(|entry| entry.identity) == identity {
        return Ok(false);
    }
    if history.len() >= 10 * ENTRIES_MAX {
        return Err(too_many("changes of identity", 10 * ENTRIES_MAX));
    }
    let from = last.map_or(now, |entry| entry.from.max(now));
    history.push(IdentityEntry { from, identity });
    Ok(true)
}

fn scope(metric: Option<&str>) -> String {
    metric.map_or_else(String::new, |metric| format!("metric {metric}: "))
}

fn checked_keys(keys: &[String]) -> Result<Vec<Arc<str>>> {
    if keys.len() > ENTRIES_MAX {
        return Err(too_many("keys", ENTRIES_MAX));
    }
    let mut checked: Vec<Arc<str>> = Vec::new();
    for key in keys {
        if !name::is_legal(key) || name::is_reserved(key) {
            return Err(Error::invalid("not a legal key of an event").with("key", key));
        }
        if !checked.iter().any(|known| **known == **key) {
            checked.push(key.as_str().into());
        }
    }
    Ok(checked)
}
