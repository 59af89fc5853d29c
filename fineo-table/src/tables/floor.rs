//! The floor of a table: up to where rows may have been removed from the nearline store.

use bytes::Bytes;
use fineo_core::{
    Cover, Error, Outcome, Result,
    repo::{Compared, Keep, Subject, Version, Write},
};

use super::{Inner, Key};
use crate::text::CoverText;

/// How often a lost race is run again.
const TRIES_MAX: usize = 16;

impl Inner {
    /// The floor and its version.
    pub(super) async fn floor(&self, key: &Key) -> Result<(Version, Cover)> {
        let subject = subject(key)?;
        match self.repo.latest(&subject).await? {
            None => Ok((Version::NONE, Cover::default())),
            Some(found) => {
                let damaged = |source| Error::corrupt("the floor of a table is damaged").with_source(source);
                let CoverText(floor) = serde_json::from_slice(&found.body).map_err(damaged)?;
                Ok((found.version, floor))
            }
        }
    }

    /// Moves the floor up.
    pub(super) async fn raise_floor(&self, key: &Key, cover: &Cover) -> Outcome<()> {
        for _ in 0..TRIES_MAX {
            let (expected, body) = match self.next_floor(key, cover).await {
                Ok(Some(next)) => next,
                Ok(None) => return Outcome::Done(()),
                Err(error) => return Outcome::of_error(error),
            };
            let subject = match subject(key) {
                Ok(subject) => subject,
                Err(error) => return Outcome::NotDone(error),
            };
            let write = Write { subject, expected, body: Some(body) };
            match self.repo.append(vec![write], self.clock.now()).await {
                Outcome::Done(Compared::Written) => return Outcome::Done(()),
                Outcome::Done(Compared::Conflict { .. }) => {}
                Outcome::NotDone(error) => return Outcome::NotDone(error),
                // Whether it happened does not matter to who asks again: the floor never sinks.
                Outcome::Unknown(error) => return Outcome::Unknown(error),
            }
        }
        Outcome::NotDone(Error::unavailable("others raise the floor at the same time"))
    }

    /// The floor to write; none when it is high enough.
    async fn next_floor(&self, key: &Key, cover: &Cover) -> Result<Option<(Version, Bytes)>> {
        let (version, mut floor) = self.floor(key).await?;
        if floor.includes(cover) {
            return Ok(None);
        }
        if !self.latest(key).await?.cover.includes(cover) {
            return Err(
                Error::invalid("the floor of a table is never above what it covers").with("metric", &key.metric)
            );
        }
        floor.merge(cover);
        let body = serde_json::to_vec(&CoverText(floor));
        let body = body.map_err(|source| Error::internal("a floor cannot be written").with_source(source))?;
        Ok(Some((version, body.into())))
    }
}

fn subject(key: &Key) -> Result<Subject> {
    Subject::tenant(&key.tenant, &format!("table/{}/floor", key.metric), Keep::Latest)
}
