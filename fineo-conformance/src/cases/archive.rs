//! The cases of the archive contract.

pub(super) mod cold;
pub(super) mod read;
pub(super) mod remove;
pub(super) mod write;

use std::sync::Arc;

use fineo_core::{
    Archive, Position, Result,
    archive::{SegmentInfo, SegmentKind, SegmentName, SegmentQuery, Stage},
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
    SegmentQuery::new(Stage::Raw, SegmentKind::Received)
}

async fn listed(archive: &Arc<dyn Archive>, query: SegmentQuery) -> Result<Vec<SegmentInfo>> {
    archive.segments(query).try_collect().await
}
