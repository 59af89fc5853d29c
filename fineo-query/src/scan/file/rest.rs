//! The cells that have no column of their own: one JSON object per row, stored name to text.

use std::{borrow::Cow, fmt, sync::Arc};

use datafusion::arrow::array::{Array, StringViewArray, StringViewBuilder};
use fineo_core::{Error, Result};
use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};

/// The text that each row of `rest` has under `name`.
pub(super) fn cells(rest: &StringViewArray, name: &str) -> Result<Arc<StringViewArray>> {
    let key = serde_json::to_string(name).map_err(|source| Error::internal("a name is text").with_source(source))?;
    let finder = memchr::memmem::Finder::new(key.as_bytes());
    let mut texts = StringViewBuilder::with_capacity(rest.len());
    for row in 0..rest.len() {
        if rest.is_null(row) {
            texts.append_null();
            continue;
        }
        let object = rest.value(row);
        // A name may be written with other escapes than ours, and then has a backslash.
        let may_have = finder.find(object.as_bytes()).is_some() || memchr::memchr(b'\\', object.as_bytes()).is_some();
        let cell = if may_have { cell(object, name)? } else { None };
        texts.append_option(cell);
    }
    Ok(Arc::new(texts.finish()))
}

fn cell<'a>(object: &'a str, name: &str) -> Result<Option<Cow<'a, str>>> {
    let mut reader = serde_json::Deserializer::from_str(object);
    let cell = reader.deserialize_map(Wanted(name));
    cell.map_err(|source| Error::corrupt("a file's rest is not an object of texts").with_source(source))
}

struct Wanted<'a>(&'a str);

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Text<'de>>()? {
            if name.0 == self.0 {
                found = Some(map.next_value::<Text<'de>>()?.0);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Text that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
