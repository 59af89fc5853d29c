//! The settings of a session: what clients set at its start, and ask for.

use std::{collections::BTreeMap, time::Duration};

use super::failure::Failure;

/// The version that clients are told: the features of this one are what they may expect of the catalog.
pub(super) const SERVER_VERSION: &str = "15.0";
/// The most settings of a client's own.
const OWN_MAX: usize = 64;
/// The longest value of a setting.
const VALUE_BYTES_MAX: usize = 1024;

/// What is told at the start of a session, in Postgres' spelling.
const REPORTED: [(&str, &str); 12] = [
    ("server_version", SERVER_VERSION),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("application_name", ""),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "off"),
    ("default_transaction_read_only", "on"),
    ("in_hot_standby", "off"),
];

/// What else can be shown.
const SHOWN: [(&str, &str); 18] = [
    ("server_version_num", "150000"),
    ("transaction_isolation", "read committed"),
    ("default_transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
    ("search_path", "\"$user\", public"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("default_table_access_method", "heap"),
    ("lc_collate", "C"),
    ("lc_ctype", "C"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("client_min_messages", "notice"),
    ("row_security", "off"),
    ("port", "5433"),
];

/// Settings that mean one thing here: other values are refused rather than believed.
const FIXED: [(&str, &[&str]); 5] = [
    ("client_encoding", &["utf8", "utf-8", "unicode"]),
    ("standard_conforming_strings", &["on", "true", "1", "yes"]),
    ("bytea_output", &["hex"]),
    ("intervalstyle", &["postgres"]),
    ("server_version", &[]),
];

/// The settings of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    own: BTreeMap<String, String>,
}

impl Settings {
    /// What the session is told at its start: all names and values.
    pub(super) fn reported(&self) -> Vec<(&'static str, String)> {
        REPORTED.iter().map(|(name, _)| (*name, self.value(name).unwrap_or_default())).collect()
    }

    /// The value of `name`, in any case.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        if let Some(own) = self.own.get(&name) {
            return Some(own.clone());
        }
        let known = REPORTED.iter().chain(&SHOWN).find(|(known, _)| known.to_lowercase() == name);
        known.map(|(_, value)| (*value).to_owned())
    }

    /// All names with their values, in order.
    pub(super) fn all(&self) -> Vec<(String, String)> {
        let mut all: BTreeMap<String, String> =
            REPORTED.iter().chain(&SHOWN).map(|(name, value)| (name.to_lowercase(), (*value).to_owned())).collect();
        all.extend(self.own.clone());
        all.into_iter().collect()
    }

    /// Sets `name`, in any case. Answers with what clients are to be told of it.
    ///
    /// # Errors
    ///
    /// Where the value would mean something that the door does not do.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<Option<(&'static str, String)>, Failure> {
        let name = name.to_lowercase();
        let Some(value) = value else {
            self.own.remove(&name);
            return Ok(self.report(&name));
        };
        let refused = || {
            Failure::error("22023", format!("invalid value for parameter \"{name}\": {value:?}"))
                .with_hint("this server has one value for it")
        };
        if let Some((_, allowed)) = FIXED.iter().find(|(fixed, _)| *fixed == name) {
            return if allowed.contains(&value.to_lowercase().as_str()) {
                Ok(self.report(&name))
            } else {
                Err(refused())
            };
        }
        match name.as_str() {
            // Times are told in UTC, with their zone, and in ISO form, whatever is asked for.
            "timezone" | "datestyle" | "transaction" => return Ok(self.report(&name)),
            "statement_timeout" if timeout(value).is_none() => return Err(refused()),
            "session_authorization" | "role" if !["none", "default"].contains(&value.to_lowercase().as_str()) => {
                return Err(Failure::error("42501", "the tenant of a session is the one of its credential"));
            }
            _ => {}
        }
        let is_plain = value.len() <= VALUE_BYTES_MAX && name.len() <= VALUE_BYTES_MAX;
        if !is_plain || (!self.own.contains_key(&name) && self.own.len() >= OWN_MAX) {
            return Err(Failure::error("54000", "too many settings, or too long ones"));
        }
        // Other tools show what a client says of itself.
        let value: String =
            value.chars().map(|character| if character.is_control() { '?' } else { character }).collect();
        self.own.insert(name.clone(), value);
        Ok(self.report(&name))
    }

    /// Forgets all that was set.
    pub(super) fn reset(&mut self) {
        self.own.clear();
    }

    /// How long a statement may take, where the client said so.
    pub(super) fn statement_timeout(&self) -> Option<Duration> {
        self.own.get("statement_timeout").and_then(|value| timeout(value)).filter(|timeout| !timeout.is_zero())
    }

    fn report(&self, name: &str) -> Option<(&'static str, String)> {
        let (spelled, _) = REPORTED.iter().find(|(known, _)| known.to_lowercase() == name)?;
        Some((spelled, self.value(name)?))
    }
}

/// Milliseconds, or a number with a unit.
fn timeout(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = value.find(|character: char| !character.is_ascii_digit()).unwrap_or(value.len());
    let number: u64 = value[..digits].parse().ok()?;
    let millis = match value[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}
