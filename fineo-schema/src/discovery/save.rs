//! Saves trackers, many with one append: thousands of tenants cost few transactions.

use fineo_core::{
    Error, ErrorKind, Outcome, Result, ShardId,
    repo::{Compared, Write},
};
use futures::{StreamExt, stream};

use super::{
    Discovery,
    saved::{self, Draft, Key},
    tracker::Tracker,
};

/// How often a save is tried anew after somebody else saved.
const SAVES_MAX: usize = 3;
/// How many trackers are saved at a time, each by itself, when others were faster with one of them.
const SAVES_AT_ONCE: usize = 64;
/// The most bytes that one append saves of several trackers.
const JOINT_BYTES_MAX: usize = 8 << 20;

/// Drafts that are written together. Let go before they were, also because nobody waits any more, they are noted as unsaved.
struct Joint<'a> {
    discovery: &'a Discovery,
    drafts: Vec<Draft>,
    writes: usize,
    bytes: usize,
}

impl<'a> Joint<'a> {
    fn new(discovery: &'a Discovery) -> Self {
        Self { discovery, drafts: Vec::new(), writes: 0, bytes: 0 }
    }

    /// Whether one append takes `draft` too. What is more than one takes goes alone.
    fn has_room(&self, draft: &Draft, writes_max: usize) -> bool {
        let is_within =
            || self.writes + draft.writes.len() <= writes_max && self.bytes + draft.bytes() <= JOINT_BYTES_MAX;
        self.drafts.is_empty() || is_within()
    }

    fn push(&mut self, draft: Draft) {
        self.writes += draft.writes.len();
        self.bytes += draft.bytes();
        self.drafts.push(draft);
    }

    fn note(&mut self, note: fn(&mut Tracker, &Draft)) {
        let drafts = std::mem::take(&mut self.drafts);
        let mut tenants = self.discovery.tenants();
        for draft in drafts {
            let trackers = tenants.get_mut(&draft.key.tenant);
            if let Some(tracker) = trackers.and_then(|trackers| trackers.get_mut(&draft.key)) {
                note(tracker, &draft);
            }
        }
    }
}

/// Whether a failed append may be made without what it met.
fn is_of_one(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid)
}

impl Drop for Joint<'_> {
    fn drop(&mut self) {
        self.note(saved::note_unsaved);
    }
}

impl Discovery {
    /// Saves what changed by rows of `shard`, with the positions that it counts. Only who works on the shard may save it: of two
    /// who do so at once, one would save positions whose names the other has not saved yet.
    ///
    /// # Errors
    ///
    /// A failure of the repository; what was not saved is saved the next time. Where it is of one metric's names alone, such as
    /// damage, those of all others are saved.
    pub async fn save(&self, shard: &ShardId) -> Result<()> {
        let writes_max = self.0.repo.capabilities().writes_max;
        let mut joint = Joint::new(self);
        let mut saved = Ok(());
        for key in self.changed(shard) {
            let Some(draft) = self.draft(&key)? else { continue };
            let is_full = !joint.has_room(&draft, writes_max);
            let full = is_full.then(|| std::mem::replace(&mut joint, Joint::new(self)));
            joint.push(draft);
            if let Some(full) = full {
                match self.save_joint(full).await {
                    Err(error) if is_of_one(&error) => saved = saved.and(Err(error)),
                    of_all => of_all?,
                }
            }
        }
        saved.and(self.save_joint(joint).await)
    }

    async fn save_joint(&self, joint: Joint<'_>) -> Result<()> {
        let keys: Vec<Key> = joint.drafts.iter().map(|draft| draft.key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        match self.write(joint).await {
            Ok(true) => return Ok(()),
            // Somebody else saved one of them, or an earlier save of ours was thought lost.
            Ok(false) => {}
            Err(error) if keys.len() > 1 && is_of_one(&error) => {}
            Err(error) => return Err(error),
        }
        // That holds up none of the others.
        let saves = stream::iter(keys).map(|key| async move { self.save_one(&key).await });
        let saved: Vec<Result<()>> = saves.buffer_unordered(SAVES_AT_ONCE).collect().await;
        saved.into_iter().collect()
    }

    async fn save_one(&self, key: &Key) -> Result<()> {
        for _ in 0..SAVES_MAX {
            let Some(draft) = self.draft(key)? else { return Ok(()) };
            let chunks = draft.chunks.clone();
            let mut joint = Joint::new(self);
            joint.push(draft);
            if self.write(joint).await? {
                return Ok(());
            }
            self.catch_up(key, &chunks).await?;
        }
        Err(Error::unavailable("somebody else keeps saving the names of a metric").with("metric", &key.metric))
    }

    /// Takes in what stands where a draft with `chunks` was to stand.
    async fn catch_up(&self, key: &Key, chunks: &[usize]) -> Result<()> {
        if self.reload(key).await? {
            return Ok(());
        }
        // The head is as it was: a draft that went in parts was broken off between them. What its chunks count no head says, so
        // they are written again, behind where they stand.
        let versions = saved::chunk_versions(&*self.0.repo, key, chunks).await?;
        if let Some(tracker) = self.tenants().get_mut(&key.tenant).and_then(|trackers| trackers.get_mut(key)) {
            versions.into_iter().for_each(|(number, version)| saved::note_chunk(tracker, number, version));
        }
        Ok(())
    }

    fn changed(&self, shard: &ShardId) -> Vec<Key> {
        let tenants = self.tenants();
        let changed = tenants.iter().flat_map(|(tenant, trackers)| trackers.changed(tenant));
        changed.filter(|key| key.shard == *shard).collect()
    }

    fn draft(&self, key: &Key) -> Result<Option<Draft>> {
        match self.tenants().get_mut(&key.tenant).and_then(|trackers| trackers.get_mut(key)) {
            Some(tracker) => saved::draft(key, tracker),
            None => Ok(None),
        }
    }

    /// Whether the drafts were written.
    async fn write(&self, mut joint: Joint<'_>) -> Result<bool> {
        let writes: Vec<Write> = joint.drafts.iter().flat_map(|draft| draft.writes.iter().cloned()).collect();
        // One draft may have more than one append takes: then its head goes with the last of them.
        for part in writes.chunks(self.0.repo.capabilities().writes_max.max(1)) {
            match self.0.repo.append(part.to_vec(), self.0.clock.now()).await {
                Outcome::Done(Compared::Written) => {}
                Outcome::Done(Compared::Conflict { .. }) => return Ok(false),
                Outcome::NotDone(error) | Outcome::Unknown(error) => return Err(error),
            }
        }
        joint.note(saved::note_saved);
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
