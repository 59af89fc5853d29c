//! A backup back into an instance, in a directory that is new.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use fineo_backend_local::LocalOptions;
use fineo_core::{
    Error, ErrorKind, Position, Result, TenantId,
    archive::{Created, SegmentName, Stage},
};
use fineo_ingest::{ReplayRequest, archived};
use object_store::{ObjectStoreExt, path::Path as ObjectPath};

use super::{
    BackupReport,
    folder::{self, FolderReader, check_empty},
    rows, subjects,
};
use crate::{Builder, Fineo, Parts, builder::local_parts_with};

impl Builder {
    /// Makes the instance that this builder would open out of the backup in `folder`, and closes it again. Every file is
    /// compared with its checksum before anything is written, and what was written is counted.
    ///
    /// When it fails or is ended, what was written so far is of no use, and the directory does not open: remove it and begin
    /// again.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when the instance's directory is not empty, `NotFound` when there is no backup, `Corrupt` when a
    /// file of it is missing or damaged, `Unsupported` when the instance is not in a directory, or a failure of a store.
    pub async fn restore_from(self, folder: impl AsRef<Path>) -> Result<BackupReport> {
        let Some(directory) = self.directory().map(Path::to_owned) else {
            let message = "a backup is restored into a directory: open the instance with Fineo::local";
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        check_empty(&directory)?;
        let reader = FolderReader::open(folder.as_ref())?;
        let unfinished = Unfinished::begin(&directory)?;
        let options = LocalOptions::default().with_positions_after(last_position(&reader)?);
        let (parts, local) = local_parts_with(directory, options).await?;
        let mut report = BackupReport::default();
        copy(&reader, &parts, &mut report).await?;
        let tenants = parts.repo.tenants().await?;
        // Those who have nothing but errors have no subjects.
        let mut all: BTreeSet<TenantId> = tenants.iter().cloned().collect();
        for (path, _) in reader.below("rows/") {
            all.insert(rows::owner(path)?.0);
        }
        report.tenants = all.len() as u64;
        drop(parts);
        local.close().await?;

        let fineo = self.restoring().open().await?;
        for tenant in &tenants {
            bring_rows_back(&fineo, tenant).await?;
        }
        // The names that those bear and the backup had not counted.
        for (shard, _) in archived(&*fineo.parts.repo, &fineo.pipeline.options().name, Stage::Staged).await?.iter() {
            fineo.discovery.save(shard).await?;
        }
        fineo.close().await?;
        // Backups of before count tenants that have nothing but a lease, too.
        let backed_up = BackupReport { tenants: report.tenants, ..reader.head.report.clone() };
        if report != backed_up {
            let error =
                Error::corrupt("not everything of the backup was restored: remove the directory and begin again");
            return Err(error.with("restored", &report).with("backed_up", &backed_up));
        }
        unfinished.end()?;
        Ok(report)
    }
}

/// A file that stands in a directory while it is restored: with it the directory does not open.
pub(crate) struct Unfinished(PathBuf);

impl Unfinished {
    const NAME: &str = "restore-unfinished";

    fn begin(directory: &Path) -> Result<Self> {
        let path = directory.join(Self::NAME);
        let made = || {
            folder::make(directory)?;
            File::create(&path)?.sync_all()?;
            folder::sync(directory)
        };
        made().map_err(|source| failed(&path, source))?;
        Ok(Self(path))
    }

    fn end(self) -> Result<()> {
        let removed = fs::remove_file(&self.0).and_then(|()| match self.0.parent() {
            Some(directory) => folder::sync(directory),
            None => Ok(()),
        });
        removed.map_err(|source| failed(&self.0, source))
    }

    /// Refuses a directory whose restore did not come to its end.
    pub(crate) fn check(directory: &Path) -> Result<()> {
        if directory.join(Self::NAME).exists() {
            let message = "the restore of this directory did not come to its end: remove it and restore again";
            return Err(Error::invalid(message).with("directory", directory.display()));
        }
        Ok(())
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::unavailable("the mark of an unfinished restore cannot be changed")
        .with("path", path.display())
        .with_source(source)
}

/// The last position of a shard that the directory's own shards are called after.
fn last_position(reader: &FolderReader) -> Result<Option<Position>> {
    let mut last: Option<Position> = None;
    for (_, shard, position) in &reader.head.tails {
        let number = shard.strip_prefix('s').is_some_and(|digits| digits.parse::<u32>().is_ok());
        if number {
            last = last.max(Some(position.parse()?));
        }
    }
    Ok(last)
}

async fn copy(reader: &FolderReader, parts: &Parts, report: &mut BackupReport) -> Result<()> {
    for (path, file) in reader.below("archive/") {
        let (name, bytes) = (SegmentName::from_path(path)?, reader.read(file)?);
        report.bytes += bytes.len() as u64;
        match parts.archive.write(&name, bytes).await.into_result()? {
            Created::New | Created::Same => report.segments += 1,
            Created::Conflict => {
                return Err(Error::corrupt("two segments of the backup have one name").with("path", path));
            }
        }
    }
    let mut last_metric = String::new();
    for (path, file) in reader.below("objects/") {
        let (at, bytes) = (ObjectPath::from(path), reader.read(file)?);
        report.bytes += bytes.len() as u64;
        parts.objects.store.put(&at, bytes.into()).await.map_err(|source| {
            Error::unavailable("an object of a table cannot be written").with("path", &at).with_source(source)
        })?;
        report.objects += 1;
        let metric: String = path.split('/').take(2).collect::<Vec<_>>().join("/");
        report.tables += u64::from(metric != last_metric);
        last_metric = metric;
    }
    for (path, file) in reader.below("rows/") {
        let ((tenant, metric), bytes) = (rows::owner(path)?, reader.read(file)?);
        report.bytes += bytes.len() as u64;
        report.error_rows += rows::restore(&*parts.nearline, &tenant, &metric, &bytes).await?;
    }
    parts.nearline.sync().await.into_result()?;
    // Last, so that a directory without it is seen to be unfinished.
    for (_, file) in reader.below("subjects.ndjson") {
        let bytes = reader.read(file)?;
        report.bytes += bytes.len() as u64;
        report.subjects = subjects::restore(&*parts.repo, &bytes).await?;
    }
    Ok(())
}

/// Makes the rows that were nearline again of what stage staged had archived.
async fn bring_rows_back(fineo: &Fineo, tenant: &TenantId) -> Result<()> {
    fineo.replay(ReplayRequest::new(Stage::Staged, tenant.clone())).await?;
    for metric in fineo.tables.metrics(tenant).await? {
        // Files answer for these, and they had left the nearline store.
        let floor = fineo.tables.floor(tenant, &metric).await?;
        fineo.parts.nearline.remove(tenant, &metric, &floor).await.into_result()?;
    }
    Ok(())
}
