//! Looks whether everything that a backup is to hold is listed, and waits for it where the archive lists late.

use std::{collections::HashSet, time::Duration};

use fineo_core::{
    Clock, Cover, ErrorKind, Result,
    archive::{SegmentKind, SegmentName, SegmentQuery, Stage},
};
use fineo_ingest::{Chain, Expired, Listing, Missing, Noted, SegmentReader};
use futures::TryStreamExt;

use crate::Fineo;

/// Between the first two looks; then longer and longer, for each lists the whole archive.
const WAIT_MIN: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// So many looks in a row may fail.
const FAILURES_MAX: u32 = 5;

/// What a stage received, as far as it is listed.
#[derive(Debug)]
struct Received<'a> {
    stage: Stage,
    /// Up to where it is wanted.
    to: &'a Cover,
    chain: Chain,
    known: HashSet<SegmentName>,
}

/// Completes once everything that each stage received up to its cover is listed: at the first look, unless the archive lists late.
///
/// # Errors
///
/// `Unavailable` when that takes longer than the archive says, `Corrupt`, as soon as that is known, when something is lost, or a
/// failure of a store.
pub(super) async fn wait_until_listed(fineo: &Fineo, covers: [(Stage, &Cover); 2]) -> Result<()> {
    let (archive, clock): (_, &dyn Clock) = (&*fineo.parts.archive, &*fineo.clock);
    let within = archive.capabilities().listed_within.unwrap_or_default();
    let received = |(stage, to)| Received { stage, to, chain: Chain::default(), known: HashSet::new() };
    let mut received = covers.map(received);
    let (mut waited, mut wait, mut failures) = (Duration::ZERO, WAIT_MIN, 0);
    loop {
        let listing = Listing::begin(archive, clock);
        let looked = look(fineo, &mut received, listing).await;
        failures = if looked.is_err() { failures + 1 } else { 0 };
        let error = match looked {
            // All of it was archived before the first look: it has all that time to come, unless it had it before.
            Ok(Err(error)) if error.kind() != ErrorKind::Corrupt && waited < within => error,
            Ok(checked) => return checked,
            // Who has waited for hours is not sent away for a moment's failure.
            Err(error) if error.is_retryable() && failures < FAILURES_MAX && waited < within => error,
            Err(error) => return Err(error),
        };
        tracing::info!(%error, "the backup waits");
        // The last look comes when the archive has had all its time.
        let next = wait.min(within - waited);
        clock.sleep(next).await;
        waited += next;
        wait = WAIT_MAX.min(wait * 2);
    }
}

/// Tells of what is missing, if anything is: of what is lost first.
async fn look(fineo: &Fineo, received: &mut [Received<'_>], listing: Listing) -> Result<Result<()>> {
    let (repo, pipeline) = (&*fineo.parts.repo, &fineo.pipeline.options().name);
    let mut coming = Ok(());
    for received in received {
        let missing = received.look(fineo).await?;
        let noted = Noted::with(repo, pipeline, received.stage, (received.to, listing)).await?;
        match Missing::check(&missing, &noted, listing) {
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(Err(error)),
            Err(error) => coming = coming.and(Err(error)),
            Ok(()) => {}
        }
    }
    Ok(coming)
}

impl Received<'_> {
    /// What is missing up to the cover.
    async fn look(&mut self, fineo: &Fineo) -> Result<Vec<Missing>> {
        let (parts, pipeline) = (&fineo.parts, &fineo.pipeline.options().name);
        let query = SegmentQuery::new(self.stage, SegmentKind::Received);
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
