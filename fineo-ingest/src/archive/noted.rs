//! Since when what was archived: of an archive that lists late it tells what is on its way from what is lost.

use std::{collections::BTreeMap, time::Duration};

use fineo_core::{
    Cover, Error, Position, Result, SchemaRepo, ShardId,
    archive::Stage,
    repo::{Compared, Keep, Subject, Version, Write},
};
use serde::{Deserialize, Serialize};

use super::{Listing, Missing};

/// So many times while an archive has its time something is noted.
const NOTES: u32 = 24;

/// By an instant everything at or before a cover was archived, for several instants.
///
/// Arrivals do not tell that, for events may be passed on long after they arrived. So whoever looks at an archive that lists late notes
/// it, once in a while, in the repository (`archived/<pipeline>/<stage>`), and whoever looks later knows what had its time.
#[derive(Debug, Clone, Default)]
pub struct Noted(Vec<(i64, Cover)>);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Body {
    /// By instants in microseconds, oldest first, per shard the last position that was archived.
    archived: Vec<(i64, BTreeMap<String, String>)>,
}

impl Noted {
    /// What is noted of `stage` of the pipeline called `pipeline`, and that everything at or before `cover` was archived before
    /// `listing` began. Keeps that, too, unless something was noted just before. Nothing of an archive that lists at once.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or a failure of the repository to be read. Where it cannot be written, the next one notes.
    pub async fn with(
        repo: &dyn SchemaRepo,
        pipeline: &str,
        stage: Stage,
        (cover, listing): (&Cover, Listing),
    ) -> Result<Self> {
        let Some(within) = listing.within() else { return Ok(Self::default()) };
        let subject = Subject::system(&format!("archived/{pipeline}/{stage}"), Keep::Latest)?;
        let found = repo.latest(&subject).await?;
        let expected = found.as_ref().map_or(Version::NONE, |found| found.version);
        let mut noted = match &found {
            None => Self::default(),
            Some(found) => Self::of(&found.body).map_err(|error: Error| error.with("subject", &subject))?,
        };
        let has_future = noted.forget_after(listing.begun_at().micros());
        let is_over =
            |(last, _): &(i64, Cover)| last.saturating_add(micros(within / NOTES)) <= listing.begun_at().micros();
        let is_due = has_future || noted.0.last().is_none_or(is_over);
        noted.add(cover.clone(), listing);
        if is_due {
            let write = Write { subject, expected, body: Some(noted.to_bytes().into()) };
            match repo.append(vec![write], listing.begun_at()).await.into_result() {
                Ok(Compared::Written) => {}
                Ok(Compared::Conflict { subject, .. }) => {
                    tracing::debug!(%subject, "somebody else noted what is archived")
                }
                Err(error) => tracing::warn!(%error, "what is archived by now could not be noted"),
            }
        }
        Ok(noted)
    }

    /// Whether what is missing was archived so long ago that it will not come any more.
    pub fn is_lost(&self, gap: &Missing, listing: Listing) -> bool {
        // What is right behind the gap's beginning was archived by then: the rest of the gap comes after it.
        let was_archived =
            |(at, cover): &(i64, Cover)| listing.has_all_until(*at) && cover.last(&gap.shard) > gap.after;
        !listing.is_late() || self.0.iter().any(was_archived)
    }

    /// Lets go of what was noted by a clock that was ahead, so that it keeps nobody from noting; puts the rest in order. Whether there
    /// was any.
    fn forget_after(&mut self, now: i64) -> bool {
        let before = self.0.len();
        self.0.retain(|(at, _)| *at <= now);
        self.0.sort_by_key(|(at, _)| *at);
        self.0.len() < before
    }

    /// Adds the newest; of those that had their time the last one says it all.
    fn add(&mut self, cover: Cover, listing: Listing) {
        let old = self.0.iter().filter(|(at, _)| listing.has_all_until(*at)).count();
        self.0.drain(..old.saturating_sub(1));
        self.0.push((listing.begun_at().micros(), cover));
    }

    fn of(body: &[u8]) -> Result<Self> {
        let body: Body = serde_json::from_slice(body)
            .map_err(|source| Error::corrupt("what is noted as archived cannot be read").with_source(source))?;
        let of_shard = |(shard, last): (&String, &String)| Ok((ShardId::new(shard)?, last.parse::<Position>()?));
        let notes: Result<Vec<_>> = body
            .archived
            .iter()
            .map(|(at, cover)| Ok((*at, cover.iter().map(of_shard).collect::<Result<Cover>>()?)))
            .collect();
        Ok(Self(notes?))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let of_cover =
            |cover: &Cover| cover.iter().map(|(shard, last)| (shard.to_string(), last.to_string())).collect();
        let body = Body { archived: self.0.iter().map(|(at, cover)| (*at, of_cover(cover))).collect() };
        serde_json::to_vec(&body).expect("covers are plain data")
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
