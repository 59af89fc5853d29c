//! The one place where the driver calls Fineo.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Mutex;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use fineo::Fineo;
use fineo::core::{Cover, TenantId};
use futures::TryStreamExt;

use crate::Result;

/// How long acknowledged events may take until they can be queried.
const SETTLE_WITHIN: Duration = Duration::from_secs(600);

/// What became of the events of one request, or of many.
#[derive(Debug, Default, Clone, Copy)]
pub struct Taken {
    /// Kept, and to be queried.
    pub accepted: u64,
    /// Kept as errors, or refused.
    pub rejected: u64,
}

impl AddAssign for Taken {
    fn add_assign(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.rejected += more.rejected;
    }
}

/// An open local store.
pub struct Engine {
    fineo: Fineo,
    /// Up to where each tenant's acknowledged events reach.
    acknowledged: Mutex<BTreeMap<String, Cover>>,
}

impl Engine {
    /// Opens the store in a folder.
    pub async fn open(folder: &str) -> Result<Self> {
        let fineo = Fineo::local(folder).with_holder("the benchmark driver").open().await?;
        Ok(Self { fineo, acknowledged: Mutex::default() })
    }

    /// Sends one request; it returns when the events are durable.
    pub async fn ingest(&self, tenant: &str, lines: Bytes) -> Result<Taken> {
        let receipt = self.fineo.ingest(&TenantId::new(tenant)?, lines).await?;
        let taken = Taken { accepted: receipt.accepted() as u64, rejected: receipt.rejected() as u64 };
        let mut acknowledged = self.acknowledged.lock().expect("no holder of the lock panics");
        acknowledged.insert(tenant.to_owned(), receipt.token().clone());
        Ok(taken)
    }

    /// Waits until everything acknowledged can be queried.
    pub async fn settle(&self) -> Result<()> {
        let tokens: Vec<Cover> = {
            let acknowledged = self.acknowledged.lock().expect("no holder of the lock panics");
            acknowledged.values().cloned().collect()
        };
        for token in tokens {
            self.fineo.wait_until_queryable(&token, SETTLE_WITHIN).await?;
        }
        Ok(())
    }

    /// All rows of a statement.
    pub async fn sql(&self, tenant: &str, statement: &str) -> Result<Vec<RecordBatch>> {
        Ok(self.fineo.sql(&TenantId::new(tenant)?, statement).await?.try_collect().await?)
    }

    /// Drains and lets go of the folder.
    pub async fn close(self) -> Result<()> {
        Ok(self.fineo.close().await?)
    }
}
