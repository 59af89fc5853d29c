//! The archived segments that a backup copies.

use fineo_core::{
    Cover, ErrorKind, Result, TenantId,
    archive::{SegmentKind, SegmentName, SegmentQuery, Stage},
};
use fineo_ingest::{Expired, SegmentReader};
use futures::TryStreamExt;

use super::Copy;
use crate::Fineo;

impl Fineo {
    /// Copies what begins at or before `covers`, and notes who is in it: of whom there are nothing but errors, nothing else tells.
    pub(super) async fn back_up_archive(&self, covers: [(Stage, &Cover); 2], copy: &mut Copy) -> Result<()> {
        for (stage, archived) in covers {
            for kind in SegmentKind::ALL {
                let mut listed = self.parts.archive.segments(SegmentQuery::new(stage, kind));
                while let Some(info) = listed.try_next().await? {
                    // What came later belongs to the next backup.
                    if archived.contains(&info.name.shard, info.name.first) {
                        self.back_up_segment(&info.name, copy).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn back_up_segment(&self, name: &SegmentName, copy: &mut Copy) -> Result<()> {
        let bytes = match self.parts.archive.read(name, None).await {
            // It was let go since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound && self.is_expired(name).await? => return Ok(()),
            read => read?,
        };
        match SegmentReader::of_bytes(name, &bytes) {
            Ok(segment) => {
                for tenant in segment.tenants() {
                    copy.in_segments.insert(TenantId::new(tenant)?);
                }
            }
            // What was received was looked at before. Of errors the rows count.
            Err(error) => tracing::warn!(%error, "a damaged segment is copied as it is"),
        }
        copy.writer.write(&format!("archive/{}", name.path()), bytes)?;
        copy.report.segments += 1;
        Ok(())
    }

    /// Whether a segment may be gone because it was old enough.
    pub(super) async fn is_expired(&self, name: &SegmentName) -> Result<bool> {
        let expired = Expired::read(&*self.parts.repo, &self.pipeline.options().name, name.stage).await?;
        Ok(name.kind == SegmentKind::Received && expired.cover().contains(&name.shard, name.last))
    }
}
