//! The choices that a tenant makes, for itself or for one metric.

use std::{fmt, str::FromStr};

use fineo_core::{Error, Result};
use serde::{Deserialize, Serialize};

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => {
                        let legal: &[&str] = &[$($text),+];
                        let shown: String = text.chars().take(60).collect();
                        Err(Error::invalid(concat!("not a choice of ", $what)).with("given", shown).with("legal", legal.join(", ")))
                    }
                }
            }
        }
    };
}

choice! {
    /// What becomes of an event of a metric that is not known.
    UnknownMetric, "unknown_metric" {
        /// The metric is created, undeclared, and the event accepted.
        #[default]
        Discover = "discover",
        /// The event is malformed.
        Reject = "reject",
    }
}

choice! {
    /// What becomes of an event that bears no time.
    MissingTimestamp, "missing_timestamp" {
        /// It is malformed.
        #[default]
        Reject = "reject",
        /// Its time is its arrival.
        Arrival = "arrival",
    }
}

choice! {
    /// What makes two events the same.
    Identity, "identity" {
        /// Their content.
        #[default]
        Content = "content",
        /// The key that the client sends.
        Key = "key",
        /// Nothing but our own redelivery.
        Arrival = "arrival",
    }
}
