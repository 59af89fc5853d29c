//! What a replay has to wait for: segments in a cold storage class, which have to be restored before they are read.

use std::time::Duration;

use fineo_core::{
    Error, ErrorKind, Result,
    archive::{Availability, Restore, SegmentInfo, SegmentKind, SegmentQuery},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{ReplayRequest, wanted::Wanted};
use crate::{Pipeline, driver::parts::Shared};

/// How many segments are looked at together.
const LOOKS_AT_ONCE: usize = 32;
/// How many segments are listed before they are looked at.
const LISTED_AT_ONCE: usize = 1_024;
/// How long between two looks at what is on its way: it takes minutes, hours or two days.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(600);
/// How many times in turn no segment at all can be looked at before that is an error.
const FAILED_MAX: u32 = 12;

/// The cold segments that a replay would read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColdSegments {
    /// How many.
    pub segments: u64,
    /// How many bytes they are.
    pub bytes: u64,
    /// How many of them are on their way.
    pub restoring: u64,
    /// The path of the first of them.
    pub first: Option<String>,
}

/// How far a restore is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreProgress {
    /// How many segments had to be restored.
    pub segments: u64,
    /// How many bytes they are.
    pub bytes: u64,
    /// How many of them are back.
    pub back: u64,
}

impl Pipeline {
    /// The cold segments that a replay of `request` would read: none where it can begin at once.
    ///
    /// # Errors
    ///
    /// A failure of the archive.
    pub async fn cold_segments(&self, request: &ReplayRequest) -> Result<ColdSegments> {
        Ok(report(&survey(self.shared(), &Wanted::new(request, None)).await?.cold))
    }

    /// Has the store restore the cold segments that a replay of `request` would read, and completes once all are back;
    /// `on_progress` hears of every look at them.
    ///
    /// It may be dropped and called again at any time, by another process too: the store knows what was asked for.
    ///
    /// # Errors
    ///
    /// `Invalid` for a pace that the class does not know, or a failure of the archive.
    pub async fn restore_cold(
        &self,
        request: &ReplayRequest,
        restore: Restore,
        on_progress: &(dyn Fn(&RestoreProgress) + Send + Sync),
    ) -> Result<RestoreProgress> {
        let shared = self.shared();
        let mut left = survey(shared, &Wanted::new(request, None)).await?.cold;
        let ColdSegments { segments, bytes, .. } = report(&left);
        let mut progress = RestoreProgress { segments, bytes, back: 0 };
        let (mut wait, mut failed) = (FIRST_WAIT, 0);
        while !left.is_empty() {
            let asked = left.len();
            let (rest, errors) = ask_for(shared, left, restore).await?;
            left = rest;
            failed = if errors.len() == asked { failed + 1 } else { 0 };
            if let Some(error) = errors.into_iter().next_back() {
                // Where nothing was asked for yet, there is nothing to be patient for.
                if failed > 0 && (failed >= FAILED_MAX || wait == FIRST_WAIT) {
                    return Err(error);
                }
                tracing::warn!(%error, "a cold segment could not be looked at, trying again later");
            }
            progress.back = progress.segments - left.len() as u64;
            on_progress(&progress);
            if !left.is_empty() {
                shared.parts.clock.sleep(wait).await;
                wait = (2 * wait).min(LAST_WAIT);
            }
        }
        Ok(progress)
    }
}

/// A cold segment, and whether it is on its way.
type Cold = (SegmentInfo, Availability);

/// What was found of an archive before a replay.
pub(super) struct Survey {
    /// What has to be restored before it can begin, in order of names.
    cold: Vec<Cold>,
    /// What is wanted, and which segments lie right behind it.
    pub(super) wanted: Wanted,
}

impl Survey {
    /// Whether the replay can begin.
    pub(super) fn check(self) -> Result<Wanted> {
        let ColdSegments { segments, bytes, restoring, first } = report(&self.cold);
        let Some(first) = first else { return Ok(self.wanted) };
        let message = "segments that are to be read are in a cold storage class and have to be restored first";
        Err(Error::new(ErrorKind::Cold, message)
            .with("segments", segments)
            .with("bytes", bytes)
            .with("restoring", restoring)
            .with("first", first)
            .with("hint", "`fineo replay … --restore DAYS` has the store restore them, waits for them, and replays"))
    }
}

fn report(cold: &[Cold]) -> ColdSegments {
    let is_restoring = |(_, found): &&Cold| matches!(found, Availability::Restoring { .. });
    ColdSegments {
        segments: cold.len() as u64,
        bytes: cold.iter().map(|(info, _)| info.bytes).sum(),
        restoring: cold.iter().filter(is_restoring).count() as u64,
        first: cold.first().map(|(info, _)| info.name.path()),
    }
}

/// Looks which of the segments that are `wanted` are cold.
pub(super) async fn survey(shared: &Shared, wanted: &Wanted) -> Result<Survey> {
    let mut survey = Survey { cold: Vec::new(), wanted: wanted.clone() };
    let query = SegmentQuery::new(wanted.stage, SegmentKind::Received);
    let mut listed = shared.parts.archive.segments(query).try_chunks(LISTED_AT_ONCE);
    while let Some(infos) = listed.try_next().await.map_err(|error| error.1)? {
        let here = infos.into_iter().filter(|info| survey.wanted.holds(info)).collect();
        look(shared, here, &mut survey).await?;
    }
    let behind = survey.wanted.behind();
    look(shared, behind, &mut survey).await?;
    survey.cold.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    Ok(survey)
}

async fn look(shared: &Shared, infos: Vec<SegmentInfo>, survey: &mut Survey) -> Result<()> {
    let mut looks =
        stream::iter(infos.into_iter().map(|info| availability(shared, info, None))).buffer_unordered(LOOKS_AT_ONCE);
    while let Some((info, found)) = looks.next().await {
        match found {
            // It was let go since it was listed; if not for its age, the replay misses it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Ok(Availability::Cold { written_at } | Availability::Restoring { written_at })
                if !survey.wanted.is_over(written_at) =>
            {
                survey.cold.push((info, found?));
            }
            found => drop(found?),
        }
    }
    Ok(())
}

/// Asks for segments; answers which are not back yet, and what passing errors there were.
async fn ask_for(shared: &Shared, cold: Vec<Cold>, restore: Restore) -> Result<(Vec<Cold>, Vec<Error>)> {
    let asked = cold.into_iter().map(|(info, before)| async move {
        let (info, found) = availability(shared, info, Some(restore)).await;
        (info, before, found)
    });
    let mut asked = stream::iter(asked).buffer_unordered(LOOKS_AT_ONCE);
    let (mut left, mut errors) = (Vec::new(), Vec::new());
    while let Some((info, before, found)) = asked.next().await {
        match found {
            Ok(Availability::Ready) => {}
            Ok(found @ (Availability::Cold { .. } | Availability::Restoring { .. })) => left.push((info, found)),
            // Nobody waits for what is gone.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.is_retryable() => {
                left.push((info, before));
                errors.push(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((left, errors))
}

async fn availability(
    shared: &Shared,
    info: SegmentInfo,
    restore: Option<Restore>,
) -> (SegmentInfo, Result<Availability>) {
    let found = shared.parts.archive.availability(&info.name, restore).await;
    (info, found)
}
