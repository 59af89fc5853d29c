//! A copy of an instance in a folder: what was archived, the schemas' history, the tables, the errors.
//!
//! Others go on working while it is read, so it is no picture of one instant. It is whole all the same, whatever comes between two
//! reads, because nothing in it speaks of what came later and is not there. That is a matter of order:
//!
//! 1. **What promises**: up to where rows may have left the nearline store, which batches came, and what is in files. Then it waits
//!    until everything that came so far is archived: nobody is told of a batch that it has come while its events are missing.
//! 2. **The tables**, each pinned right before it is copied. They have what the floors of (1) promise.
//! 3. **The names that were counted.** Then it waits again: they are of records that are archived by now. What is archived and was
//!    not counted yet the restore counts.
//! 4. **What belongs to nobody**, the checkpoints among it. The archive is copied up to these very checkpoints: they lie behind
//!    everything that the tables have, for compaction takes in what checkpoints cover.
//! 5. **The archive, then the errors** of everybody who is in it.
//! 6. **The schemas**, each tenant's as of one version. They are last, because records, files and counted names speak of versions
//!    and metrics that were there before them, and schemas speak of nothing but themselves and of positions.
//! 7. **What the archive let go of**, anew: what is no longer there was in files at (1), so the tables have it, or there is no
//!    backup.
//! 8. **The ends of the streams**, behind everything that any of this speaks of: a restored instance goes on behind them.
//!
//! Events that come meanwhile may be in some of it and not in the rest: in the archive of stage raw and no row, for example.

mod archive;
mod folder;
mod listed;
#[cfg(feature = "local")]
mod restore;
mod rows;
mod subjects;
mod tables;

#[cfg(feature = "local")]
pub(crate) use restore::Unfinished;

use std::{collections::BTreeSet, path::Path, time::Duration};

use fineo_compact::in_files;
use fineo_core::{Cover, Error, ErrorKind, Result, TenantId, archive::Stage};
use fineo_ingest::{Expired, archived, archived_by};
use serde::{Deserialize, Serialize};

use crate::Fineo;
use folder::FolderWriter;
use listed::wait_until_listed;
use subjects::SavedSubject;

/// How long a backup waits for what was accepted to be archived.
const ARCHIVED_WITHIN_TRIES: u32 = 600;
const WAIT: Duration = Duration::from_millis(100);

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
/// The subjects that say what of the archive was let go.
const EXPIRED: &str = "expired/";

impl Fineo {
    /// Copies everything that was accepted before this call into `folder`, which is new or empty: archived segments,
    /// subjects with their history, tables, errors. Others may go on working meanwhile.
    ///
    /// The file that makes it a backup, with the checksum of every other, is written last.
    ///
    /// Of an archive that lists late it waits until everything that the stages received is listed, for as long as the archive may
    /// take; tables are copied before. Nothing tells which segments of errors are not listed by then: those are missing
    /// in the backup. Its errors are whole all the same, for it has their rows; only were rows of the restored instance damaged,
    /// nobody would have another copy.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when the folder is not empty, `LimitExceeded` when the stages are too far behind, `Unavailable` when
    /// segments are still on their way to an archive that lists late, or when the archive let go of records that came to files
    /// only meanwhile, `Corrupt` when segments are missing, or a failure of a store
    /// or of the folder.
    pub async fn backup(&self, folder: impl AsRef<Path>) -> Result<BackupReport> {
        let mut copy = Copy::begin(FolderWriter::create(folder.as_ref())?);
        let (repo, pipeline) = (&*self.parts.repo, &self.pipeline.options().name);
        let in_files = self.in_files().await?;
        copy.subjects = subjects::read_of_tenants(repo).await?;
        self.wait_until_archived().await?;
        // Before it waits: what is replaced meanwhile is collected long before an archive that lists late has had its time.
        self.back_up_tables(&mut copy).await?;
        copy.subjects.extend(subjects::read_names(repo).await?);
        self.wait_until_stage_archived(Stage::Staged).await?;
        copy.subjects.extend(subjects::read_of_nobody(repo).await?);
        let (raw, staged) = (copy.archived(pipeline, Stage::Raw)?, copy.archived(pipeline, Stage::Staged)?);
        let covers = [(Stage::Raw, &raw), (Stage::Staged, &staged)];
        wait_until_listed(self, covers).await?;
        self.back_up_archive(covers, &mut copy).await?;
        self.back_up_errors(&mut copy).await?;
        copy.subjects.extend(subjects::read_schemas(repo).await?);
        // What this notes beyond what was let go by the time that the archive was copied is harmless.
        subjects::read_again(repo, EXPIRED, &mut copy.subjects).await?;
        self.check_let_go(&in_files).await?;
        let tails = self.tails().await?;
        copy.finish(pipeline, self.clock.now().to_string(), tails)
    }

    /// What of stage staged was in files before any was copied.
    async fn in_files(&self) -> Result<Cover> {
        let (repo, pipeline) = (&*self.parts.repo, &self.pipeline.options().name);
        let mut cover = in_files(repo, pipeline).await?;
        cover.merge(Expired::read(repo, pipeline, Stage::Staged).await?.cover());
        Ok(cover)
    }

    /// Fails when the archive let go of records that may have come to files after those were copied.
    async fn check_let_go(&self, in_files: &Cover) -> Result<()> {
        let expired = Expired::read(&*self.parts.repo, &self.pipeline.options().name, Stage::Staged).await?;
        match in_files.includes(expired.cover()) {
            true => Ok(()),
            false => Err(Error::unavailable("the archive let go of records that were just compacted: try again")),
        }
    }

    /// Completes once everything that was accepted before this call is archived, by whichever process.
    async fn wait_until_archived(&self) -> Result<()> {
        self.wait_until_drained().await?;
        for stage in Stage::ALL {
            self.wait_until_stage_archived(stage).await?;
        }
        Ok(())
    }

    /// Completes once everything that is in the stream of `stage` now is archived.
    async fn wait_until_stage_archived(&self, stage: Stage) -> Result<()> {
        let (repo, pipeline) = (&*self.parts.repo, &self.pipeline.options().name);
        let wanted = self.last_positions(stage).await?;
        for _ in 0..ARCHIVED_WITHIN_TRIES {
            if archived(repo, pipeline, stage).await?.includes(&wanted) {
                return Ok(());
            }
            self.clock.sleep(WAIT).await;
        }
        let message = "what was accepted is not archived within a minute: try again later";
        Err(Error::new(ErrorKind::LimitExceeded, message).with("stage", stage))
    }

    async fn back_up_errors(&self, copy: &mut Copy) -> Result<()> {
        for tenant in copy.tenants()? {
            for metric in rows::metrics() {
                let (bytes, count) = rows::read(&*self.parts.nearline, &tenant, &metric).await?;
                if count > 0 {
                    copy.writer.write(&format!("rows/{}", rows::path(&tenant, &metric)), bytes)?;
                    copy.report.error_rows += count;
                    copy.with_errors.insert(tenant.clone());
                }
            }
        }
        Ok(())
    }

    /// The last position of each shard.
    async fn tails(&self) -> Result<Vec<(String, String, String)>> {
        let mut tails = Vec::new();
        for stage in Stage::ALL {
            let last = self.last_positions(stage).await?;
            tails.extend(last.iter().map(|(shard, last)| (stage.to_string(), shard.to_string(), last.to_string())));
        }
        Ok(tails)
    }
}

/// A copy that is being made.
struct Copy {
    writer: FolderWriter,
    report: BackupReport,
    subjects: Vec<SavedSubject>,
    /// Who is in a segment.
    in_segments: BTreeSet<TenantId>,
    with_errors: BTreeSet<TenantId>,
}

impl Copy {
    fn begin(writer: FolderWriter) -> Self {
        let (report, subjects) = (BackupReport::default(), Vec::new());
        Self { writer, report, subjects, in_segments: BTreeSet::new(), with_errors: BTreeSet::new() }
    }

    /// Up to where `stage` had archived what it received, by its checkpoints in this copy.
    fn archived(&self, pipeline: &str, stage: Stage) -> Result<Cover> {
        let of_nobody = self.subjects.iter().filter_map(SavedSubject::of_nobody);
        let bodies = of_nobody.collect::<Result<Vec<_>>>()?;
        archived_by(bodies.iter().map(|(name, body)| (*name, &**body)), pipeline, stage)
    }

    /// Who has subjects or is in a segment.
    fn tenants(&self) -> Result<BTreeSet<TenantId>> {
        let mut tenants = subjects::owners(&self.subjects)?;
        tenants.extend(self.in_segments.iter().cloned());
        Ok(tenants)
    }

    /// Writes the subjects, and the list that makes it a backup.
    fn finish(mut self, pipeline: &str, made_at: String, tails: Vec<(String, String, String)>) -> Result<BackupReport> {
        let mut tenants = subjects::owners(&self.subjects)?;
        tenants.extend(self.with_errors);
        self.report.tenants = tenants.len() as u64;
        self.report.subjects = self.subjects.len() as u64;
        self.writer.write("subjects.ndjson", subjects::to_bytes(&self.subjects)?)?;
        self.report.bytes = self.writer.bytes();
        let head = Head { format: FORMAT, pipeline: pipeline.to_owned(), made_at, tails, report: self.report };
        self.writer.finish(&head)?;
        Ok(head.report)
    }
}
