//! Trackers in the repository: a head and chunks of names, written together.

use bytes::Bytes;
use fineo_core::{
    Error, MetricId, Result, SchemaRepo, ShardId, TenantId,
    repo::{Keep, Subject, Version, Write},
};

use super::{
    names::CHUNK_NAMES,
    times::TimesSeen,
    tracker::{PAIRED_NAMES_MAX, Tracker},
};
use crate::wire::{NamesHead, decode_head, decode_names, encode_head, encode_names};

const PREFIX: &str = "discovery/";

/// Which tracker: whose, of which metric's rows, from which shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tenant: TenantId,
    pub(super) metric: MetricId,
    pub(super) shard: ShardId,
}

/// What is to be written of a tracker. Chunks first, the head with the position last.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) key: Key,
    pub(super) writes: Vec<Write>,
    pub(super) chunks: Vec<usize>,
    pub(super) head_version: Version,
    pub(super) generation: u64,
}

impl Draft {
    /// The bytes of what is to be written.
    pub(super) fn bytes(&self) -> usize {
        self.writes.iter().filter_map(|write| write.body.as_ref()).map(Bytes::len).sum()
    }
}

/// What changed since `tracker` was saved; none when nothing did. Its names are clean from then on: who does not write the draft
/// says so by [`note_unsaved`].
pub(super) fn draft(key: &Key, tracker: &mut Tracker) -> Result<Option<Draft>> {
    if tracker.generation == tracker.saved_generation {
        return Ok(None);
    }
    let mut writes = Vec::new();
    let mut chunks = Vec::new();
    for (number, names) in tracker.names.chunks().enumerate() {
        let expected = tracker.chunk_versions.get(number).copied().unwrap_or_default();
        // No head without its chunks: one that is not there yet goes with it, whatever became of an earlier draft.
        if expected != Version::NONE && !names.iter().any(|tracked| tracked.is_dirty) {
            continue;
        }
        let body = encode_names(names.iter().map(|tracked| &tracked.stats));
        writes.push(Write { subject: chunk_subject(key, number)?, expected, body: Some(body) });
        chunks.push(number);
    }
    let head = encode_head(NamesHead {
        count: i64::try_from(tracker.names.len()).unwrap_or(i64::MAX),
        is_full: tracker.is_full,
        position: tracker.counted_through.map(|position| position.to_string()),
        together: tracker.together.iter().map(|mask| format!("{mask:x}")).collect(),
        rows: tracker.times.rows.cast_signed(),
        early: tracker.times.early.cast_signed(),
    })?;
    writes.push(Write { subject: head_subject(key)?, expected: tracker.head_version, body: Some(head) });
    // Only now: a draft that could not be made leaves all to the next one.
    mark(tracker, &chunks, false);
    let head_version = tracker.head_version;
    Ok(Some(Draft { key: key.clone(), writes, chunks, head_version, generation: tracker.generation }))
}

/// Notes that `draft` stands in the repository.
pub(super) fn note_saved(tracker: &mut Tracker, draft: &Draft) {
    // Who took in what is saved while the draft was written knows more, and has all saved anew.
    if tracker.head_version != draft.head_version {
        return;
    }
    tracker.saved_generation = draft.generation;
    tracker.head_version = draft.head_version.next();
    for (number, write) in draft.chunks.iter().zip(&draft.writes) {
        note_chunk(tracker, *number, write.expected.next());
    }
}

/// Notes that `draft` may not stand there, so that the next one has it all.
pub(super) fn note_unsaved(tracker: &mut Tracker, draft: &Draft) {
    mark(tracker, &draft.chunks, true);
}

/// Notes at which version a chunk stands.
pub(super) fn note_chunk(tracker: &mut Tracker, number: usize, version: Version) {
    if tracker.chunk_versions.len() <= number {
        tracker.chunk_versions.resize(number + 1, Version::NONE);
    }
    tracker.chunk_versions[number] = version;
}

fn mark(tracker: &mut Tracker, chunks: &[usize], is_dirty: bool) {
    for number in chunks {
        tracker.names.chunk_mut(*number).iter_mut().for_each(|tracked| tracked.is_dirty = is_dirty);
    }
}

/// At which versions `chunks` stand.
pub(super) async fn chunk_versions(
    repo: &dyn SchemaRepo,
    key: &Key,
    chunks: &[usize],
) -> Result<Vec<(usize, Version)>> {
    let mut versions = Vec::new();
    for number in chunks {
        let found = repo.latest(&chunk_subject(key, *number)?).await?;
        versions.push((*number, found.map_or(Version::NONE, |found| found.version)));
    }
    Ok(versions)
}

/// Which trackers of `tenant` are saved.
pub(super) async fn keys(repo: &dyn SchemaRepo, tenant: &TenantId) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    for subject in repo.subjects(Some(tenant), PREFIX).await? {
        let parts: Vec<&str> = subject.name().split('/').collect();
        if let [_, metric, shard] = parts.as_slice() {
            keys.push(Key { tenant: tenant.clone(), metric: MetricId::new(metric)?, shard: ShardId::new(shard)? });
        }
    }
    Ok(keys)
}

/// Takes what is saved under `key` into `tracker`, which may be ahead of it; whether something was read.
pub(super) async fn load_into(repo: &dyn SchemaRepo, key: &Key, tracker: &mut Tracker) -> Result<bool> {
    let Some(found) = repo.latest(&head_subject(key)?).await? else { return Ok(false) };
    if found.version == tracker.head_version {
        return Ok(false);
    }
    let head = decode_head(&found.body).map_err(|error| of_key(error, key))?;
    let chunks = usize::try_from(head.count).unwrap_or(0).min(crate::SeenNames::NAMES_MAX).div_ceil(CHUNK_NAMES);
    let was_empty = tracker.names.is_empty();
    let mut versions = Vec::new();
    for number in 0..chunks {
        let Some(chunk) = repo.latest(&chunk_subject(key, number)?).await? else {
            return Err(of_key(Error::corrupt("a chunk of names is missing").with("chunk", number), key));
        };
        versions.push(chunk.version);
        for stats in decode_names(&chunk.body, &key.shard).map_err(|error| of_key(error, key))? {
            tracker.restore(stats);
        }
    }
    tracker.head_version = found.version;
    tracker.chunk_versions = versions;
    let times = TimesSeen { rows: head.rows.cast_unsigned(), early: head.early.cast_unsigned() };
    tracker.times = tracker.times.max(times);
    tracker.is_full |= head.is_full;
    let position = head.position.map(|text| text.parse()).transpose().map_err(|error| of_key(error, key))?;
    tracker.counted_through = tracker.counted_through.max(position);
    // The masks number names as they were saved; a tracker that numbers them otherwise forgets the evidence.
    for (mask, saved) in tracker.together.iter_mut().zip(&head.together).take(PAIRED_NAMES_MAX) {
        *mask |= if was_empty { u128::from_str_radix(saved, 16).unwrap_or(u128::MAX) } else { u128::MAX };
    }
    tracker.generation += 1;
    if was_empty {
        tracker.saved_generation = tracker.generation;
    }
    Ok(true)
}

fn of_key(error: Error, key: &Key) -> Error {
    error.with("tenant", &key.tenant).with("metric", &key.metric).with("shard", &key.shard)
}

fn head_subject(key: &Key) -> Result<Subject> {
    Subject::tenant(&key.tenant, &format!("{PREFIX}{}/{}", key.metric, key.shard), Keep::Latest)
}

fn chunk_subject(key: &Key, number: usize) -> Result<Subject> {
    Subject::tenant(&key.tenant, &format!("{PREFIX}{}/{}/{number}", key.metric, key.shard), Keep::Latest)
}
