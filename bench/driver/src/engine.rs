//! The one place where the driver calls Fineo.

use std::sync::Mutex;

use arrow::array::RecordBatch;
use bytes::Bytes;
use fineo::ingest::{ImportOptions, ImportSource, Routing};
use fineo::{Fineo, Receipt, TenantId};

use crate::Result;

/// What became of the events of a file.
#[derive(Debug, Default, Clone, Copy)]
pub struct Taken {
    /// Kept; stage raw may still find that some break the contract.
    pub accepted: u64,
    /// Refused at the edge.
    pub rejected: u64,
}

/// An open local store.
pub struct Engine {
    fineo: Fineo,
    /// Requests that nobody has waited for yet.
    receipts: Mutex<Vec<Receipt>>,
}

impl Engine {
    /// Opens the store in a folder.
    pub async fn open(folder: &str) -> Result<Self> {
        let fineo = Fineo::local(folder).with_holder("the benchmark driver").open().await?;
        Ok(Self { fineo, receipts: Mutex::default() })
    }

    /// Loads a file whose events name their tenant under `tenant_field`, and waits until they can be queried.
    pub async fn import(&self, file: &str, tenant_field: &str) -> Result<Taken> {
        let options = ImportOptions::new(Routing::Field(tenant_field.to_owned()));
        let report = self.fineo.import(ImportSource::Path(file.into()), options).await?;
        self.fineo.wait_until_queryable(&report).await?;
        Ok(Taken { accepted: report.accepted, rejected: report.rejected.values().sum() })
    }

    /// Sends one request; it returns when the events are durable.
    pub async fn ingest(&self, tenant: &str, lines: Bytes) -> Result<()> {
        let receipt = self.fineo.ingest(&TenantId::new(tenant)?, lines).await?;
        self.receipts.lock().expect("no holder of the lock panics").push(receipt);
        Ok(())
    }

    /// Waits until everything that was sent can be queried.
    pub async fn settle(&self) -> Result<()> {
        let receipts = std::mem::take(&mut *self.receipts.lock().expect("no holder of the lock panics"));
        for receipt in receipts {
            self.fineo.wait_until_queryable(&receipt).await?;
        }
        Ok(())
    }

    /// All rows of a statement.
    pub async fn sql(&self, tenant: &str, statement: &str) -> Result<Vec<RecordBatch>> {
        Ok(self.fineo.sql(&TenantId::new(tenant)?, statement).await?.collect().await?)
    }

    /// Drains and lets go of the folder.
    pub async fn close(self) -> Result<()> {
        Ok(self.fineo.close().await?)
    }
}
