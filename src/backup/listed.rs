//! Waits until an archive that lists late lists everything that a backup is to hold.

use std::{collections::HashSet, time::Duration};

use fineo_core::{
    Clock, Cover, ErrorKind, Result,
    archive::{SegmentKind, SegmentName, SegmentQuery, Stage},
};
use fineo_ingest::{Chain, Expired, Listing, Missing, SegmentReader};
use futures::TryStreamExt;

use crate::Fineo;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a stage received, as far as it is listed.
#[derive(Debug)]
struct Received<'a> {
    stage: Stage,
    /// Up to where it is wanted.
    to: &'a Cover,
    chain: Chain,
    known: HashSet<SegmentName>,
}

/// Completes once everything that each stage received up to its cover is listed.
///
/// # Errors
///
/// `Unavailable` when that takes longer than the archive says, `Corrupt` when something is lost by what lies behind it, or a
/// failure of a store.
pub(super) async fn wait_until_listed(fineo: &Fineo, covers: [(Stage, &Cover); 2]) -> Result<()> {
    let (archive, clock): (_, &dyn Clock) = (&*fineo.parts.archive, &*fineo.clock);
    let Some(within) = archive.capabilities().listed_within else { return Ok(()) };
    let received = |(stage, to)| Received { stage, to, chain: Chain::default(), known: HashSet::new() };
    let mut received = covers.map(received);
    let looks = within.as_secs().div_ceil(LOOK_EVERY.as_secs());
    for look in 0.. {
        let listing = Listing::begin(archive, clock);
        let mut missing = Vec::new();
        for received in &mut received {
            missing.extend(received.look(fineo).await?);
        }
        match Missing::check(&missing, listing) {
            // All of it was archived before the first look, however long ago it arrived: it has all that time to come.
            Err(error) if look < looks => {
                tracing::info!(%error, "the backup waits");
                clock.sleep(LOOK_EVERY).await;
            }
            checked => return checked,
        }
    }
    Ok(())
}

impl Received<'_> {
    /// What is missing up to the cover.
    async fn look(&mut self, fineo: &Fineo) -> Result<Vec<Missing>> {
        let (parts, pipeline) = (&fineo.parts, &fineo.pipeline.options().name);
        let query = SegmentQuery { stage: self.stage, kind: SegmentKind::Received };
        let mut listed = parts.archive.segments(query);
        while let Some(info) = listed.try_next().await? {
            if !self.to.contains(&info.name.shard, info.name.first) || self.known.contains(&info.name) {
                continue;
            }
            match SegmentReader::open(&*parts.archive, &info).await {
                Ok(segment) => self.chain.add(&segment),
                // It was let go since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound && fineo.is_expired(&info.name).await? => {}
                Err(error) => return Err(error),
            }
            self.known.insert(info.name);
        }
        let expired = Expired::read(&*parts.repo, pipeline, self.stage).await?;
        Ok(self.chain.missing(expired.cover(), self.to))
    }
}
