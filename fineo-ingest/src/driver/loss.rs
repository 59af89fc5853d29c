//! The record of what is lost: kept in the repository, counted, never silent.

use fineo_core::{
    Error, Position, Result, ShardId,
    repo::{Compared, Keep, Subject, Version, Write},
};

use super::parts::Shared;

/// What was lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss<'a> {
    pub(crate) shard: &'a str,
    /// The last position before it.
    pub(crate) after: Option<Position>,
    /// The first position behind it.
    pub(crate) before: Option<&'a str>,
    pub(crate) reason: &'a str,
}

impl<'a> Loss<'a> {
    /// What stood behind `after` and was gone before it was read.
    pub(crate) fn trimmed(shard: &'a ShardId, after: Option<Position>, before: Option<&'a str>) -> Self {
        Self { shard: shard.as_str(), after, before, reason: "trimmed before it was read" }
    }
}

/// What is read again is looked for among so many of the last losses.
const KNOWN_MAX: usize = 100;

/// Keeps `loss` under `name`, once, and counts it.
pub(crate) async fn note_loss(shared: &Shared, name: &str, loss: &Loss<'_>) -> Result<()> {
    let parts = &shared.parts;
    let subject = Subject::system(&format!("loss/{}/{name}", shared.options.name), Keep::History)?;
    let body = serde_json::json!({
        "shard": loss.shard,
        "after": loss.after.map(|position| position.to_string()),
        "before": loss.before,
        "reason": loss.reason,
    });
    let body: bytes::Bytes = serde_json::to_vec(&body).expect("a loss is plain data").into();
    let is_known = || async {
        let latest = parts.repo.latest(&subject).await?.map(|found| found.version).unwrap_or_default();
        let first = Version(latest.0.saturating_sub(KNOWN_MAX as u64)).next();
        let known = parts.repo.history(&subject, first, KNOWN_MAX).await?;
        Ok(known.iter().any(|known| known.body == body))
    };
    if shared.retry.until_done(is_known).await? {
        return Ok(());
    }
    shared.counters.lose();
    let write = || async {
        let latest = parts.repo.latest(&subject).await?;
        if latest.as_ref().is_some_and(|found| found.body == body) {
            return Ok(());
        }
        let expected = latest.map(|found| found.version).unwrap_or_default();
        let write = Write { subject: subject.clone(), expected, body: Some(body.clone()) };
        match parts.repo.append(vec![write], parts.clock.now()).await.into_result()? {
            Compared::Written => Ok(()),
            // With the next try this one goes behind it.
            Compared::Conflict { .. } => Err(Error::unavailable("another loss was noted at the same time")),
        }
    };
    shared.retry.until_done(write).await
}

/// The positions that `error` says are damaged, the first and the last.
pub(crate) fn damaged(error: &Error) -> Option<(Position, Position)> {
    let position = |wanted| {
        let found = error.context().iter().find(|(name, _)| *name == wanted);
        found.and_then(|(_, text)| text.parse().ok())
    };
    (error.kind() == fineo_core::ErrorKind::Corrupt).then_some((position("from")?, position("to")?))
}
