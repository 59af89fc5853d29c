//! A schema repository in memory: one map under one lock, so that compare-and-append is plainly atomic.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use fineo_core::{
    Durability, Error, Outcome, Result, SchemaRepo, TenantId, Timestamp,
    repo::{Compared, Keep, RepoCapabilities, Subject, Version, Versioned, Write},
};

const BODY_BYTES_MAX: usize = 16 << 20;
const WRITES_MAX: usize = 1024;

/// A [`SchemaRepo`] in memory. Clones share its subjects.
#[derive(Clone, Default)]
pub struct MemoryRepo(Arc<Mutex<Subjects>>);

/// The kept versions by owner and name, the latest at the end.
type Subjects = BTreeMap<Option<TenantId>, BTreeMap<Arc<str>, Kept>>;

struct Kept {
    keep: Keep,
    versions: Vec<Versioned>,
}

impl MemoryRepo {
    /// An empty repository.
    pub fn new() -> Self {
        Self::default()
    }

    fn subjects(&self) -> MutexGuard<'_, Subjects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kept<'a>(subjects: &'a Subjects, subject: &Subject) -> Option<&'a Kept> {
    subjects.get(&subject.owner().cloned())?.get(subject.name())
}

fn current(subjects: &Subjects, subject: &Subject) -> Version {
    let last = kept(subjects, subject).and_then(|kept| kept.versions.last());
    last.map_or(Version::NONE, |last| last.version)
}

fn check_keep(subjects: &Subjects, writes: &[Write]) -> Result<()> {
    let mut written = writes.iter().map(|write| &write.subject);
    match written.find(|subject| kept(subjects, subject).is_some_and(|kept| kept.keep != subject.keep())) {
        Some(subject) => Err(Error::invalid("the subject keeps its versions otherwise").with("subject", subject)),
        None => Ok(()),
    }
}

fn first_conflict(subjects: &Subjects, writes: &[Write]) -> Option<Compared> {
    for write in writes {
        let current = current(subjects, &write.subject);
        if current != write.expected {
            return Some(Compared::Conflict { subject: write.subject.clone(), current });
        }
    }
    None
}

fn apply(subjects: &mut Subjects, write: Write, now: Timestamp) {
    let Some(body) = write.body else { return };
    let owned = subjects.entry(write.subject.owner().cloned()).or_default();
    let keep = write.subject.keep();
    let kept = owned.entry(write.subject.name().into()).or_insert_with(|| Kept { keep, versions: Vec::new() });
    match keep {
        Keep::History => {}
        Keep::Latest => kept.versions.clear(),
    }
    kept.versions.push(Versioned { version: write.expected.next(), written_at: now, body });
}

#[async_trait]
impl SchemaRepo for MemoryRepo {
    fn capabilities(&self) -> RepoCapabilities {
        RepoCapabilities { durability: Durability::Volatile, body_bytes_max: BODY_BYTES_MAX, writes_max: WRITES_MAX }
    }

    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        Ok(kept(&self.subjects(), subject).and_then(|kept| kept.versions.last().cloned()))
    }

    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        let subjects = self.subjects();
        let versions = kept(&subjects, subject).map_or(&[][..], |kept| &kept.versions);
        Ok(versions.iter().filter(|versioned| versioned.version >= first).take(count_max).cloned().collect())
    }

    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared> {
        let mut subjects = self.subjects();
        if let Err(error) = self.capabilities().check(&writes).and_then(|()| check_keep(&subjects, &writes)) {
            return Outcome::NotDone(error);
        }
        if let Some(conflict) = first_conflict(&subjects, &writes) {
            return Outcome::Done(conflict);
        }
        for write in writes {
            apply(&mut subjects, write, now);
        }
        Outcome::Done(Compared::Written)
    }

    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        let subjects = self.subjects();
        let Some(owned) = subjects.get(&owner.cloned()) else { return Ok(Vec::new()) };
        owned
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, kept)| match owner {
                Some(tenant) => Subject::tenant(tenant, name, kept.keep),
                None => Subject::system(name, kept.keep),
            })
            .collect()
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        Ok(self.subjects().keys().flatten().cloned().collect())
    }
}

impl fmt::Display for MemoryRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory repository")
    }
}

impl fmt::Debug for MemoryRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryRepo")
    }
}
