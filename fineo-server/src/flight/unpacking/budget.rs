//! Memory that tenants share, and of which none takes more than half.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use fineo::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory of a fixed size. Who asks first is served first, each tenant within a half of its own.
#[derive(Debug)]
pub(super) struct Budget {
    all: Arc<Semaphore>,
    share_bytes: u32,
    /// The halves of the tenants that hold or wait for some of it.
    shares: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

/// Memory that was taken; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Taken {
    _all: OwnedSemaphorePermit,
    _share: OwnedSemaphorePermit,
}

impl Budget {
    pub(super) fn of(bytes: u32) -> Self {
        Self { all: semaphore(bytes), share_bytes: bytes / 2, shares: Mutex::default() }
    }

    /// Waits until there are `bytes` for `tenant`; for ever, where they are more than half of all.
    pub(super) async fn take(&self, tenant: &TenantId, bytes: u32) -> Taken {
        // Who waits for its own share does not stand before others.
        let share = taken(self.share(tenant), bytes).await;
        Taken { _all: taken(Arc::clone(&self.all), bytes).await, _share: share }
    }

    fn share(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = semaphore(self.share_bytes);
        shares.insert(tenant.clone(), Arc::downgrade(&share));
        share
    }
}

fn semaphore(bytes: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes as usize))
}

async fn taken(of: Arc<Semaphore>, bytes: u32) -> OwnedSemaphorePermit {
    of.acquire_many_owned(bytes).await.expect("nobody closes it")
}

#[cfg(test)]
mod tests;
