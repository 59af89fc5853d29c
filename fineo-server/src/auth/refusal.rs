//! Why a caller is not let in.

use std::{fmt, time::Duration};

use fineo::Error;

/// Why a caller is not let in. It says nothing of whether the tenant, the token or the secret was wrong.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// The credential does not count.
    Refused,
    /// Too many wrong credentials came from this address: try again later.
    Throttled {
        /// When.
        retry_after: Duration,
    },
    /// The credentials cannot be read now.
    Unavailable(Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("the credential is not valid"),
            Self::Throttled { .. } => f.write_str("too many invalid credentials from this address"),
            Self::Unavailable(_) => f.write_str("credentials cannot be checked now"),
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused | Self::Throttled { .. } => None,
            Self::Unavailable(error) => Some(error),
        }
    }
}
