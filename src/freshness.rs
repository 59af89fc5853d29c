//! How far queries see, and waiting until they see more: read your own write.

use std::{fmt, time::Duration};

use fineo_core::{Error, ErrorKind, FreshnessToken, Result};

use crate::Fineo;

/// How far each stage had come when a query began: positions of the raw and of the staged stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataAsOf {
    /// What stage raw has passed on.
    pub raw: FreshnessToken,
    /// What stage staged has stored.
    pub staged: FreshnessToken,
}

impl fmt::Display for DataAsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "raw={};staged={}", self.raw, self.staged)
    }
}

impl Fineo {
    /// How far the stages have come: a query that begins now sees at least this.
    pub fn data_as_of(&self) -> DataAsOf {
        let (raw, staged) = self.pipeline.applied();
        DataAsOf { raw: raw.into(), staged: staged.into() }
    }

    /// Completes once a query sees what `token` stands for.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` with the code `freshness_timeout` when that is not so within `within`.
    pub async fn wait_until_fresh(&self, token: &FreshnessToken, within: Duration) -> Result<()> {
        match self.wait_until_visible(token.cover(), within).await {
            Err(error) if error.kind() == ErrorKind::LimitExceeded => {
                Err(Error::new(ErrorKind::LimitExceeded, "the events are not queryable yet")
                    .with("code", "freshness_timeout")
                    .with("hint", "ask again, or allow more time")
                    .with_source(error))
            }
            outcome => outcome,
        }
    }
}
