//! The subjects of a repository with their history, as lines of JSON.

use std::collections::BTreeSet;

use bytes::Bytes;
use fineo_core::{
    Error, Result, SchemaRepo, TenantId, Timestamp,
    repo::{Compared, Keep, Subject, Version, Write},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

/// How many versions of a subject are read at once, and how many subjects at a time.
const VERSIONS_AT_ONCE: usize = 256;
const READS_AT_ONCE: usize = 16;
/// So often subjects that are written together are read anew when they changed meanwhile.
const TRIES_MAX: u32 = 32;
/// The names of the subjects that say who works just now.
const LEASES: &str = "lease/";
/// Of those that a tenant's schema is made of, and of those that say which names events bore.
const SCHEMA: &str = "schema/";
const NAMES: &str = "discovery/";
/// The names of the subjects that say how far compaction is: the tables tell, and it begins anew.
const PROGRESS: &str = "compaction/";

/// A subject with its versions.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedSubject {
    tenant: Option<String>,
    name: String,
    is_history: bool,
    /// When each was written, in microseconds, and its body, hexadecimal.
    versions: Vec<(i64, String)>,
}

/// Subjects that are written together: whenever one of them is, so is `first`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    first: Subject,
    prefix: String,
}

impl Group {
    /// A tenant's schema: its metrics and the receipts of its changes.
    fn of_schema(tenant: &TenantId) -> Result<Self> {
        let first = Subject::tenant(tenant, &format!("{SCHEMA}tenant"), Keep::History)?;
        Ok(Self { first, prefix: SCHEMA.to_owned() })
    }

    /// The names that were counted of one metric by one shard, of which `subject` has some.
    fn of_names(tenant: &TenantId, subject: &Subject) -> Result<Self> {
        let name = subject.name();
        let end = name.match_indices('/').nth(2).map_or(name.len(), |(end, _)| end);
        let prefix = name[..end].to_owned();
        Ok(Self { first: Subject::tenant(tenant, &prefix, Keep::Latest)?, prefix })
    }

    fn has(&self, subject: &Subject) -> bool {
        let rest = subject.name().strip_prefix(&*self.prefix);
        rest.is_some_and(|rest| self.prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
    }

    /// Reads them as they stood at one instant.
    async fn read(&self, repo: &dyn SchemaRepo) -> Result<Vec<SavedSubject>> {
        let owner = self.first.owner();
        for _ in 0..TRIES_MAX {
            let before = version(repo, &self.first).await?;
            let mut subjects = repo.subjects(owner, &self.prefix).await?;
            subjects.retain(|subject| self.has(subject));
            let saved = saved_all(repo, &subjects).await?;
            if version(repo, &self.first).await? == before {
                return Ok(saved);
            }
        }
        let error = Error::unavailable("subjects change faster than they can be read: try again");
        Err(error.with("subject", &self.first))
    }
}

async fn version(repo: &dyn SchemaRepo, subject: &Subject) -> Result<Version> {
    Ok(repo.latest(subject).await?.map_or(Version::NONE, |found| found.version))
}

/// Whether a subject outlives its workers.
fn is_kept(subject: &Subject) -> bool {
    let name = subject.name();
    let is_progress = name.strip_prefix(PROGRESS).is_some_and(|rest| !rest.contains('/'));
    !name.starts_with(LEASES) && !is_progress
}

/// Every tenant's subjects but those of its schema and of the names that were counted.
pub(super) async fn read_of_tenants(repo: &dyn SchemaRepo) -> Result<Vec<SavedSubject>> {
    let mut saved = Vec::new();
    for tenant in repo.tenants().await? {
        let mut subjects = repo.subjects(Some(&tenant), "").await?;
        let is_another = |subject: &Subject| [SCHEMA, NAMES].iter().any(|prefix| subject.name().starts_with(prefix));
        subjects.retain(|subject| is_kept(subject) && !is_another(subject));
        saved.extend(saved_all(repo, &subjects).await?);
    }
    Ok(saved)
}

/// Every tenant's names, those of one metric and shard as they stood at one instant.
pub(super) async fn read_names(repo: &dyn SchemaRepo) -> Result<Vec<SavedSubject>> {
    let mut saved = Vec::new();
    for tenant in repo.tenants().await? {
        let subjects = repo.subjects(Some(&tenant), NAMES).await?;
        let groups: Result<BTreeSet<Group>> =
            subjects.iter().map(|subject| Group::of_names(&tenant, subject)).collect();
        let groups: Vec<Group> = groups?.into_iter().collect();
        let reads: Vec<_> = groups.iter().map(|group| group.read(repo)).collect();
        let read: Vec<_> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        saved.extend(read.into_iter().flatten());
    }
    Ok(saved)
}

/// The subjects that belong to nobody.
pub(super) async fn read_of_nobody(repo: &dyn SchemaRepo) -> Result<Vec<SavedSubject>> {
    let mut subjects = repo.subjects(None, "").await?;
    subjects.retain(is_kept);
    saved_all(repo, &subjects).await
}

/// Every tenant's schema, each as of one version.
pub(super) async fn read_schemas(repo: &dyn SchemaRepo) -> Result<Vec<SavedSubject>> {
    let mut saved = Vec::new();
    for tenant in repo.tenants().await? {
        saved.extend(Group::of_schema(&tenant)?.read(repo).await?);
    }
    Ok(saved)
}

/// Whose they are.
pub(super) fn owners(saved: &[SavedSubject]) -> Result<BTreeSet<TenantId>> {
    saved.iter().filter_map(|saved| saved.tenant.as_deref()).map(TenantId::new).collect()
}

/// Reads those of nobody whose names begin with `prefix` anew, into `saved`.
pub(super) async fn read_again(repo: &dyn SchemaRepo, prefix: &str, saved: &mut Vec<SavedSubject>) -> Result<()> {
    saved.retain(|saved| saved.tenant.is_some() || !saved.name.starts_with(prefix));
    saved.extend(saved_all(repo, &repo.subjects(None, prefix).await?).await?);
    Ok(())
}

async fn saved_all(repo: &dyn SchemaRepo, subjects: &[Subject]) -> Result<Vec<SavedSubject>> {
    let reads: Vec<_> = subjects.iter().map(|subject| saved_of(repo, subject)).collect();
    stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
}

async fn saved_of(repo: &dyn SchemaRepo, subject: &Subject) -> Result<SavedSubject> {
    Ok(SavedSubject {
        tenant: subject.owner().map(ToString::to_string),
        name: subject.name().to_owned(),
        is_history: subject.keep() == Keep::History,
        versions: versions(repo, subject).await?,
    })
}

impl SavedSubject {
    /// Its name and its last body, if it belongs to nobody.
    pub(super) fn of_nobody(&self) -> Option<Result<(&str, Bytes)>> {
        let (_, body) = self.versions.last().filter(|_| self.tenant.is_none())?;
        let body = bytes_of(body).ok_or_else(|| Error::internal("a subject was not saved as it is"));
        Some(body.map(|body| (&*self.name, body)))
    }
}

async fn versions(repo: &dyn SchemaRepo, subject: &Subject) -> Result<Vec<(i64, String)>> {
    let mut versions = Vec::new();
    let mut first = Version::NONE.next();
    loop {
        let found = repo.history(subject, first, VERSIONS_AT_ONCE).await?;
        let Some(last) = found.last() else { return Ok(versions) };
        first = last.version.next();
        versions.extend(found.iter().map(|version| (version.written_at.micros(), hexadecimal(&version.body))));
        if subject.keep() == Keep::Latest {
            return Ok(versions);
        }
    }
}

pub(super) fn to_bytes(subjects: &[SavedSubject]) -> Result<Bytes> {
    let mut out = Vec::new();
    for subject in subjects {
        serde_json::to_writer(&mut out, subject)
            .map_err(|source| Error::internal("a subject cannot be written").with_source(source))?;
        out.push(b'\n');
    }
    Ok(out.into())
}

/// Writes what [`to_bytes`] made into an empty repository; answers how many subjects there were.
pub(super) async fn restore(repo: &dyn SchemaRepo, bytes: &[u8]) -> Result<u64> {
    let mut count = 0;
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let damaged = || Error::corrupt("a subject of the backup cannot be read");
        let saved: SavedSubject = serde_json::from_slice(line).map_err(|source| damaged().with_source(source))?;
        let keep = if saved.is_history { Keep::History } else { Keep::Latest };
        let subject = match &saved.tenant {
            Some(tenant) => Subject::tenant(&TenantId::new(tenant)?, &saved.name, keep)?,
            None => Subject::system(&saved.name, keep)?,
        };
        let mut expected = Version::NONE;
        for (micros, body) in &saved.versions {
            let body = bytes_of(body).ok_or_else(damaged)?;
            let write = Write { subject: subject.clone(), expected, body: Some(body) };
            match repo.append(vec![write], Timestamp::from_micros(*micros)?).await.into_result()? {
                Compared::Written => expected = expected.next(),
                Compared::Conflict { subject, current } => {
                    let error = Error::invalid("the repository is not empty: restore into a new place");
                    return Err(error.with("subject", subject).with("version", current));
                }
            }
        }
        count += 1;
    }
    Ok(count)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(text: &str) -> Option<Bytes> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(|pair| if pair.len() == 2 { byte(pair) } else { None }).collect();
    bytes.map(Bytes::from)
}
