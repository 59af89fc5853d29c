//! Makes a change to a table: done, not done, or unknown, and never half.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use deltalake_core::{
    DeltaTable,
    kernel::{Action, Protocol},
    protocol::checkpoints,
};
use fineo_core::{Error, ErrorKind, Outcome, Result};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{PutMode, PutOptions, path::Path};

use super::{
    Inner, Key,
    data::sums_name,
    load::{document_name, log_name},
};
use crate::{
    Change, Committed, DataFile, FileMeta, NewFile, Snapshot, TableColumn,
    cover::{CoverDocument, digest},
    delta::{LogState, READER_VERSION, TableMetadata, WRITER_VERSION, add_of, commit_of, remove_of},
    failure, text,
};

/// How often a create whose outcome is unknown is tried again. Its bytes are the same, so it is done once at most.
const TRIES_MAX: usize = 3;
/// How many footers of new files are read at once.
const FOOTERS_AT_ONCE: usize = 8;

/// What became of a create.
enum Created {
    New,
    /// Something is there; this.
    Exists(Bytes),
}

/// A change, checked and ready to be written.
struct Prepared {
    state: LogState,
    document: CoverDocument,
    commit: Bytes,
    version: u64,
}

impl Inner {
    /// See [`super::Tables::commit`].
    pub(super) async fn commit(&self, base: &Snapshot, change: Change) -> Outcome<Committed> {
        let key = Key::of(base);
        let head = match self.latest(&key).await {
            Ok(head) => head,
            Err(error) => return Outcome::NotDone(error),
        };
        let is_stale = change.add.iter().any(|file| boundary_of(&file.path).is_some_and(|stamp| stamp < head.boundary));
        if head.version != base.version || is_stale {
            return Outcome::Done(Committed::Conflict(head));
        }
        self.commit_on(&key, &head, &change, head.boundary).await
    }

    /// Makes `change` on `base`, which is the state in the log as far as we know.
    pub(super) async fn commit_on(
        &self,
        key: &Key,
        base: &Snapshot,
        change: &Change,
        boundary: u64,
    ) -> Outcome<Committed> {
        // Nothing that happens in here can be seen by a reader.
        let prepared = match self.prepare(key, base, change, boundary).await {
            Ok(prepared) => prepared,
            Err(error) => return Outcome::NotDone(error),
        };
        let path = key.path(&log_name(prepared.version));
        match self.create(&path, &prepared.commit).await {
            Outcome::Done(Created::New) => {}
            Outcome::Done(Created::Exists(bytes)) if bytes == prepared.commit => {}
            Outcome::Done(Created::Exists(_)) => {
                return match self.latest(key).await {
                    Ok(head) => Outcome::Done(Committed::Conflict(head)),
                    Err(error) => Outcome::NotDone(error),
                };
            }
            Outcome::NotDone(error) => return Outcome::NotDone(error),
            Outcome::Unknown(error) => return Outcome::Unknown(error),
        }
        let snapshot = self.assemble(key, prepared.version, prepared.state, &prepared.document);
        match snapshot {
            Ok(snapshot) => {
                let snapshot = self.keep(key, snapshot);
                self.after_commit(key, &snapshot).await;
                Outcome::Done(Committed::Done(snapshot))
            }
            Err(error) => Outcome::Unknown(error),
        }
    }

    async fn prepare(&self, key: &Key, base: &Snapshot, change: &Change, boundary: u64) -> Result<Prepared> {
        check(base, change)?;
        if change.generation.is_some() {
            let (_, floor) = self.floor(key).await?;
            if !change.cover.includes(&floor) {
                return Err(Error::invalid("a new generation covers less than was removed from the nearline store"));
            }
        }
        let added: Vec<(DataFile, Arc<FileMeta>)> = stream::iter(&change.add)
            .map(|file| self.added(key, base, file))
            .buffered(FOOTERS_AT_ONCE)
            .try_collect()
            .await?;
        let actions = self.actions(base, change, &added)?;

        let mut state = match base.version {
            Some(_) => LogState::of(base)?,
            None => LogState::default(),
        };
        for action in &actions {
            state.apply(action)?;
        }
        let files: Vec<DataFile> = state.files.values().cloned().collect();
        let mut document = CoverDocument::new(&key.tenant, &key.metric, change.cover.clone());
        document.generation = change.generation.unwrap_or(base.generation);
        document.boundary = boundary;
        document.nonce = format!("{:032x}", u128::from_be_bytes(self.entropy.id())).into();
        document.digest = digest(&files);
        let number = self.write_document(key, base.inner.number, &document).await?;
        state.number = Some(number);
        let commit = commit_of(actions, number, &document.nonce, self.clock.now())?;
        let version = base.version.map_or(0, |version| version + 1);
        Ok(Prepared { state, document, commit, version })
    }

    /// Reads a new file's footer and writes its checksums beside it.
    async fn added(&self, key: &Key, base: &Snapshot, file: &NewFile) -> Result<(DataFile, Arc<FileMeta>)> {
        let meta = self.footer(key, &file.path, Arc::new(file.sums.clone())).await?;
        let named = file.path.strip_prefix(&format!("day={}/", text::day_text(meta.layout.day)?));
        if named.is_none_or(|name| name.contains('/')) || boundary_of(&file.path) != Some(base.boundary) {
            return Err(Error::invalid("a file has another name than the snapshot gave").with("path", &file.path));
        }
        let path = key.path(&sums_name(&file.path));
        let sums = file.sums.to_bytes();
        match self.create(&path, &sums).await.into_result()? {
            Created::New => {}
            Created::Exists(bytes) if bytes == sums => {}
            Created::Exists(_) => {
                let error = Error::new(ErrorKind::AlreadyExists, "another file was written under the same name");
                return Err(error.with("path", &file.path));
            }
        }
        let data = DataFile {
            path: Arc::clone(&file.path),
            day: meta.layout.day,
            bytes: meta.bytes(),
            rows: meta.rows,
            first: meta.first,
            last: meta.last,
            positions: file.positions.clone(),
            is_part: file.is_part,
        };
        Ok((data, meta))
    }

    fn actions(&self, base: &Snapshot, change: &Change, added: &[(DataFile, Arc<FileMeta>)]) -> Result<Vec<Action>> {
        let now = self.clock.now();
        let mut actions = Vec::new();
        let mut metadata = match base.version {
            Some(_) => TableMetadata::from_json(&base.inner.metadata)?,
            None => {
                actions.push(Action::Protocol(protocol()?));
                let id = uuid_of(self.entropy.id());
                let every = self.options.commits_per_checkpoint;
                TableMetadata::new(&id, base.metric.as_str(), now.micros() / 1000, every)
            }
        };
        let mut columns: Vec<TableColumn> = TableColumn::system().to_vec();
        for column in added.iter().flat_map(|(_, meta)| meta.layout.table_columns()) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        if metadata.extend(&columns)? || base.version.is_none() {
            actions.push(Action::Metadata(metadata.to_action()?));
        }
        let live = base.files_by_path();
        for path in &change.remove {
            let file = live.get(&**path).ok_or_else(|| not_live(path))?;
            actions.push(Action::Remove(remove_of(file, now)?));
        }
        for (file, meta) in added {
            actions.push(Action::Add(add_of(file, meta.statistics(), now)?));
        }
        Ok(actions)
    }

    /// Writes the cover document under a number of its own, above `former`.
    async fn write_document(&self, key: &Key, former: i64, document: &CoverDocument) -> Result<i64> {
        let bytes = document.to_bytes()?;
        loop {
            let mut chance = [0; 4];
            self.entropy.fill(&mut chance);
            let number = (((former >> 32) + 1) << 32) | i64::from(u32::from_be_bytes(chance));
            let created = self.create(&key.path(&document_name(number)), &bytes).await;
            match created.into_result()? {
                Created::New => return Ok(number),
                Created::Exists(found) if found == bytes => return Ok(number),
                Created::Exists(_) => {}
            }
        }
    }

    /// Creates the object at `path`, or says what is there.
    ///
    /// N11: a lost answer is resolved by looking for our own bytes, which no other writer has: they hold a nonce.
    async fn create(&self, path: &Path, bytes: &Bytes) -> Outcome<Created> {
        let mut unknown = None;
        for _ in 0..TRIES_MAX {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let error = match self.objects.store.put_opts(path, bytes.clone().into(), options).await {
                Ok(_) => return Outcome::Done(Created::New),
                // A store may say so of a create that it also lost, or that an earlier run made: only what is there tells.
                Err(source @ object_store::Error::AlreadyExists { .. }) => {
                    failure::write(path, source).and_may_have_applied()
                }
                Err(source) => failure::write(path, source),
            };
            let may_have_applied = error.may_have_applied();
            if !may_have_applied && unknown.is_none() {
                return Outcome::NotDone(error);
            }
            match self.get_if_there(path).await {
                Ok(Some(found)) => return Outcome::Done(Created::Exists(found)),
                Ok(None) => {}
                Err(_) => return Outcome::Unknown(unknown.unwrap_or(error)),
            }
            unknown = Some(error);
        }
        let error = unknown.unwrap_or_else(|| Error::unavailable("the object store failed"));
        Outcome::Unknown(error)
    }

    /// What makes later reads cheaper; a failure of it changes nothing.
    async fn after_commit(&self, key: &Key, snapshot: &Snapshot) {
        self.write_manifest(key, snapshot).await;
        let every = self.options.commits_per_checkpoint;
        let is_due = every > 0 && snapshot.version.is_some_and(|version| version > 0 && version % every == 0);
        if is_due && let Err(error) = self.write_checkpoint(key).await {
            tracing::warn!(%error, tenant = %key.tenant, metric = %key.metric, "a log goes on without a checkpoint");
        }
    }

    async fn write_checkpoint(&self, key: &Key) -> Result<()> {
        let folder = key.path("_delta_log");
        let mut table = DeltaTable::new(self.log_store(key)?);
        table.load().await.map_err(|source| failure::log(&folder, source))?;
        checkpoints::create_checkpoint(&table, None).await.map_err(|source| failure::log(&folder, source))
    }
}

/// What can be said against a change without reading anything.
fn check(base: &Snapshot, change: &Change) -> Result<()> {
    if base.version.is_some() && base.inner.writer_version > WRITER_VERSION {
        let message = "another program made the table need more than Delta writer version 2: drop those table features";
        return Err(Error::new(ErrorKind::Unsupported, message).with("version", base.inner.writer_version));
    }
    if change.generation.is_none() && !change.cover.includes(&base.cover) {
        return Err(Error::invalid("a commit covers less than the one before"));
    }
    let mut paths = BTreeSet::new();
    for path in change.add.iter().map(|file| &file.path).chain(&change.remove) {
        if !paths.insert(path) {
            return Err(Error::invalid("a commit names a file twice").with("path", path));
        }
    }
    let live = base.files_by_path();
    for file in &change.add {
        if live.contains_key(&*file.path) {
            let error = Error::new(ErrorKind::AlreadyExists, "a file is a part of the table already");
            return Err(error.with("path", &file.path));
        }
        if !change.cover.includes(&file.positions) {
            return Err(Error::invalid("a file has positions that the commit does not cover").with("path", &file.path));
        }
    }
    let missing = change.remove.iter().find(|path| !live.contains_key(&***path));
    missing.map_or(Ok(()), |path| Err(not_live(path)))
}

fn not_live(path: &str) -> Error {
    Error::not_found("no such file in the table").with("path", path)
}

/// The boundary in a file's name.
pub(super) fn boundary_of(path: &str) -> Option<u64> {
    let (_, name) = path.rsplit_once('/')?;
    let (_, boundary) = name.strip_prefix("part-")?.strip_suffix(".parquet")?.rsplit_once('-')?;
    boundary.parse().ok()
}

fn protocol() -> Result<Protocol> {
    let json = serde_json::json!({ "minReaderVersion": READER_VERSION, "minWriterVersion": WRITER_VERSION });
    serde_json::from_value(json).map_err(|source| Error::internal("no protocol").with_source(source))
}

/// Sixteen bytes as the text of a random UUID.
fn uuid_of(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    [&hex[0..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-")
}
