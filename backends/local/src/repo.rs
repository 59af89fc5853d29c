//! The schema repository on redb: one file, appends in durable transactions.

mod group;
mod key;
mod queue;
mod recent;
mod value;

pub(crate) mod database;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use fineo_core::{
    Error, ErrorKind, Outcome, Result, SchemaRepo, TenantId, Timestamp,
    repo::{Compared, Keep, RepoCapabilities, Subject, Version, Versioned, Write},
};
use redb::TableDefinition;
use tokio::sync::oneshot;

use self::database::SharedDatabase;
use crate::{failure::database_error, root::Root};
use group::Turn;
use queue::{Queue, Request};
use recent::Recent;

/// Subject to its latest version.
const LATEST: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("latest");
/// Subject and version to that version; of subjects that keep their history.
const HISTORY: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("history");

const BODY_BYTES_MAX: usize = 16 << 20;
const WRITES_MAX: usize = 10_000;

/// The repository of a directory.
#[derive(Debug)]
pub(crate) struct LocalRepo {
    shared: Arc<Shared>,
}

struct Shared {
    root: Arc<Root>,
    database: Arc<SharedDatabase>,
    queue: Queue,
    recent: Recent,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("root", &self.root.path).finish_non_exhaustive()
    }
}

impl LocalRepo {
    /// The repository in `database`.
    pub(crate) fn open(root: &Arc<Root>, database: &Arc<SharedDatabase>) -> Result<Self> {
        let transaction = database.begin_write()?;
        transaction.open_table(LATEST).map_err(database_error)?;
        transaction.open_table(HISTORY).map_err(database_error)?;
        transaction.commit().map_err(database_error)?;
        Ok(Self {
            shared: Arc::new(Shared {
                root: Arc::clone(root),
                database: Arc::clone(database),
                queue: Queue::default(),
                recent: Recent::default(),
            }),
        })
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.unwrap_or_else(|error| {
            let (kind, message) = match error.is_panic() {
                true => (ErrorKind::Corrupt, "the repository is damaged"),
                false => (ErrorKind::Cancelled, "the work was cut off"),
            };
            Err(Error::new(kind, message).with_source(error).and_may_have_applied())
        })
    }
}

impl Shared {
    fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        let since = self.recent.since();
        let latest = self.read_latest(subject)?;
        self.recent.keep(subject, latest.as_ref(), since);
        Ok(latest)
    }

    fn read_latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(LATEST).map_err(database_error)?;
        let found = table.get(&*key::of(subject)).map_err(database_error)?;
        found.map(|found| value::decode(found.value(), subject)).transpose()
    }

    fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        match subject.keep() {
            Keep::Latest => {
                let latest = self.latest(subject)?;
                Ok(latest.into_iter().filter(|latest| latest.version >= first).take(count_max).collect())
            }
            Keep::History => {
                let transaction = self.database.begin_read()?;
                let table = transaction.open_table(HISTORY).map_err(database_error)?;
                let (from, to) = (key::version(subject, first), key::version(subject, Version(u64::MAX)));
                let mut versions = Vec::new();
                for found in table.range(&*from..=&*to).map_err(database_error)?.take(count_max) {
                    let (_, found) = found.map_err(database_error)?;
                    versions.push(value::decode(found.value(), subject)?);
                }
                Ok(versions)
            }
        }
    }

    fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(LATEST).map_err(database_error)?;
        let from = key::prefix(owner, prefix);
        let mut subjects = Vec::new();
        for found in table.range(&*from..).map_err(database_error)? {
            let (found, _) = found.map_err(database_error)?;
            if !found.value().starts_with(&from) {
                break;
            }
            subjects.push(key::subject(found.value())?);
        }
        Ok(subjects)
    }

    fn tenants(&self) -> Result<Vec<TenantId>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(LATEST).map_err(database_error)?;
        let mut tenants = Vec::new();
        let mut from = key::first_of_tenants();
        while let Some(found) = table.range(&*from..).map_err(database_error)?.next() {
            let (found, _) = found.map_err(database_error)?;
            let subject = key::subject(found.value())?;
            let Some(tenant) = subject.owner() else { break };
            from = key::behind_tenant(tenant);
            tenants.push(tenant.clone());
        }
        Ok(tenants)
    }
}

impl fmt::Display for LocalRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local repository in {}", self.shared.root.path.display())
    }
}

#[async_trait]
impl SchemaRepo for LocalRepo {
    fn capabilities(&self) -> RepoCapabilities {
        RepoCapabilities {
            durability: self.shared.root.durability(),
            body_bytes_max: BODY_BYTES_MAX,
            writes_max: WRITES_MAX,
        }
    }

    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        if let Some(known) = self.shared.recent.find(subject) {
            return Ok(known);
        }
        let subject = subject.clone();
        self.blocking(move |shared| shared.latest(&subject)).await
    }

    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        let subject = subject.clone();
        self.blocking(move |shared| shared.history(&subject, first, count_max)).await
    }

    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared> {
        if let Err(error) = self.capabilities().check(&writes) {
            return Outcome::NotDone(error);
        }
        let (answer, answered) = oneshot::channel();
        if self.shared.queue.push(Request { writes, now, answer }) {
            // It works for others too, and goes on when its caller does not wait any more.
            let turn = Turn::new(&self.shared);
            tokio::task::spawn_blocking(move || turn.work());
        }
        match answered.await {
            Ok(answer) => answer.into(),
            Err(_) => Outcome::Unknown(Error::new(ErrorKind::Cancelled, "the work was cut off").and_may_have_applied()),
        }
    }

    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        let (owner, prefix) = (owner.cloned(), prefix.to_owned());
        self.blocking(move |shared| shared.subjects(owner.as_ref(), &prefix)).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        self.blocking(Shared::tenants).await
    }
}
