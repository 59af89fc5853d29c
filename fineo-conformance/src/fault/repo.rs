//! A repository behind faults.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use fineo_core::{
    Outcome, Result, SchemaRepo, TenantId, Timestamp,
    repo::{Compared, RepoCapabilities, Subject, Version, Versioned, Write},
};

use super::{Fault, Faults, Operation};

/// A [`SchemaRepo`] behind faults; without a fault as transparent as glass.
#[derive(Debug)]
pub struct FaultyRepo {
    inner: Arc<dyn SchemaRepo>,
    faults: Faults,
    // What `latest` answered last, for stale reads.
    answered: Mutex<BTreeMap<Subject, Option<Versioned>>>,
}

impl FaultyRepo {
    /// `inner` behind `faults`.
    pub fn new(inner: Arc<dyn SchemaRepo>, faults: &Faults) -> Self {
        Self { inner, faults: faults.clone(), answered: Mutex::default() }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SchemaRepo for FaultyRepo {
    fn capabilities(&self) -> RepoCapabilities {
        self.inner.capabilities()
    }

    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        let fault = self.faults.next(Operation::RepoLatest);
        let known = self.answered.lock().unwrap_or_else(PoisonError::into_inner).get(subject).cloned();
        if let (Some(Fault::Stale), Some(known)) = (fault, known) {
            return Ok(known);
        }
        let (inner, of) = (Arc::clone(&self.inner), subject.clone());
        let effect = async move { inner.latest(&of).await };
        let latest = self.faults.call((Operation::RepoLatest, fault), 1, effect).await?;
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(subject.clone(), latest.clone());
        Ok(latest)
    }

    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        let (inner, subject) = (Arc::clone(&self.inner), subject.clone());
        let fault = self.faults.next(Operation::RepoHistory);
        let effect = async move { inner.history(&subject, first, count_max).await };
        self.faults.call((Operation::RepoHistory, fault), 1, effect).await
    }

    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared> {
        let inner = Arc::clone(&self.inner);
        let fault = self.faults.next(Operation::RepoAppend);
        let effect = async move { inner.append(writes, now).await };
        self.faults.call((Operation::RepoAppend, fault), 1, effect).await
    }

    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        let (inner, owner, prefix) = (Arc::clone(&self.inner), owner.cloned(), prefix.to_owned());
        let fault = self.faults.next(Operation::RepoSubjects);
        let effect = async move {
            let mut subjects = inner.subjects(owner.as_ref(), &prefix).await?;
            if fault == Some(Fault::Stale) {
                subjects.pop();
            }
            Ok(subjects)
        };
        self.faults.call((Operation::RepoSubjects, fault), 1, effect).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let inner = Arc::clone(&self.inner);
        let fault = self.faults.next(Operation::RepoTenants);
        self.faults.call((Operation::RepoTenants, fault), 1, async move { inner.tenants().await }).await
    }
}

impl fmt::Display for FaultyRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}
