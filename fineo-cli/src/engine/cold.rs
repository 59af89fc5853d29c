//! Segments in a cold storage class: brought back before a replay, where that was asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use fineo::{
    ReplayRequest, Restore, RestoreProgress, RestoreTier,
    core::{TimeRange, archive::Stage},
};

use super::Engine;
use crate::{
    args::{ReplayArgs, TierName},
    failure::{Failure, say},
};

impl Engine {
    /// As [`Engine::restore_cold`], of everything that stage staged has archived.
    pub(crate) async fn restore_all_staged(&self, args: &ReplayArgs) -> Result<(), Failure> {
        // Segments hold the records of all tenants.
        let request = ReplayRequest::new(Stage::Staged, args.tenant.clone()).with_time(TimeRange::ALL);
        self.restore_cold(args, &request).await
    }

    /// Has the store restore what a replay of `request` would read, where `--restore` says so, and waits for it.
    pub(super) async fn restore_cold(&self, args: &ReplayArgs, request: &ReplayRequest) -> Result<(), Failure> {
        let Some(days) = args.restore else { return Ok(()) };
        let Self::Own(fineo) = self else {
            let message = "a server holds the directory, and nothing in a directory is cold: leave --restore out";
            return Err(Failure::Misuse(message.to_owned()));
        };
        let tier = match args.restore_tier {
            TierName::Standard => RestoreTier::Standard,
            TierName::Bulk => RestoreTier::Bulk,
            TierName::Expedited => RestoreTier::Expedited,
        };
        let restore = Restore::for_days(days)?.with_tier(tier);
        let cold = fineo.cold_segments(request).await?;
        if cold.segments == 0 {
            say("no segment is cold");
            return Ok(());
        }
        say(&format!(
            "{} segments of {} bytes are cold, {} of them on their way; asking for the others, {tier}, for {days} days",
            cold.segments, cold.bytes, cold.restoring
        ));
        say("this can be stopped at any time: the same command goes on where it was");
        let told = AtomicU64::new(u64::MAX);
        let tell = |progress: &RestoreProgress| {
            if told.swap(progress.back, Ordering::Relaxed) != progress.back {
                say(&format!("{} of {} segments are back", progress.back, progress.segments));
            }
        };
        fineo.restore_cold(request, restore, &tell).await?;
        Ok(())
    }
}
