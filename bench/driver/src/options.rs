//! The command line after the verb: `--name value` pairs and one file.

use std::collections::HashMap;
use std::str::FromStr;

use crate::Result;

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    named: HashMap<String, String>,
    file: Option<String>,
}

impl Options {
    /// Reads all arguments; a name without a value is an error.
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                Some(name) => {
                    let value = arguments.next().ok_or_else(|| format!("--{name} lacks its value"))?;
                    options.named.insert(name.into(), value);
                }
                None => options.file = Some(argument),
            }
        }
        Ok(options)
    }

    /// An option that must be there.
    pub(crate) fn text(&self, name: &str) -> Result<&str> {
        Ok(self.named.get(name).ok_or_else(|| format!("--{name} is missing"))?)
    }

    /// An option that may be there.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    /// A number, or its default.
    pub(crate) fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        match self.named.get(name) {
            Some(text) => text.parse().map_err(|_| format!("--{name} {text} is no number").into()),
            None => Ok(default),
        }
    }

    /// The file that is read.
    pub(crate) fn file(&self) -> Result<&str> {
        Ok(self.file.as_deref().ok_or("the file is missing")?)
    }
}
