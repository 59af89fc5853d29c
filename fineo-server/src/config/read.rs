//! Reads the text of a configuration, and says which setting is wrong without showing what may be secret.

use std::net::SocketAddr;

use fineo::{Error, Result};
use serde::{Deserialize, Deserializer, de};

use super::Config;

/// The longest value that an error shows.
const SHOWN_CHARS_MAX: usize = 100;
/// What the engine calls numbers, and which ones they are.
const NUMBERS: [(&str, &str); 3] = [
    ("expected usize", "expected a whole number from 0 to 9223372036854775807"),
    ("expected u64", "expected a whole number from 0 to 9223372036854775807"),
    ("expected u32", "expected a whole number from 0 to 4294967295"),
];

/// The configuration that `text` is, whose values fit their types.
pub(super) fn config(text: &str) -> Result<Config> {
    // Told apart, for a line that is no TOML may have a secret anywhere.
    let is_toml = toml::from_str::<toml::Table>(text).is_ok();
    toml::from_str(text).map_err(|error| refused(text, &error, is_toml))
}

fn refused(text: &str, error: &toml::de::Error, is_toml: bool) -> Error {
    let Some(span) = error.span() else {
        return Error::invalid(format!("not a configuration: {}", error.message()));
    };
    let before = text.get(..span.start).unwrap_or(text);
    let setting = setting_at(text, before.matches('\n').count());
    let of_token = |text: &str| text.contains("token");
    let line = text.lines().nth(before.matches('\n').count()).unwrap_or_default();
    // A webhook's URL is a secret, too.
    let is_secret = of_token(line) || setting.as_deref().is_some_and(|of| of_token(of) || of.starts_with("notify"));
    let mut message = error.message().to_owned();
    for (said, meant) in NUMBERS {
        message = message.replace(said, meant);
    }
    // What the engine says of a value may repeat it.
    if is_secret && is_toml && !message.starts_with("unknown field") {
        "this is not what it may be: texts are in quotes".clone_into(&mut message);
    }
    let mut refused = Error::invalid(format!("not a configuration: {message}"));
    if let Some(setting) = setting {
        refused = refused.with("setting", setting);
    }
    if let Some(value) = text.get(span).filter(|value| is_toml && !is_secret && !value.is_empty()) {
        refused = refused.with("value", value.chars().take(SHOWN_CHARS_MAX).collect::<String>());
    }
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    refused.with("position", format!("line {}, column {column}", before.matches('\n').count() + 1))
}

/// The setting that the line with this index, from 0, is about; none where that cannot be told.
fn setting_at(text: &str, index: usize) -> Option<String> {
    let (mut section, mut key) = (None, None);
    for line in text.lines().take(index + 1).map(str::trim) {
        if let Some(name) =
            line.strip_prefix('[').and_then(|rest| rest.split(']').next()).filter(|_| !line.contains('='))
        {
            (section, key) = (Some(name.trim()), None);
        } else if let Some((name, _)) = line.split_once('=') {
            key = Some(name.trim());
        }
    }
    match (section, key) {
        (Some(section), Some(key)) => Some(format!("{section}.{key}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// Reads an address with its port.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let meant = "an address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"";
    text.parse().map(Some).map_err(|_| de::Error::custom(format!("expected {meant}")))
}
