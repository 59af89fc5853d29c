//! Which names of a metric earlier runs met: what is not among them is news.

use std::{collections::BTreeSet, sync::Arc};

use fineo_core::{
    Error, MetricId, Result, SchemaRepo, TenantId, Timestamp,
    repo::{Compared, Keep, Subject, Version, Write},
};
use fineo_schema::Metric;

use crate::{names::Names, profile::Profile, report::NewName};

/// More names than this are not kept; further ones are no news.
const NAMES_MAX: usize = 10_000;

/// The names that earlier runs met.
#[derive(Debug)]
pub(crate) struct KnownNames {
    subject: Subject,
    version: Version,
    names: BTreeSet<Arc<str>>,
}

impl KnownNames {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or a failure of the repository.
    pub(crate) async fn read(
        repo: &dyn SchemaRepo,
        pipeline: &str,
        tenant: &TenantId,
        metric: &MetricId,
    ) -> Result<Self> {
        let subject = Subject::tenant(tenant, &format!("compaction/{pipeline}/{metric}/names"), Keep::Latest)?;
        let Some(found) = repo.latest(&subject).await? else {
            return Ok(Self { subject, version: Version::NONE, names: BTreeSet::new() });
        };
        let names = serde_json::from_slice(&found.body).map_err(|source| {
            Error::corrupt("known names cannot be read").with("subject", &subject).with_source(source)
        })?;
        Ok(Self { subject, version: found.version, names })
    }

    /// What is new, the most frequent first; it counts as known from now on.
    pub(crate) fn news(&mut self, names: &Names, profile: &Profile, metric: Option<&Metric>) -> Vec<NewName> {
        let mut news = Vec::new();
        for (name, found) in names.iter().zip(&profile.names) {
            if found.cells == 0 || self.names.len() >= NAMES_MAX || !self.names.insert(Arc::clone(name)) {
                continue;
            }
            news.push(NewName {
                name: Arc::clone(name),
                is_declared: metric.is_some_and(|metric| metric.slot(name).is_some()),
                value_type: found.narrowest().to_string(),
                records: found.cells,
                of_records: profile.records,
            });
        }
        news.sort_by(|one, other| other.records.cmp(&one.records).then_with(|| one.name.cmp(&other.name)));
        news
    }

    /// Counts `told` as known from now on.
    pub(crate) fn add<'n>(&mut self, told: impl Iterator<Item = &'n NewName>) {
        let room = NAMES_MAX.saturating_sub(self.names.len());
        self.names.extend(told.take(room).map(|new| Arc::clone(&new.name)));
    }

    /// Keeps them. Somebody else's are no worse: what is lost so is told again.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub(crate) async fn write(&self, repo: &dyn SchemaRepo, now: Timestamp) -> Result<()> {
        let body = serde_json::to_vec(&self.names).expect("names are plain data");
        let write = Write { subject: self.subject.clone(), expected: self.version, body: Some(body.into()) };
        match repo.append(vec![write], now).await.into_result()? {
            Compared::Written | Compared::Conflict { .. } => Ok(()),
        }
    }
}
