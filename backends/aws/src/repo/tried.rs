//! Tries whether a table keeps the conditions of writes: an emulator may take several writers for the first.

use fineo_core::{
    Error, ErrorKind, Result, SchemaRepo, Timestamp,
    repo::{Compared, Keep, Subject, Version, Write},
};
use futures::future::try_join_all;

use super::{DynamoRepo, item};

/// How many writers race for one version.
const RACERS: usize = 4;
/// How often a race may be lost to failures of the service.
const TRIES_MAX: usize = 3;

impl DynamoRepo {
    /// Races for the first two versions of a subject, and comes late for the second one.
    ///
    /// # Errors
    ///
    /// `Unsupported` when the table does not keep its word, or a failure of the service.
    pub(crate) async fn try_out(&self, now: Timestamp) -> Result<()> {
        for _ in 1..TRIES_MAX {
            if self.try_once(now).await.is_ok() {
                return Ok(());
            }
        }
        self.try_once(now).await
    }

    async fn try_once(&self, now: Timestamp) -> Result<()> {
        let subject = Subject::system(&format!("try/{}", self.table.nonce()), Keep::Latest)?;
        let write = |expected: Version, body: &'static str| {
            let write = Write { subject: subject.clone(), expected, body: Some(body.into()) };
            async move { self.append(vec![write], now).await.into_result() }
        };
        let first = Version::NONE.next();
        let mut is_kept = true;
        for expected in [Version::NONE, first] {
            let raced = try_join_all((0..RACERS).map(|_| write(expected, "raced"))).await?;
            is_kept &= raced.iter().filter(|compared| **compared == Compared::Written).count() == 1;
        }
        is_kept &= write(first, "late").await? != Compared::Written;
        self.table.delete_all(vec![item::head_key(&subject)]).await?;
        if is_kept {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "the table does not keep the conditions of writes")
            .with("table", &self.table.name)
            .with("hint", "choose an emulator whose transactions keep them, also when writers race"))
    }
}
