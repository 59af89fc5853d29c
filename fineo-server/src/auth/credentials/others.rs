//! Keeps up with what other processes do to tokens.

use std::{collections::HashSet, time::Duration};

use fineo::{Error, ErrorKind, Result, Timestamp};

use super::{super::Refusal, Credentials, REMOVED, Record, TOKENS, TokenId, locked, subject_of};

/// How often unknown tokens, or unknown names, make the repository be asked.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(1);
/// So many unknown tokens are looked for in that time.
const UNKNOWN_MAX: usize = 20;

/// What the repository has of a token.
enum Kept {
    Record(Box<Record>),
    /// It was revoked when it could not be read.
    Removed,
    Unreadable(Error),
}

impl Credentials {
    /// Reads all tokens again, as other processes left them. One that cannot be read counts no longer, and the others do.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn refresh(&self) -> Result<()> {
        let mut kept = Vec::new();
        for subject in self.repo.subjects(None, TOKENS).await? {
            let Some(id) = subject.name().strip_prefix(TOKENS).and_then(TokenId::new) else { continue };
            let found = self.kept(&id).await?;
            kept.push((id, found));
        }
        for (id, found) in kept {
            self.learn(id, found);
        }
        Ok(())
    }

    /// Reads the token `id`, which nobody here knows, unless that was done a moment ago: it may be another process's. Of very many at
    /// once nobody knows, and they are to come again.
    pub(super) async fn look_for(&self, id: &TokenId) -> Result<(), Refusal> {
        {
            let now = self.clock.now();
            let mut looked_for = locked(&self.looked_for);
            if !is_recent(looked_for.0, now) {
                *looked_for = (now, HashSet::new());
            }
            if looked_for.1.contains(id) {
                return Ok(());
            }
            if looked_for.1.len() >= UNKNOWN_MAX {
                return Err(Refusal::Throttled { retry_after: LOOK_AGAIN_EVERY });
            }
            looked_for.1.insert(id.clone());
        }
        let found = self.kept(id).await.map_err(Refusal::Unavailable)?;
        self.learn(id.clone(), found);
        Ok(())
    }

    /// Reads all tokens again, unless that was done a moment ago: one of a name may be another process's. Whoever comes while
    /// they are read waits for that, and reads none.
    pub(super) async fn look_again(&self) -> Result<(), Refusal> {
        let mut looked_at = self.looked_at.lock().await;
        if is_recent(*looked_at, self.clock.now()) {
            return Ok(());
        }
        *looked_at = self.clock.now();
        let refreshed = self.refresh().await;
        *looked_at = self.clock.now();
        refreshed.map_err(Refusal::Unavailable)
    }

    async fn kept(&self, id: &TokenId) -> Result<Option<Kept>> {
        let body = match self.repo.latest(&subject_of(id)?).await {
            Ok(None) => return Ok(None),
            Ok(Some(found)) => found.body,
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(Some(Kept::Unreadable(error))),
            Err(error) => return Err(error),
        };
        Ok(Some(match Record::from_bytes(id.clone(), &body) {
            _ if *body == *REMOVED => Kept::Removed,
            Ok(record) => Kept::Record(Box::new(record)),
            Err(error) => Kept::Unreadable(error),
        }))
    }

    fn learn(&self, id: TokenId, kept: Option<Kept>) {
        match kept {
            None => {}
            Some(Kept::Removed) => self.forget(&id),
            // It is no reason to believe less of the others, and none to believe this one while that lasts.
            Some(Kept::Unreadable(error)) => {
                tracing::error!(%error, token = %id, "a token cannot be read and does not count: revoking it removes it");
                self.forget(&id);
            }
            Some(Kept::Record(record)) => {
                let mut tokens = self.write();
                match tokens.get_mut(&id) {
                    Some(known) if record.revoked_at.is_some() => {
                        known.revoked_at = record.revoked_at;
                        known.revoked.cancel();
                    }
                    Some(_) => {}
                    None => drop(tokens.insert(id, *record)),
                }
            }
        }
    }

    /// Honours a token no longer, and ends what runs in its name.
    pub(super) fn forget(&self, id: &TokenId) {
        if let Some(known) = self.write().remove(id) {
            known.revoked.cancel();
        }
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.micros() - at.micros() < i64::try_from(LOOK_AGAIN_EVERY.as_micros()).unwrap_or(i64::MAX)
}
