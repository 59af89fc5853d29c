//! The one place where the driver calls Fineo.

use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use fineo::ingest::Routing;
use fineo::{CompactOptions, CompactReport, Fineo, ImportOptions, ImportSource, TenantId};

use crate::Result;

/// How long the stages may take over what an import has stored.
const IMPORT_VISIBLE_WITHIN: Duration = Duration::from_secs(1800);

/// What became of the events of a file.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Taken {
    /// Kept; stage raw may still find that some break the contract.
    pub(crate) accepted: u64,
    /// Refused at the edge.
    pub(crate) rejected: u64,
}

/// An open local store.
pub(crate) struct Engine(Fineo);

impl Engine {
    /// Opens the store in a folder.
    pub(crate) async fn open(folder: &str) -> Result<Self> {
        Ok(Self(Fineo::local(folder).open().await?))
    }

    /// Declares what a declarative file says.
    pub(crate) async fn declare(&self, tenant: &str, declaration: &str) -> Result<()> {
        self.0.schema(&TenantId::new(tenant)?).declare(declaration).await?;
        Ok(())
    }

    /// Loads a file whose events name their tenant under `tenant_field`, and waits until they can be queried.
    pub(crate) async fn import(&self, file: &str, tenant_field: &str) -> Result<Taken> {
        let options = ImportOptions::new(Routing::Field(tenant_field.to_owned()));
        let report = self.0.import(ImportSource::Path(file.into()), options, &|_| {}).await?;
        self.0.wait_until_visible(&report.token, IMPORT_VISIBLE_WITHIN).await?;
        Ok(Taken { accepted: report.accepted, rejected: report.rejected.values().sum() })
    }

    /// Sends one request; it returns when the events are durable.
    pub(crate) async fn ingest(&self, tenant: &str, lines: Bytes) -> Result<()> {
        let receipt = self.0.ingest(&TenantId::new(tenant)?, lines).await?;
        match receipt.failed().first() {
            None => Ok(()),
            Some((_, error)) => Err(error.to_string().into()),
        }
    }

    /// Waits until everything that was sent can be queried.
    pub(crate) async fn settle(&self) -> Result<()> {
        Ok(self.0.wait_until_drained().await?)
    }

    /// All rows of a statement.
    pub(crate) async fn sql(&self, tenant: &str, statement: &str) -> Result<Vec<RecordBatch>> {
        Ok(self.0.sql(&TenantId::new(tenant)?, statement).await?.collect().await?)
    }

    /// Makes columnar files of what was archived.
    pub(crate) async fn compact(&self, options: CompactOptions) -> Result<CompactReport> {
        Ok(self.0.compact(options).await?)
    }

    /// Drains and lets go of the folder.
    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.0.close().await?)
    }
}
