//! The cases of the repository contract.

pub(super) mod compare;
pub(super) mod read;

use std::sync::Arc;

use bytes::Bytes;
use fineo_core::{
    Result, SchemaRepo,
    repo::{Keep, Subject, Version, Write},
};

use crate::support::tenant;

fn subject(name: &str, keep: Keep, owner: Option<&str>) -> Subject {
    let subject = match owner {
        Some(owner) => Subject::tenant(&tenant(owner), name, keep),
        None => Subject::system(name, keep),
    };
    subject.expect("the cases name subjects correctly")
}

/// A subject of the system that keeps its history.
fn history_subject(name: &str) -> Subject {
    subject(name, Keep::History, None)
}

/// A subject of `acme` that keeps its latest version.
fn latest_subject(name: &str) -> Subject {
    subject(name, Keep::Latest, Some("acme"))
}

fn write(subject: &Subject, expected: u64, body: &str) -> Write {
    let body = Some(Bytes::from(body.to_owned()));
    Write { subject: subject.clone(), expected: Version(expected), body }
}

async fn standing(repo: &Arc<dyn SchemaRepo>, subject: &Subject) -> Result<Version> {
    Ok(repo.latest(subject).await?.map_or(Version::NONE, |latest| latest.version))
}

async fn body(repo: &Arc<dyn SchemaRepo>, subject: &Subject) -> Result<Option<Bytes>> {
    Ok(repo.latest(subject).await?.map(|latest| latest.body))
}
