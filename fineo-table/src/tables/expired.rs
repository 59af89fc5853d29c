//! Which versions of a Delta log nobody needs any more.

use std::time::Duration;

use fineo_core::Timestamp;
use object_store::{ObjectMeta, path::Path};

use super::{
    Inner,
    garbage::{Candidate, Kind, relative_of},
};

/// A snapshot in memory is believed for an hour to be followed by the next version of the log.
const RETAIN_MIN: Duration = Duration::from_secs(2 * 3600);

impl Inner {
    /// What of the log is older than this may go, where a checkpoint stands for it.
    pub(super) fn log_cutoff(&self, horizon: Timestamp) -> Timestamp {
        let wait = self.options.log_retain_for.max(RETAIN_MIN);
        let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        horizon.min(self.clock.now().plus_micros(-wait))
    }
}

/// What of the log under `root` a checkpoint stands for that is older than `cutoff`, oldest first.
///
/// Whoever opens the table begins at that checkpoint or at a later one. Who began before listed what is newer than
/// `cutoff`, and that stays.
pub(super) fn expired_log(root: &Path, listed: &[ObjectMeta], cutoff: Timestamp) -> Vec<Candidate> {
    let is_old = |meta: &&ObjectMeta| meta.last_modified.timestamp_micros() < cutoff.micros();
    let of_log = |meta: &ObjectMeta| {
        let relative = relative_of(root, &meta.location)?;
        let (version, rest) = relative.strip_prefix("_delta_log/")?.split_at_checked(20)?;
        Some((version.parse::<u64>().ok()?, rest.to_owned()))
    };
    let checkpoints = listed.iter().filter(is_old).filter_map(of_log).filter(|(_, rest)| rest == ".checkpoint.parquet");
    let Some(first) = checkpoints.map(|(version, _)| version).max() else { return Vec::new() };
    // A version that is newer than the checkpoint behind it was written by a clock that went wrong: all of it stays.
    let is_needless = |version: u64, rest: &str| version < first && rest.starts_with('.');
    let mut expired: Vec<(u64, Candidate)> = Vec::new();
    for meta in listed {
        let Some((version, rest)) = of_log(meta) else { continue };
        if !is_needless(version, &rest) {
            continue;
        }
        if !is_old(&meta) {
            return Vec::new();
        }
        let candidate = Candidate { path: meta.location.clone(), bytes: meta.size, kind: Kind::Log };
        expired.push((version, candidate));
    }
    expired.sort_by_key(|(version, _)| *version);
    expired.into_iter().map(|(_, candidate)| candidate).collect()
}
