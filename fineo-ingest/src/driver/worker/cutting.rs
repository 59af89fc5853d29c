//! A worker's cuts: one at a time, beside what is passed on.

use std::sync::Arc;

use fineo_core::{Cover, Result};
use futures::future::BoxFuture;

use crate::driver::{
    cut::{Ownership, Pending, cut},
    parts::Shared,
    work::Work,
};

/// A cut under way, or the right to begin one.
#[expect(clippy::large_enum_variant, reason = "there is one per worker")]
pub(super) enum Cutting {
    Idle(Ownership),
    Busy(BoxFuture<'static, Result<Ownership>>),
}

/// Waits for the cut under way; for ever when there is none.
pub(super) async fn finish(cutting: &mut Cutting) -> Result<Ownership> {
    match cutting {
        Cutting::Idle(_) => std::future::pending().await,
        Cutting::Busy(busy) => busy.await,
    }
}

/// Begins a cut, after the one under way.
pub(super) async fn begin_cut(
    shared: &Arc<Shared>,
    cutting: Cutting,
    pending: &mut Pending,
    work: &mut Work,
) -> Result<Cutting> {
    let owned = match cutting {
        Cutting::Idle(owned) => owned,
        Cutting::Busy(busy) => busy.await?,
    };
    let next = Pending::new(owned.stage, &owned.shard);
    let mut pending = std::mem::replace(pending, next);
    pending.records = work.take_record_schemas();
    match work.leaves_out_nothing() {
        // Nothing of the shard is on its way, so that what it forwards later stands behind what is there by now.
        true => pending.behind = shared.progress.forwarded(),
        // What is still to be left out stands behind what was noted before.
        false => pending.forwarded = Cover::default(),
    }
    Ok(Cutting::Busy(Box::pin(cut(Arc::clone(shared), owned, pending))))
}

/// Cuts what is left and waits for it.
pub(super) async fn settle(
    shared: &Arc<Shared>,
    cutting: Cutting,
    pending: &mut Pending,
    work: &mut Work,
) -> Result<Ownership> {
    let cutting = if pending.is_empty() { cutting } else { begin_cut(shared, cutting, pending, work).await? };
    match cutting {
        Cutting::Idle(owned) => Ok(owned),
        Cutting::Busy(busy) => busy.await,
    }
}
