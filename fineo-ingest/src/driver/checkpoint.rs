//! Checkpoints: up to which position a consumer's effects are all durable.

use std::collections::BTreeMap;

use fineo_core::{
    Clock, Cover, Error, Position, Result, SchemaRepo, ShardId,
    archive::Stage,
    repo::{Compared, Keep, Subject, Version, Versioned, Write},
};
use serde::{Deserialize, Serialize};

use super::{earlier::Noted, lease::Lease};
use crate::retry::Retry;

/// A checkpoint as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CheckpointBody {
    /// None before the first delivery.
    position: Option<String>,
    epoch: u64,
    /// Whether the shard was read to its end.
    is_finished: bool,
    /// Of stage raw, by shard: where the staged stream goes on with what is forwarded later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forwarded: Option<BTreeMap<String, String>>,
    /// How many shards of the staged stream were open then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    staged_shards: Option<usize>,
    /// The key of what is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    staged_key: Option<u64>,
}

impl CheckpointBody {
    fn read(body: &[u8]) -> Result<Self> {
        let read = serde_json::from_slice(body);
        read.map_err(|source| Error::corrupt("a checkpoint cannot be read").with_source(source))
    }

    fn position(&self) -> Result<Option<Position>> {
        self.position.as_ref().map(|text| text.parse()).transpose()
    }
}

/// A checkpoint that was read, and where the next version goes.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    subject: Subject,
    version: Version,
    pub(crate) position: Option<Position>,
    pub(crate) is_finished: bool,
    /// Where the records of later events are; none where nobody noted it. To be set before the checkpoint moves.
    pub(crate) noted: Option<Noted>,
}

/// What the checkpoints of a stream's shard begin with.
pub(crate) fn subject(pipeline: &str, stream: &str, consumer: &str, shard: &ShardId) -> Result<Subject> {
    Subject::system(&format!("{}{consumer}", prefix(pipeline, stream, shard)), Keep::Latest)
}

fn prefix(pipeline: &str, stream: &str, shard: &ShardId) -> String {
    format!("checkpoint/{pipeline}/{stream}/{shard}/")
}

impl Checkpoint {
    /// Reads the checkpoint of `subject`.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or a failure of the repository.
    pub(crate) async fn read(repo: &dyn SchemaRepo, subject: Subject) -> Result<Self> {
        match repo.latest(&subject).await? {
            None => Ok(Self { subject, version: Version::NONE, position: None, is_finished: false, noted: None }),
            Some(found) => Self::of_version(subject, &found),
        }
    }

    fn of_version(subject: Subject, found: &Versioned) -> Result<Self> {
        let body = CheckpointBody::read(&found.body).map_err(|error| error.with("subject", &subject))?;
        let position = body.position()?;
        let forwarded = body.forwarded.map(|forwarded| {
            let shards = forwarded.iter().map(|(shard, position)| Ok((ShardId::new(shard)?, position.parse()?)));
            shards.collect::<Result<Cover>>()
        });
        let (shards, key) = (body.staged_shards, body.staged_key);
        let noted = forwarded.transpose()?.map(|forwarded| Noted { forwarded, shards, key });
        Ok(Self { subject, version: found.version, position, is_finished: body.is_finished, noted })
    }

    /// Nothing of this shard is on its way: what it forwards later stands behind `forwarded`, too.
    pub(crate) fn settle(&mut self, forwarded: &Cover) {
        let Some(Noted { forwarded: known, .. }) = &mut self.noted else { return };
        for (shard, position) in forwarded.iter().filter(|(shard, _)| known.last(shard).is_some()).collect::<Vec<_>>() {
            known.advance(shard, position);
        }
    }

    /// Moves the checkpoint to `position`, if `lease` is still held; renews it with the same stroke.
    ///
    /// # Errors
    ///
    /// [`fineo_core::ErrorKind::Cancelled`] when the lease is another's by now: nothing was moved. `Internal`
    /// when the position lies behind the checkpoint.
    pub(crate) async fn advance(
        &mut self,
        repo: &dyn SchemaRepo,
        lease: &mut Lease,
        position: Option<Position>,
        is_finished: bool,
        clock: &dyn Clock,
        retry: &Retry,
    ) -> Result<()> {
        if position < self.position {
            return Err(Error::internal("a checkpoint cannot move backward").with("subject", &self.subject));
        }
        let forwarded = self.noted.as_ref().map(|noted| {
            noted.forwarded.iter().map(|(shard, position)| (shard.to_string(), position.to_string())).collect()
        });
        let body = CheckpointBody {
            position: position.map(|position| position.to_string()),
            epoch: lease.epoch(),
            is_finished,
            forwarded,
            staged_shards: self.noted.as_ref().and_then(|noted| noted.shards),
            staged_key: self.noted.as_ref().and_then(|noted| noted.key),
        };
        let body: bytes::Bytes = serde_json::to_vec(&body).expect("a checkpoint is plain data").into();
        let (begun, mut tries) = (clock.now(), 0);
        let renewed_at = loop {
            let now = clock.now();
            let write = Write { subject: self.subject.clone(), expected: self.version, body: Some(body.clone()) };
            let error = match repo.append(vec![write, lease.renewal(now)], now).await.into_result() {
                Ok(Compared::Written) => break now,
                // Our own append whose answer was lost, or another worker's.
                Ok(Compared::Conflict { .. }) if tries > 0 && self.is_ours(repo, lease, &body).await? => break begun,
                Ok(Compared::Conflict { subject, current }) => {
                    return Err(Error::new(fineo_core::ErrorKind::Cancelled, "the lease was taken over")
                        .with("subject", subject)
                        .with("version", current));
                }
                Err(error) => error,
            };
            tries += 1;
            if !Retry::may_pass(&error) {
                return Err(error);
            }
            retry.wait(tries, &error).await;
        };
        self.version = self.version.next();
        self.position = position;
        self.is_finished = is_finished;
        lease.renewed(renewed_at);
        Ok(())
    }

    /// Whether both writes of a lost append are there: then they are ours, for they expected our versions.
    async fn is_ours(&self, repo: &dyn SchemaRepo, lease: &Lease, body: &bytes::Bytes) -> Result<bool> {
        let found = repo.latest(&self.subject).await?;
        let same = found.is_some_and(|found| found.version == self.version.next() && found.body == *body);
        let held = repo.latest(lease.kept_in()).await?;
        Ok(same && held.is_some_and(|held| held.version == lease.version().next()))
    }
}

/// Up to where `stage` of the pipeline called `pipeline` has archived what it received and made it durable, by shard:
/// its checkpoints.
///
/// # Errors
///
/// `Corrupt`, or a failure of the repository.
pub async fn archived(repo: &dyn SchemaRepo, pipeline: &str, stage: Stage) -> Result<Cover> {
    let mut cover = Cover::default();
    for (shard, checkpoint) in of_stage(repo, pipeline, stage).await? {
        if let Some(position) = checkpoint.position {
            cover.advance(&shard, position);
        }
    }
    Ok(cover)
}

/// The checkpoint of each shard on which `stage` has begun, whether or not the shard is still there.
pub(crate) async fn of_stage(
    repo: &dyn SchemaRepo,
    pipeline: &str,
    stage: Stage,
) -> Result<BTreeMap<ShardId, Checkpoint>> {
    let prefix = prefix_of_stage(pipeline, stage);
    let mut found = BTreeMap::new();
    for subject in repo.subjects(None, &prefix).await? {
        let Some(shard) = shard_of(subject.name(), &prefix)? else { continue };
        found.insert(shard, Checkpoint::read(repo, subject.clone()).await?);
    }
    Ok(found)
}

/// As [`archived`] answered when these subjects were read, which are nobody's: names and bodies.
///
/// # Errors
///
/// `Corrupt`.
pub fn archived_by<'s>(
    subjects: impl IntoIterator<Item = (&'s str, &'s [u8])>,
    pipeline: &str,
    stage: Stage,
) -> Result<Cover> {
    let prefix = prefix_of_stage(pipeline, stage);
    let mut cover = Cover::default();
    for (name, body) in subjects {
        let Some(shard) = shard_of(name, &prefix)? else { continue };
        let position = CheckpointBody::read(body).and_then(|body| body.position());
        if let Some(position) = position.map_err(|error| error.with("subject", name))? {
            cover.advance(&shard, position);
        }
    }
    Ok(cover)
}

fn prefix_of_stage(pipeline: &str, stage: Stage) -> String {
    format!("checkpoint/{pipeline}/{stage}/")
}

/// The shard whose checkpoint of the stage a subject is; none of another's.
fn shard_of(name: &str, prefix: &str) -> Result<Option<ShardId>> {
    let rest = name.strip_prefix(prefix).and_then(|rest| rest.rsplit_once('/'));
    rest.filter(|(_, consumer)| *consumer == "stage").map(|(shard, _)| ShardId::new(shard)).transpose()
}

/// Up to where every consumer of `stream` has come on `shard` that has not ended; none when one of them has not begun.
pub(crate) async fn lowest(
    repo: &dyn SchemaRepo,
    pipeline: &str,
    stream: &str,
    shard: &ShardId,
) -> Result<Option<Position>> {
    let prefix = prefix(pipeline, stream, shard);
    let mut lowest: Option<Position> = None;
    for subject in repo.subjects(None, &prefix).await? {
        let checkpoint = Checkpoint::read(repo, subject).await?;
        if checkpoint.is_finished {
            continue;
        }
        match (checkpoint.position, lowest) {
            (None, _) => return Ok(None),
            (Some(position), None) => lowest = Some(position),
            (Some(position), Some(before)) => lowest = Some(before.min(position)),
        }
    }
    Ok(lowest)
}
