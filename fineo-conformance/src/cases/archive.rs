//! The cases of the archive contract.

pub(super) mod cold;
pub(super) mod read;
pub(super) mod remove;
pub(super) mod write;

use std::sync::Arc;

use fineo_core::{
    Archive, Position, Result,
    archive::{Created, SegmentInfo, SegmentKind, SegmentName, SegmentQuery, Stage},
};
use futures::TryStreamExt;

use crate::support::{at, shard};

/// A segment of `raw/received` whose records arrived at `micros`.
fn segment(micros: i64) -> SegmentName {
    SegmentName {
        stage: Stage::Raw,
        kind: SegmentKind::Received,
        time: at(micros),
        shard: shard("s0"),
        first: Position::from(1),
        last: Position::from(9),
    }
}

/// Of the segments that [`segment`] names.
fn query() -> SegmentQuery {
    SegmentQuery { stage: Stage::Raw, kind: SegmentKind::Received }
}

/// Whether writes are listed later.
fn is_late(archive: &Arc<dyn Archive>) -> bool {
    archive.capabilities().listed_within.is_some()
}

/// What a write to `archive` answers where one that lists at once answers `at_once`: one that lists late cannot tell.
pub(crate) fn answer(archive: &Arc<dyn Archive>, at_once: Created) -> Created {
    if is_late(archive) { Created::New } else { at_once }
}

async fn listed(archive: &Arc<dyn Archive>, query: SegmentQuery) -> Result<Vec<SegmentInfo>> {
    archive.segments(query).try_collect().await
}
