//! A schema repository in one DynamoDB table: every compare-and-append is one transaction.
//!
//! A subject's *head* item says where it stands and carries the body of its latest version. A subject that keeps its
//! history has an item per version beside it. Bodies too large for an item stand in parts of their own, which are
//! written first and named by the head: what no head names does not exist.

mod append;
mod body;
mod item;
mod tried;

use std::{
    collections::HashSet,
    fmt,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use fineo_core::{
    Durability, Error, Outcome, Result, SchemaRepo, TenantId, Timestamp,
    repo::{Compared, Keep, RepoCapabilities, Subject, Version, Versioned, Write},
};

use crate::dynamo::{Query, Table, text, text_of};
use item::Head;
pub(crate) use item::{NAME, OWNER};

const BODY_BYTES_MAX: usize = 16 << 20;
/// Each takes up to three items of a transaction: head, version, tenant.
const WRITES_MAX: usize = 33;

/// A [`SchemaRepo`] in a DynamoDB table.
pub struct DynamoRepo {
    table: Table,
    /// Tenants that are known to be listed.
    tenants: Mutex<HashSet<TenantId>>,
}

impl DynamoRepo {
    pub(crate) fn new(table: Table) -> Self {
        Self { table, tenants: Mutex::default() }
    }

    fn is_listed(&self, tenant: &TenantId) -> bool {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).contains(tenant)
    }

    fn listed(&self, writes: &[Write]) {
        let owners = writes.iter().filter(|write| write.body.is_some()).filter_map(|write| write.subject.owner());
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).extend(owners.cloned());
    }

    async fn head(&self, subject: &Subject) -> Result<Option<Head>> {
        let found = self.table.item(item::head_key(subject)).await?;
        found.map(|found| Head::read(&found)).transpose().map_err(|error| error.with("subject", subject))
    }
}

#[async_trait]
impl SchemaRepo for DynamoRepo {
    fn capabilities(&self) -> RepoCapabilities {
        RepoCapabilities { durability: Durability::ZoneLoss, body_bytes_max: BODY_BYTES_MAX, writes_max: WRITES_MAX }
    }

    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        let mut backoff = self.table.backoff();
        loop {
            let Some(head) = self.head(subject).await? else { return Ok(None) };
            let body = self.body(&head.body).await;
            let error = match body {
                Ok(body) => {
                    let (version, written_at) = (head.version, head.written_at);
                    return Ok(Some(Versioned { version, written_at, body }));
                }
                Err(error) => error.with("subject", subject),
            };
            // The parts go when a later version takes over: then the head has moved on.
            let has_moved = self.head(subject).await?.is_some_and(|now| now.nonce != head.nonce);
            if !has_moved || !backoff.wait().await {
                return Err(error);
            }
        }
    }

    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        if count_max == 0 {
            return Ok(Vec::new());
        }
        match subject.keep() {
            Keep::Latest => {
                let latest = self.latest(subject).await?;
                Ok(latest.into_iter().filter(|latest| latest.version >= first).collect())
            }
            Keep::History => self.versions(subject, first, count_max).await,
        }
    }

    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared> {
        if let Err(error) = self.capabilities().check(&writes) {
            return Outcome::NotDone(error);
        }
        if writes.is_empty() {
            return Outcome::Done(Compared::Written);
        }
        self.compare_and_append(&writes, now).await
    }

    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        let mut query = Query {
            condition: "#owner = :owner".to_owned(),
            projection: Some("#name, #keep".to_owned()),
            ..Query::default()
        };
        query.names.insert("#owner".to_owned(), OWNER.to_owned());
        query.names.insert("#name".to_owned(), NAME.to_owned());
        query.names.insert("#keep".to_owned(), item::KEEP.to_owned());
        query.values.insert(":owner".to_owned(), text(item::owner_key(owner)));
        if !prefix.is_empty() {
            query.condition.push_str(" AND begins_with(#name, :prefix)");
            query.values.insert(":prefix".to_owned(), text(prefix));
        }
        let found = self.table.all(&query, usize::MAX).await?;
        let mut subjects = Vec::with_capacity(found.len());
        for found in &found {
            let (name, keep) = (text_of(found, NAME)?, item::keep_of(found)?);
            // An emulator compares beginnings without regard to case.
            if name.starts_with(prefix) {
                subjects.push(match owner {
                    Some(tenant) => Subject::tenant(tenant, name, keep)?,
                    None => Subject::system(name, keep)?,
                });
            }
        }
        Ok(subjects)
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let mut query = Query { condition: "#owner = :owner".to_owned(), ..Query::default() };
        query.names.insert("#owner".to_owned(), OWNER.to_owned());
        query.values.insert(":owner".to_owned(), text(item::TENANTS));
        let found = self.table.all(&query, usize::MAX).await?;
        found.iter().map(|found| TenantId::new(text_of(found, NAME)?)).collect()
    }
}

impl DynamoRepo {
    async fn versions(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        let mut query = Query {
            condition: "#owner = :owner AND #name >= :first".to_owned(),
            limit: Some(i32::try_from(count_max).unwrap_or(i32::MAX)),
            ..Query::default()
        };
        query.names.insert("#owner".to_owned(), OWNER.to_owned());
        query.names.insert("#name".to_owned(), NAME.to_owned());
        query.values.insert(":owner".to_owned(), text(item::versions_key(subject)));
        query.values.insert(":first".to_owned(), text(item::version_name(first)));
        let mut versions = Vec::new();
        for found in self.table.all(&query, count_max).await? {
            let head = Head::read(&found).map_err(|error| error.with("subject", subject))?;
            let body = self.body(&head.body).await.map_err(|error: Error| error.with("subject", subject))?;
            versions.push(Versioned { version: head.version, written_at: head.written_at, body });
        }
        Ok(versions)
    }
}

impl fmt::Display for DynamoRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DynamoDB repository {}", self.table.name)
    }
}

impl fmt::Debug for DynamoRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoRepo").field("table", &self.table.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
