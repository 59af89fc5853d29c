//! The subjects of a repository with their history, as lines of JSON.

use bytes::Bytes;
use fineo_core::{
    Error, Result, SchemaRepo, TenantId, Timestamp,
    repo::{Compared, Keep, Subject, Version, Write},
};
use serde::{Deserialize, Serialize};

use super::LEASES;

/// How many versions are read at once.
const VERSIONS_AT_ONCE: usize = 256;
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

/// Every subject that outlives its workers, and the tenants that have one: a mistyped name leaves a lease, and is none.
pub(super) async fn read(repo: &dyn SchemaRepo) -> Result<(Vec<SavedSubject>, Vec<TenantId>)> {
    let owners = repo.tenants().await?;
    let (mut saved, mut tenants) = (Vec::new(), Vec::new());
    for owner in std::iter::once(None).chain(owners.iter().map(Some)) {
        let before = saved.len();
        for subject in repo.subjects(owner, "").await? {
            let name = subject.name();
            let is_progress = name.strip_prefix(PROGRESS).is_some_and(|rest| !rest.contains('/'));
            if name.starts_with(LEASES) || is_progress {
                continue;
            }
            saved.push(saved_of(repo, owner, &subject).await?);
        }
        tenants.extend(owner.filter(|_| saved.len() > before).cloned());
    }
    Ok((saved, tenants))
}

/// Reads those of nobody whose names begin with `prefix` anew, into `saved`.
pub(super) async fn read_again(repo: &dyn SchemaRepo, prefix: &str, saved: &mut Vec<SavedSubject>) -> Result<()> {
    saved.retain(|saved| saved.tenant.is_some() || !saved.name.starts_with(prefix));
    for subject in repo.subjects(None, prefix).await? {
        saved.push(saved_of(repo, None, &subject).await?);
    }
    Ok(())
}

async fn saved_of(repo: &dyn SchemaRepo, owner: Option<&TenantId>, subject: &Subject) -> Result<SavedSubject> {
    Ok(SavedSubject {
        tenant: owner.map(ToString::to_string),
        name: subject.name().to_owned(),
        is_history: subject.keep() == Keep::History,
        versions: versions(repo, subject).await?,
    })
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
