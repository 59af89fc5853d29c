//! The identities of events and metrics.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{Error, Result};

macro_rules! id_of_16_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let value = u128::from_str_radix(text, 16);
                match (is_hex, value) {
                    (true, Ok(value)) => Ok(Self(value.to_be_bytes())),
                    (true | false, _) => Err(Error::invalid("not an id of 32 hexadecimal digits").with("id", text)),
                }
            }
        }
    };
}

id_of_16_bytes! {
    /// What makes two deliveries the same event. Arrival ids have the same form.
    EventId
}

id_of_16_bytes! {
    /// A hash of what a tenant sent, whatever the order of its keys.
    ContentHash
}

/// The canonical id of a metric (`n1`, `n2`, …): never reused, the only name that storage paths see.
///
/// The id `errors` holds a tenant's error rows.
#[expect(clippy::derived_hash_with_manual_eq, reason = "equal is equal by text, only found out sooner")]
#[derive(Clone, Eq, PartialOrd, Ord, Hash)]
pub struct MetricId(Arc<str>);

impl PartialEq for MetricId {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Most are clones of one another, on paths where a comparison of texts would cost as much as the rest.
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl MetricId {
    /// Checks `text`: 1–32 of `a-z0-9`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Invalid`] when it is not a canonical id.
    pub fn new(text: &str) -> Result<Self> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !(1..=32).contains(&text.len()) || !text.bytes().all(legal) {
            return Err(Error::invalid("not a canonical metric id").with("id", text));
        }
        Ok(Self(text.into()))
    }

    /// The id of the `number`-th metric of a tenant.
    pub fn numbered(number: u64) -> Self {
        Self(format!("n{number}").into())
    }

    /// The metric that holds a tenant's error rows.
    pub fn errors() -> Self {
        Self("errors".into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MetricId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MetricId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MetricId({})", self.0)
    }
}
