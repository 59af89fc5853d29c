//! The latest state of a table: from memory and the versions since, or by replaying the log.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use deltalake_core::{
    DeltaTable, DeltaTableError,
    kernel::Action,
    logstore::{LogStoreRef, StorageConfig, default_logstore, get_actions},
};
use fineo_core::{Cover, Error, MetricId, Result, TenantId, Timestamp};
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path, prefix::PrefixStore};
use url::Url;

use super::{Inner, Key};
use crate::{
    Snapshot,
    cover::{CoverDocument, digest},
    delta::{APPLICATION, LogState, TableMetadata, nonce_of},
    failure,
    snapshot::Inner as Hidden,
};

/// The most versions that are read one by one; beyond it the log is replayed with its checkpoint.
const VERSIONS_MAX: u64 = 64;
/// How long a snapshot in memory is believed to be followed by the next version in the log, and that there is no
/// table by a first one. Another program may remove old versions of the log, and with them the one that would be asked for.
const KNOWN_MICROS_MAX: i64 = 3600 * 1_000_000;

/// A snapshot in memory.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) read_at: Timestamp,
}

impl Inner {
    /// The latest committed state.
    pub(super) async fn latest(&self, key: &Key) -> Result<Arc<Snapshot>> {
        let now = self.clock.now();
        let known = self.snapshots.find(key);
        match known.filter(|known| now <= known.read_at.plus_micros(KNOWN_MICROS_MAX)) {
            Some(known) => self.refresh(key, known.snapshot).await,
            None => self.replay(key).await,
        }
    }

    /// `known` and what was committed since.
    async fn refresh(&self, key: &Key, known: Arc<Snapshot>) -> Result<Arc<Snapshot>> {
        let Some(mut version) = known.version else {
            return match self.get_if_there(&key.path(&log_name(0))).await? {
                Some(_) => self.replay(key).await,
                None => Ok(known),
            };
        };
        let mut state: Option<LogState> = None;
        while let Some((actions, _)) = self.version(key, version + 1).await? {
            let state = match &mut state {
                Some(state) => state,
                None => state.insert(LogState::of(&known)?),
            };
            version += 1;
            for action in &actions {
                state.apply(action).map_err(|error| error.with("path", key.path(&log_name(version))))?;
            }
            if version - known.version.unwrap_or(0) > VERSIONS_MAX {
                return self.replay(key).await;
            }
        }
        match state {
            None => Ok(known),
            Some(state) => self.snapshot_of(key, version, state).await,
        }
    }

    /// The actions and the nonce of one version of the log; none when there is no such version.
    pub(super) async fn version(&self, key: &Key, version: u64) -> Result<Option<(Vec<Action>, Option<Arc<str>>)>> {
        let path = key.path(&log_name(version));
        let Some(bytes) = self.get_if_there(&path).await? else { return Ok(None) };
        let actions = get_actions(version, &bytes).map_err(|source| failure::log(&path, source))?;
        let nonce = nonce_of(&actions);
        Ok(Some((actions, nonce)))
    }

    pub(super) async fn get_if_there(&self, path: &Path) -> Result<Option<Bytes>> {
        let answer = match self.objects.store.get(path).await {
            Ok(answer) => answer,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(failure::read(path, source)),
        };
        answer.bytes().await.map(Some).map_err(|source| failure::read(path, source))
    }

    /// Replays the log, from its last checkpoint on.
    async fn replay(&self, key: &Key) -> Result<Arc<Snapshot>> {
        // Before the log: what is raised while that is read, others have committed since.
        let (_, floor) = self.floor(key).await?;
        let folder = key.path("_delta_log");
        let first = self.objects.store.list(Some(&folder)).next().await;
        let snapshot = match first {
            None => Arc::new(Snapshot::empty(&key.tenant, &key.metric)),
            Some(Err(source)) => return Err(failure::read(&folder, source)),
            Some(Ok(_)) => {
                let (version, state) = self.replay_log(key).await?;
                self.snapshot_of(key, version, state).await?
            }
        };
        check_floor(&snapshot, &floor)?;
        match snapshot.version {
            Some(_) => Ok(snapshot),
            None => Ok(self.keep(key, (*snapshot).clone())),
        }
    }

    async fn replay_log(&self, key: &Key) -> Result<(u64, LogState)> {
        let folder = key.path("_delta_log");
        let failed = |source: DeltaTableError| failure::log(&folder, source);
        let log_store = self.log_store(key)?;
        let mut table = DeltaTable::new(Arc::clone(&log_store));
        table.load().await.map_err(failed)?;
        let replayed = table.snapshot().map_err(failed)?;
        let mut state = LogState { metadata: Some(TableMetadata::of(replayed.metadata())?), ..LogState::default() };
        state.set_protocol(replayed.protocol())?;
        for file in replayed.snapshot().try_log_data().map_err(failed)?.iter() {
            #[expect(deprecated, reason = "its replacement is for readers that stay with Arrow")]
            state.apply(&Action::Add(file.add_action())).map_err(|error| error.with("log", &folder))?;
        }
        state.number = replayed.transaction_version(&*log_store, APPLICATION).await.map_err(failed)?;
        Ok((replayed.version(), state))
    }

    /// What `deltalake` reads and writes the log through.
    pub(super) fn log_store(&self, key: &Key) -> Result<LogStoreRef> {
        let location = format!("memory:///{}/{}/", key.tenant, key.metric);
        let location = Url::parse(&location).map_err(|source| Error::internal("no URL").with_source(source))?;
        let root: Arc<dyn ObjectStore> = Arc::clone(&self.objects.store);
        let table = Arc::new(PrefixStore::new(Arc::clone(&root), key.root()));
        Ok(default_logstore(table, root, &location, &StorageConfig::default()))
    }

    /// The snapshot of a state of the log, checked against its cover document; kept in memory.
    async fn snapshot_of(&self, key: &Key, version: u64, state: LogState) -> Result<Arc<Snapshot>> {
        let number = state.number.ok_or_else(|| {
            Error::corrupt("no commit of Fineo in the log: another program made the table; move it elsewhere")
                .with("path", key.path("_delta_log"))
        })?;
        let path = key.path(&document_name(number));
        let Some(document) = self.get_if_there(&path).await? else {
            if self.version(key, version + 1).await?.is_some() {
                // While this was read somebody committed, and somebody collected garbage.
                return Box::pin(self.replay(key)).await;
            }
            let message = "a cover document is missing: restore the folder _fineo/cover from a copy";
            return Err(Error::corrupt(message).with("path", path));
        };
        let document = CoverDocument::from_bytes(&document).map_err(|error| error.with("path", &path))?;
        if document.tenant != key.tenant || document.metric != key.metric {
            // Whose it is instead is nobody's business here.
            return Err(Error::corrupt("a cover document belongs to another table").with("path", &path));
        }
        let snapshot = self.assemble(key, version, state, &document)?;
        if digest(&snapshot.files) != document.digest {
            let message = "the files of a table are not those that were committed: another program changed them, or its Delta \
                           log is damaged; restore the folder _delta_log from a copy";
            return Err(Error::corrupt(message).with("path", key.path("_delta_log")).with("version", version));
        }
        Ok(self.keep(key, snapshot))
    }

    /// The snapshot that the log and its document make.
    pub(super) fn assemble(
        &self,
        key: &Key,
        version: u64,
        state: LogState,
        document: &CoverDocument,
    ) -> Result<Snapshot> {
        let metadata = state.metadata.ok_or_else(|| Error::corrupt("the log of a table has no metadata"))?;
        let mut files: Vec<_> = state.files.into_values().collect();
        files.sort_unstable_by(|a, b| (a.day, &a.path).cmp(&(b.day, &b.path)));
        Ok(Snapshot {
            tenant: key.tenant.clone(),
            metric: key.metric.clone(),
            version: Some(version),
            cover: document.cover().clone(),
            files,
            generation: document.generation,
            columns: metadata.columns(),
            foreign_columns: metadata.foreign_columns(),
            boundary: document.boundary,
            nonce: Arc::clone(&document.nonce),
            inner: Hidden {
                number: state.number.unwrap_or_default(),
                digest: document.digest,
                metadata: metadata.to_json().into(),
                writer_version: state.writer_version,
            },
        })
    }

    /// Keeps `snapshot` in memory, unless a later one is there.
    pub(super) fn keep(&self, key: &Key, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        let known = Known { snapshot: Arc::clone(&snapshot), read_at: self.clock.now() };
        let stays = |kept: &Known| kept.snapshot.version > snapshot.version;
        self.snapshots.keep(key.clone(), known, snapshot.memory_bytes(), stays);
        snapshot
    }

    /// The tenants that have a folder.
    pub(super) async fn tenants(&self) -> Result<BTreeSet<TenantId>> {
        let root = Path::default();
        let listed = self.objects.store.list_with_delimiter(None).await;
        let listed = listed.map_err(|source| failure::read(&root, source))?;
        Ok(listed.common_prefixes.iter().filter_map(|prefix| TenantId::new(prefix.filename()?).ok()).collect())
    }

    /// The metrics of `tenant` that have a log.
    pub(super) async fn metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>> {
        let folder = Path::from(tenant.as_str());
        let listed = self.objects.store.list_with_delimiter(Some(&folder)).await;
        let listed = listed.map_err(|source| failure::read(&folder, source))?;
        let mut metrics = Vec::new();
        for prefix in listed.common_prefixes {
            let Some(Ok(metric)) = prefix.filename().map(MetricId::new) else { continue };
            let log = Key::new(tenant, &metric).path("_delta_log");
            match self.objects.store.list(Some(&log)).next().await {
                Some(Ok(_)) => metrics.push(metric),
                Some(Err(source)) => return Err(failure::read(&log, source)),
                None => {}
            }
        }
        metrics.sort_unstable();
        Ok(metrics)
    }
}

/// A table that does not cover what was removed because it did cover it has lost its newest commits.
fn check_floor(snapshot: &Snapshot, floor: &Cover) -> Result<()> {
    if snapshot.cover.includes(floor) {
        return Ok(());
    }
    let message = "a table has lost its newest commits: restore its folder _delta_log from a copy";
    let error = Error::corrupt(message).with("metric", &snapshot.metric);
    Err(match snapshot.version {
        Some(version) => error.with("version", version),
        None => error,
    })
}

/// The name of one version of the log, relative to the table.
pub(super) fn log_name(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}

/// The name of a cover document, relative to the table.
pub(super) fn document_name(number: i64) -> String {
    format!("_fineo/cover/{number:020}.json")
}
