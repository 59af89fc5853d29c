//! Deletes what nobody can read any more, after making sure that nobody can begin to.

use std::{collections::HashSet, sync::Arc};

use deltalake_core::kernel::Action;
use fineo_core::{Error, Outcome, Result, Timestamp};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStoreExt, path::Path};

use super::{Collected, Inner, Key, commit::boundary_of, data::sums_name, expired::expired_log, load::document_name};
use crate::{Change, Committed, Snapshot, failure};

/// How often a lost race is run again.
const TRIES_MAX: usize = 8;
/// How many objects are deleted at once.
const DELETES_AT_ONCE: usize = 16;

/// A thing that may be deleted.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) path: Path,
    pub(super) bytes: u64,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A data file.
    File,
    /// Its checksums.
    Sums,
    /// A cover document of a former version, or of one that lost its race. No commit in flight can name it: the
    /// number that it would take in the log is taken.
    Document,
    /// A version of the log, or a checkpoint, that a later checkpoint makes needless.
    Log,
}

impl Inner {
    /// See [`super::Tables::collect_garbage`].
    pub(super) async fn collect_garbage(&self, key: &Key, horizon: Timestamp) -> Outcome<Collected> {
        let mut candidates = match self.candidates(key, horizon).await {
            Ok(candidates) => candidates,
            Err(error) => return Outcome::NotDone(error),
        };
        if candidates.is_empty() {
            return Outcome::Done(Collected::default());
        }
        if candidates.iter().all(|candidate| matches!(candidate.kind, Kind::Document | Kind::Log)) {
            return self.delete(candidates).await;
        }
        // From this commit on no file of an older boundary can become live, whoever wrote it when and whatever became
        // of a commit whose outcome is unknown: versions of the log are taken.
        let snapshot = match self.raise_boundary(key).await {
            Outcome::Done(snapshot) => snapshot,
            Outcome::NotDone(error) => return Outcome::NotDone(error),
            Outcome::Unknown(error) => return Outcome::Unknown(error),
        };
        // A candidate may have become live before the boundary was raised, and even been removed again.
        let kept = match self.kept(key, &snapshot, horizon).await {
            Ok(kept) => kept,
            Err(error) => return Outcome::NotDone(error),
        };
        candidates.retain(|candidate| !kept.contains(&candidate.path));
        self.delete(candidates).await
    }

    async fn delete(&self, mut candidates: Vec<Candidate>) -> Outcome<Collected> {
        let is_partial = candidates.len() > self.options.deletes_max;
        candidates.truncate(self.options.deletes_max);
        let mut collected = Collected { is_partial, ..Collected::default() };
        let deletes = candidates.into_iter().map(|candidate| {
            let store = Arc::clone(&self.objects.store);
            async move {
                let deleted = store.delete(&candidate.path).await;
                (candidate, deleted)
            }
        });
        let mut deletes = stream::iter(deletes).buffered(DELETES_AT_ONCE);
        while let Some((candidate, deleted)) = deletes.next().await {
            match deleted {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {
                    collected.files += u64::from(candidate.kind == Kind::File);
                    collected.log_versions += u64::from(candidate.kind == Kind::Log);
                    collected.bytes += candidate.bytes;
                }
                Err(source) => return Outcome::of_error(failure::write(&candidate.path, source)),
            }
        }
        Outcome::Done(collected)
    }

    /// What is not a part of the table, and older than any reader's snapshot.
    async fn candidates(&self, key: &Key, horizon: Timestamp) -> Result<Vec<Candidate>> {
        let snapshot = self.latest(key).await?;
        if snapshot.version.is_none() {
            // What is there may be the first commit's, which is on its way.
            return Ok(Vec::new());
        }
        let kept = self.kept(key, &snapshot, horizon).await?;
        let root = key.root();
        let listed: Vec<ObjectMeta> =
            self.objects.store.list(Some(&root)).try_collect().await.map_err(|source| failure::read(&root, source))?;
        let log = expired_log(&root, &listed, self.log_cutoff(horizon));
        let old = listed.into_iter().filter(|meta| meta.last_modified.timestamp_micros() < horizon.micros());
        let mut candidates = Vec::new();
        for meta in old.filter(|meta| !kept.contains(&meta.location)) {
            let kind =
                relative_of(&root, &meta.location).and_then(|relative| kind_of(&relative, snapshot.inner.number));
            if let Some(kind) = kind {
                candidates.push(Candidate { path: meta.location, bytes: meta.size, kind });
            }
        }
        candidates.extend(log);
        Ok(candidates)
    }

    /// What `snapshot` needs, and what snapshots that were replaced since `horizon` needed.
    async fn kept(&self, key: &Key, snapshot: &Snapshot, horizon: Timestamp) -> Result<HashSet<Path>> {
        let mut kept = live_paths(key, snapshot);
        for relative in self.removed_since(key, snapshot, horizon).await? {
            kept.insert(key.path(&sums_name(&relative)));
            kept.insert(key.path(&relative));
        }
        Ok(kept)
    }

    /// The files that were live at `horizon` or later and are not any more: a reader may be in them.
    async fn removed_since(&self, key: &Key, snapshot: &Snapshot, horizon: Timestamp) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        let Some(mut version) = snapshot.version else { return Ok(removed) };
        // Backwards, version by version, to the first that was there at the horizon.
        loop {
            let Some((actions, _)) = self.version(key, version).await? else {
                // Another program removed old versions: no reader of ours is in them.
                return Ok(removed);
            };
            // Who committed before the horizon replaced what was there before it.
            let is_before = committed_at(&actions).is_some_and(|micros| micros < horizon.micros());
            if is_before {
                return Ok(removed);
            }
            removed.extend(actions.into_iter().filter_map(removed_by));
            if version == 0 {
                return Ok(removed);
            }
            version -= 1;
        }
    }

    async fn raise_boundary(&self, key: &Key) -> Outcome<Arc<Snapshot>> {
        for _ in 0..TRIES_MAX {
            let base = match self.latest(key).await {
                Ok(base) => base,
                Err(error) => return Outcome::NotDone(error),
            };
            let change = Change { cover: base.cover.clone(), ..Change::default() };
            match self.commit_on(key, &base, &change, base.boundary + 1).await {
                Outcome::Done(Committed::Done(snapshot)) => return Outcome::Done(snapshot),
                Outcome::Done(Committed::Conflict(_)) => {}
                Outcome::NotDone(error) => return Outcome::NotDone(error),
                Outcome::Unknown(error) => return Outcome::Unknown(error),
            }
        }
        Outcome::NotDone(Error::unavailable("others commit at the same time"))
    }
}

/// What `snapshot` needs, the log aside.
fn live_paths(key: &Key, snapshot: &Snapshot) -> HashSet<Path> {
    let mut paths = HashSet::with_capacity(2 * snapshot.files.len() + 1);
    for file in &snapshot.files {
        paths.insert(key.path(&file.path));
        paths.insert(key.path(&sums_name(&file.path)));
    }
    paths.insert(key.path(&document_name(snapshot.inner.number)));
    paths
}

/// What stands at `relative` of a table whose cover document is `number`; none for what is not ours to delete.
fn kind_of(relative: &str, number: i64) -> Option<Kind> {
    if relative.starts_with("day=") && boundary_of(relative).is_some() {
        return Some(Kind::File);
    }
    if relative.starts_with("_fineo/sums/") {
        return Some(Kind::Sums);
    }
    let document: i64 = relative.strip_prefix("_fineo/cover/")?.strip_suffix(".json")?.parse().ok()?;
    // A higher one may be that of a commit on its way.
    (document >> 32 <= number >> 32).then_some(Kind::Document)
}

/// When a version was committed, in microseconds.
fn committed_at(actions: &[Action]) -> Option<i64> {
    actions.iter().find_map(|action| match action {
        Action::CommitInfo(info) => info.timestamp.map(|millis| millis.saturating_mul(1000)),
        Action::Add(_)
        | Action::Remove(_)
        | Action::Metadata(_)
        | Action::Protocol(_)
        | Action::Cdc(_)
        | Action::Txn(_)
        | Action::DomainMetadata(_) => None,
    })
}

fn removed_by(action: Action) -> Option<String> {
    match action {
        Action::Remove(remove) => Some(remove.path),
        Action::Add(_)
        | Action::CommitInfo(_)
        | Action::Metadata(_)
        | Action::Protocol(_)
        | Action::Cdc(_)
        | Action::Txn(_)
        | Action::DomainMetadata(_) => None,
    }
}

pub(super) fn relative_of(root: &Path, path: &Path) -> Option<String> {
    let parts: Vec<String> = path.prefix_match(root)?.map(|part| part.as_ref().to_owned()).collect();
    Some(parts.join("/"))
}
