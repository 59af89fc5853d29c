//! Takes a shard's lease, however long somebody else has it or the repository is down.

use std::{sync::Arc, time::Duration};

use fineo_core::{Result, ShardId, Timestamp, archive::Stage};
use futures::FutureExt;
use tokio::sync::watch;

use super::stopped;
use crate::{
    driver::{
        lease::{self, Claim, Claimed, Lease},
        parts::Shared,
    },
    retry::Retry,
};

/// Somebody else's lease is looked at no more often.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(50);

/// The lease of `shard`; none when the pipeline stops before it is held.
pub(super) async fn claim(
    shared: &Arc<Shared>,
    stage: Stage,
    shard: &ShardId,
    stop: &mut watch::Receiver<bool>,
) -> Result<Option<Lease>> {
    let (parts, options) = (&shared.parts, &shared.options);
    let subject = lease::subject(&options.name, stage.as_str(), shard)?;
    let mut tries = 0;
    loop {
        let claim = Claim { owner: &shared.owner, hold_for: options.lease_for, at_once: options.is_alone };
        let now = parts.clock.now();
        let claimed = Lease::claim(&*parts.repo, subject.clone(), claim, now).await;
        if claimed.is_ok() && tries > 0 {
            tries = 0;
            shared.progress.failed(stage, shard, None);
        }
        let wait = match claimed {
            Ok(Claimed::Held(lease)) => return Ok(Some(lease)),
            Ok(Claimed::Taken(until)) => parts.clock.sleep(until_look(now, until, options.lease_for)),
            Err(error) if !Retry::may_pass(&error) => return Err(error),
            Err(error) => {
                tries += 1;
                tracing::warn!(%error, tries, %stage, %shard, "a lease cannot be asked for, trying again");
                shared.progress.failed(stage, shard, Some(error.clone()));
                let retry = shared.retry.clone();
                async move { retry.wait(tries, &error).await }.boxed()
            }
        };
        tokio::select! {
            () = wait => {}
            () = stopped(stop) => return Ok(None),
        }
    }
}

/// How long to wait at `now` for a lease that holds until `until`, which may be given back sooner.
fn until_look(now: Timestamp, until: Timestamp, lease_for: Duration) -> Duration {
    let micros = u64::try_from(until.micros() - now.micros()).unwrap_or(0);
    Duration::from_micros(micros).min(lease_for / 3).max(LOOK_EVERY_MIN)
}
