//! A copy of an instance in a folder: what was archived, the schemas' history, the tables, the errors.

mod folder;
mod listed;
#[cfg(feature = "local")]
mod restore;
mod rows;
mod subjects;

#[cfg(feature = "local")]
pub(crate) use restore::Unfinished;

use std::{path::Path, sync::Arc, time::Duration};

use fineo_core::{
    Cover, Error, ErrorKind, Result, TenantId,
    archive::{SegmentKind, SegmentName, SegmentQuery, Stage},
};
use fineo_ingest::{Expired, archived};
use fineo_table::Snapshot;
use futures::StreamExt;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};

use crate::Fineo;
use folder::FolderWriter;
use listed::wait_until_listed;
use subjects::SavedSubject;

/// How long a backup waits for what was accepted to be archived.
const ARCHIVED_WITHIN_TRIES: u32 = 1_200;
const WAIT: Duration = Duration::from_millis(50);
/// How often the tables are looked at anew when they moved on.
const TRIES_MAX: u32 = 5;

/// What a backup holds, or what was restored of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupReport {
    /// Tenants.
    pub tenants: u64,
    /// Segments of the archive.
    pub segments: u64,
    /// Subjects of the schema repository.
    pub subjects: u64,
    /// Tables.
    pub tables: u64,
    /// Objects of the tables.
    pub objects: u64,
    /// Rows of errors and of their repairs.
    pub error_rows: u64,
    /// Bytes of all.
    pub bytes: u64,
}

impl std::fmt::Display for BackupReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tenants, segments, subjects, tables, objects, error_rows, bytes } = self;
        write!(
            f,
            "{tenants} tenants, {segments} archived segments, {subjects} subjects, {tables} tables in {objects} objects, \
             {error_rows} rows of errors, {bytes} bytes"
        )
    }
}

/// What a backup is of, beside its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    format: u32,
    pipeline: String,
    made_at: String,
    /// Per stream and shard, the last position.
    tails: Vec<(String, String, String)>,
    report: BackupReport,
}

const FORMAT: u32 = 1;
/// The subjects that say who works just now.
const LEASES: &str = "lease/";
/// The subjects that say what of the archive was let go.
const EXPIRED: &str = "expired/";

/// What a backup is of, as it was when it began.
struct Begun {
    subjects: Vec<SavedSubject>,
    tenants: Vec<TenantId>,
    /// Up to where the stages had archived what they received.
    raw: Cover,
    staged: Cover,
    /// The tables.
    pinned: Vec<Arc<Snapshot>>,
}

impl Fineo {
    /// Copies everything that was accepted before this call into `folder`, which is new or empty: archived segments,
    /// subjects with their history, tables, errors. Others may go on working meanwhile.
    ///
    /// The file that makes it a backup, with the checksum of every other, is written last.
    ///
    /// Of an archive that lists late it waits until everything that the stages received is listed, for as long as the archive may
    /// take; tables and errors are copied before. Nothing tells which segments of errors are not listed by then: those are missing
    /// in the backup. Its errors are whole all the same, for it has their rows; only were rows of the restored instance damaged,
    /// nobody would have another copy.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when the folder is not empty, `LimitExceeded` when the stages are too far behind, `Unavailable` when
    /// segments are still on their way to an archive that lists late, `Corrupt` when segments are missing, or a failure of a store
    /// or of the folder.
    pub async fn backup(&self, folder: impl AsRef<Path>) -> Result<BackupReport> {
        let mut writer = FolderWriter::create(folder.as_ref())?;
        self.wait_until_archived().await?;
        let mut report = BackupReport::default();
        let Begun { mut subjects, tenants, raw, staged, pinned } = self.begin_backup().await?;
        report.tenants = tenants.len() as u64;
        // Before it waits: what is replaced meanwhile is collected long before an archive that lists late has had its time.
        self.back_up_tables(&pinned, &mut writer, &mut report).await?;
        self.back_up_errors(&tenants, &mut writer, &mut report).await?;
        let covers = [(Stage::Raw, &raw), (Stage::Staged, &staged)];
        wait_until_listed(self, covers).await?;
        self.back_up_archive(covers, &mut writer, &mut report).await?;
        // Anew: what was let go of the archive since then is not in the copy. What this notes beyond that is harmless.
        subjects::read_again(&*self.parts.repo, EXPIRED, &mut subjects).await?;
        report.subjects = subjects.len() as u64;
        writer.write("subjects.ndjson", subjects::to_bytes(&subjects)?)?;
        report.bytes = writer.bytes();
        let head = Head {
            format: FORMAT,
            pipeline: self.pipeline.options().name.clone(),
            made_at: self.clock.now().to_string(),
            tails: self.tails().await?,
            report: report.clone(),
        };
        writer.finish(&head)?;
        Ok(report)
    }

    /// Looks at everything that the backup is to hold.
    async fn begin_backup(&self) -> Result<Begun> {
        let (repo, pipeline) = (&*self.parts.repo, &self.pipeline.options().name);
        for _ in 0..TRIES_MAX {
            // First the subjects: what they say of archive and tables is there when those are copied.
            let (subjects, tenants) = subjects::read(repo).await?;
            let staged = archived(repo, pipeline, Stage::Staged).await?;
            let raw = archived(repo, pipeline, Stage::Raw).await?;
            let mut pinned = Vec::new();
            for tenant in &tenants {
                for metric in self.tables.metrics(tenant).await? {
                    pinned.push(self.tables.snapshot(tenant, &metric).await?);
                }
            }
            if pinned.iter().all(|snapshot| staged.includes(&snapshot.cover)) {
                return Ok(Begun { subjects, tenants, raw, staged, pinned });
            }
        }
        Err(Error::unavailable("tables move on faster than they can be looked at: try again"))
    }

    async fn back_up_tables(
        &self,
        pinned: &[Arc<Snapshot>],
        writer: &mut FolderWriter,
        report: &mut BackupReport,
    ) -> Result<()> {
        for snapshot in pinned {
            let objects = self.tables.objects_of(snapshot).await?;
            report.tables += u64::from(!objects.is_empty());
            for relative in objects {
                let at = self.tables.object_path(&snapshot.tenant, &snapshot.metric, &relative);
                let read = async { self.parts.objects.store.get(&at).await?.bytes().await };
                let bytes = read.await.map_err(|source| {
                    Error::unavailable("an object of a table cannot be read: try again")
                        .with("path", &at)
                        .with_source(source)
                })?;
                writer.write(&format!("objects/{at}"), bytes)?;
                report.objects += 1;
            }
        }
        Ok(())
    }

    /// Completes once everything that was accepted before this call is archived.
    async fn wait_until_archived(&self) -> Result<()> {
        self.wait_until_drained().await?;
        let wanted: Vec<_> = self.pipeline.status().await?.shards;
        for _ in 0..ARCHIVED_WITHIN_TRIES {
            let now = self.pipeline.status().await?.shards;
            let is_archived = wanted.iter().all(|wanted| {
                let same = now.iter().find(|shard| shard.stage == wanted.stage && shard.shard == wanted.shard);
                same.is_some_and(|shard| wanted.tail <= shard.checkpoint)
            });
            if is_archived {
                return Ok(());
            }
            self.clock.sleep(WAIT).await;
        }
        Err(Error::new(ErrorKind::LimitExceeded, "what was accepted is not archived within a minute: try again later"))
    }

    async fn back_up_archive(
        &self,
        covers: [(Stage, &Cover); 2],
        writer: &mut FolderWriter,
        report: &mut BackupReport,
    ) -> Result<()> {
        for (stage, archived) in covers {
            for kind in SegmentKind::ALL {
                let mut listed = self.parts.archive.segments(SegmentQuery::new(stage, kind));
                while let Some(info) = listed.next().await {
                    let name = info?.name;
                    // What came later belongs to the next backup.
                    if !archived.contains(&name.shard, name.first) {
                        continue;
                    }
                    let bytes = match self.parts.archive.read(&name, None).await {
                        // It was let go since it was listed.
                        Err(error) if error.kind() == ErrorKind::NotFound && self.is_expired(&name).await? => continue,
                        read => read?,
                    };
                    writer.write(&format!("archive/{}", name.path()), bytes)?;
                    report.segments += 1;
                }
            }
        }
        Ok(())
    }

    /// Whether a segment may be gone because it was old enough.
    async fn is_expired(&self, name: &SegmentName) -> Result<bool> {
        let expired = Expired::read(&*self.parts.repo, &self.pipeline.options().name, name.stage).await?;
        Ok(name.kind == SegmentKind::Received && expired.cover().contains(&name.shard, name.last))
    }

    async fn back_up_errors(
        &self,
        tenants: &[TenantId],
        writer: &mut FolderWriter,
        report: &mut BackupReport,
    ) -> Result<()> {
        for tenant in tenants {
            for metric in rows::metrics() {
                let (bytes, count) = rows::read(&*self.parts.nearline, tenant, &metric).await?;
                if count > 0 {
                    writer.write(&format!("rows/{tenant}/{metric}.ndjson"), bytes)?;
                    report.error_rows += count;
                }
            }
        }
        Ok(())
    }

    /// The last position of each shard: that of the stream, or of what a stage archived of one that is empty since, as those of
    /// a restored instance are.
    async fn tails(&self) -> Result<Vec<(String, String, String)>> {
        let mut tails = Vec::new();
        for (stage, stream) in [(Stage::Raw, &self.parts.raw), (Stage::Staged, &self.parts.staged)] {
            let mut last = archived(&*self.parts.repo, &self.pipeline.options().name, stage).await?;
            for shard in stream.shards().await? {
                if let Some(tail) = stream.tail(&shard.id).await? {
                    last.advance(&shard.id, tail);
                }
            }
            tails.extend(last.iter().map(|(shard, last)| (stage.to_string(), shard.to_string(), last.to_string())));
        }
        Ok(tails)
    }
}
