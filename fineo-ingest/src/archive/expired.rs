//! What of an archive was let go because it is old enough: noted before the first segment goes.

use std::collections::BTreeMap;

use fineo_core::{
    Cover, Error, Position, Result, SchemaRepo, ShardId, Timestamp,
    archive::Stage,
    repo::{Compared, Keep, Subject, Version, Write},
};
use serde::{Deserialize, Serialize};

/// Up to where the segments of what a stage received were let go.
#[derive(Debug, Clone)]
pub struct Expired {
    subject: Subject,
    version: Version,
    cover: Cover,
    arrived_until: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Body {
    /// By shard, the last position that may be gone.
    cover: BTreeMap<String, String>,
    /// When the last of its events arrived, in microseconds.
    arrived_until: i64,
}

impl Expired {
    /// What of `stage` of the pipeline called `pipeline` was let go.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or a failure of the repository.
    pub async fn read(repo: &dyn SchemaRepo, pipeline: &str, stage: Stage) -> Result<Self> {
        let subject = Subject::system(&format!("expired/{pipeline}/{stage}"), Keep::Latest)?;
        let Some(found) = repo.latest(&subject).await? else {
            return Ok(Self { subject, version: Version::NONE, cover: Cover::default(), arrived_until: None });
        };
        let body: Body = serde_json::from_slice(&found.body).map_err(|source| {
            Error::corrupt("what of the archive was let go cannot be read")
                .with("subject", &subject)
                .with_source(source)
        })?;
        let of_shard = |(shard, last): (&String, &String)| Ok((ShardId::new(shard)?, last.parse::<Position>()?));
        let cover: Result<Cover> = body.cover.iter().map(of_shard).collect();
        let arrived_until = Some(Timestamp::from_micros(body.arrived_until)?);
        Ok(Self { subject, version: found.version, cover: cover?, arrived_until })
    }

    /// By shard, the last position that may be gone.
    pub fn cover(&self) -> &Cover {
        &self.cover
    }

    /// When the last event that may be gone arrived; none while everything is kept.
    pub fn arrived_until(&self) -> Option<Timestamp> {
        self.arrived_until
    }

    /// Notes that what lies at or before `cover`, which arrived until `arrived_until`, may go from now on.
    ///
    /// # Errors
    ///
    /// `Cancelled` when somebody else noted something in the meantime: nothing may go yet. Or a failure of the repository.
    pub async fn advance(
        &mut self,
        repo: &dyn SchemaRepo,
        cover: &Cover,
        arrived_until: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let mut merged = self.cover.clone();
        merged.merge(cover);
        let until = self.arrived_until.map_or(arrived_until, |before| before.max(arrived_until));
        let body = Body {
            cover: merged.iter().map(|(shard, last)| (shard.to_string(), last.to_string())).collect(),
            arrived_until: until.micros(),
        };
        let body = serde_json::to_vec(&body).expect("a cover is plain data");
        let write = Write { subject: self.subject.clone(), expected: self.version, body: Some(body.into()) };
        match repo.append(vec![write], now).await.into_result()? {
            Compared::Written => {}
            Compared::Conflict { subject, .. } => {
                let message = "somebody else lets go of the archive just now";
                return Err(Error::new(fineo_core::ErrorKind::Cancelled, message).with("subject", subject));
            }
        }
        (self.version, self.cover, self.arrived_until) = (self.version.next(), merged, Some(until));
        Ok(())
    }
}
