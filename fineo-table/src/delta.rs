//! The state of a Delta log as Fineo sees it, and how each action changes it.

pub(crate) mod action;
mod schema;

use std::{collections::BTreeMap, sync::Arc};

use deltalake_core::kernel::{Action, Protocol};
use fineo_core::{Error, ErrorKind, Result};

pub(crate) use action::{add_of, commit_of, nonce_of, remove_of};
pub(crate) use schema::{TableMetadata, delta_type};

use crate::{DataFile, Snapshot};

/// The name under which our application transactions are found.
pub(crate) const APPLICATION: &str = "fineo";
/// The key of the nonce in a commit's `commitInfo`.
pub(crate) const NONCE: &str = "fineo.nonce";
/// What our tables ask of others, so that every engine reads them.
pub(crate) const READER_VERSION: i64 = 1;
/// Likewise of writers.
pub(crate) const WRITER_VERSION: i64 = 2;

/// What the actions of a log add up to.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogState {
    pub(crate) metadata: Option<TableMetadata>,
    pub(crate) writer_version: i64,
    pub(crate) files: BTreeMap<Arc<str>, DataFile>,
    /// The number of the cover document; none in a table of somebody else.
    pub(crate) number: Option<i64>,
}

impl LogState {
    /// The state that a snapshot was made of.
    pub(crate) fn of(snapshot: &Snapshot) -> Result<Self> {
        let files = snapshot.files.iter().map(|file| (Arc::clone(&file.path), file.clone()));
        Ok(Self {
            metadata: Some(TableMetadata::from_json(&snapshot.inner.metadata)?),
            writer_version: snapshot.inner.writer_version,
            files: files.collect(),
            number: Some(snapshot.inner.number),
        })
    }

    /// Changes the state as `action` says.
    pub(crate) fn apply(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::Metadata(metadata) => self.metadata = Some(TableMetadata::of(metadata)?),
            Action::Protocol(protocol) => self.set_protocol(protocol)?,
            Action::Add(add) => {
                let file = action::file_of(add)?;
                self.files.insert(Arc::clone(&file.path), file);
            }
            Action::Remove(remove) => {
                self.files.remove(remove.path.as_str());
            }
            Action::Txn(transaction) if transaction.app_id == APPLICATION => self.number = Some(transaction.version),
            // What other programs keep in the log for themselves.
            Action::Txn(_) | Action::CommitInfo(_) | Action::Cdc(_) | Action::DomainMetadata(_) => {}
        }
        Ok(())
    }

    pub(crate) fn set_protocol(&mut self, protocol: &Protocol) -> Result<()> {
        let damaged = |source| Error::corrupt("the protocol of a table cannot be read").with_source(source);
        let protocol = serde_json::to_value(protocol).map_err(damaged)?;
        let version = |name: &str| protocol.get(name).and_then(serde_json::Value::as_i64).unwrap_or(i64::MAX);
        if version("minReaderVersion") > READER_VERSION {
            let message =
                "another program made the table need more than Delta reader version 1: drop those table features";
            return Err(Error::new(ErrorKind::Unsupported, message).with("version", version("minReaderVersion")));
        }
        self.writer_version = version("minWriterVersion");
        Ok(())
    }
}
