//! How compaction works, and on what.

use std::{path::PathBuf, time::Duration};

use fineo_core::{MetricId, TenantId};

/// Whose records are compacted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// Everybody's.
    #[default]
    All,
    /// One tenant's.
    Tenant(TenantId),
}

/// Which days are written anew although they have no new records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rewrite {
    /// None.
    #[default]
    Never,
    /// Those with files that were written under an earlier schema: afterwards every field that was declared since
    /// has its typed column, and outside readers see renamed columns under their new names.
    Stale,
}

/// Whose tables are made anew out of the whole archive, as a fresh generation that takes the place of the former at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fresh {
    /// Nobody's.
    #[default]
    None,
    /// Those of all metrics.
    All,
    /// Those of these metrics.
    Metrics(Vec<MetricId>),
}

impl Fresh {
    /// Whether the table of `metric` is made anew.
    pub fn is_of(&self, metric: &MetricId) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Metrics(metrics) => metrics.contains(metric),
        }
    }
}

/// How compaction works.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CompactOptions {
    /// The name of the pipeline whose archive is compacted.
    pub pipeline: String,
    /// Whose records.
    pub selection: Selection,
    /// Which days are written anew without need.
    pub rewrite: Rewrite,
    /// Whose tables are made anew.
    pub fresh: Fresh,
    /// Records in memory; what is more goes to scratch files. The whole run takes about twice as much.
    pub memory_bytes: usize,
    /// Where scratch files go; none for the system's place.
    pub scratch: Option<PathBuf>,
    /// So many files are made at once.
    pub jobs: usize,
    /// The level of zstd, 1-22.
    pub zstd_level: i32,
    /// The most rows of a row group.
    pub group_rows: usize,
    /// The share of new records that must bear an undeclared name for it to get a column, 0-1.
    pub presence_min: f64,
    /// The most columns of undeclared names that a table gets.
    pub columns_max: usize,
    /// A file that is smaller may be merged with others of its day, unless it is a part of what is too much for one file.
    pub small_file_bytes: u64,
    /// So many small files of a day, at least, are merged when the day gets new records: those whose largest is no larger than all
    /// that is added to it, so that a row is seldom written anew.
    pub small_files_max: usize,
    /// New records of a tenant that has fewer wait for more of them, for a file costs much the same however few rows it has;
    /// nobody's with 0.
    pub few_records: u64,
    /// They wait no longer than this after the first of them arrived.
    pub wait_for: Duration,
    /// A query may hold a snapshot for so long: rows and files that it needs are kept.
    pub pin_for: Duration,
    /// Rows stay in the nearline store for so long after they were compacted, so that it recognises what producers
    /// send again.
    pub retain_for: Duration,
    /// Archived segments of what the stages received go when they are older than this and nothing needs them; for none they
    /// are kept for ever.
    pub archive_retain: Option<Duration>,
    /// How long a tenant's lease holds that is not renewed.
    pub lease_for: Duration,
    /// The name of this process among the workers; none for one by chance.
    pub owner: Option<String>,
    /// Whether no other process can compact these stores: leases are then taken over at once.
    pub is_alone: bool,
}

impl CompactOptions {
    /// So few new records of a tenant wait where compaction runs again and again ([`CompactOptions::few_records`]).
    pub const FEW_RECORDS: u64 = 1_000;

    /// Rows leave the nearline store so long after they were compacted: no query needs them there, and no producer sends them again.
    pub(crate) fn retire_after(&self) -> Duration {
        self.pin_for.max(self.retain_for)
    }
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self {
            pipeline: "main".to_owned(),
            selection: Selection::All,
            rewrite: Rewrite::Never,
            fresh: Fresh::None,
            memory_bytes: 128 << 20,
            scratch: None,
            jobs: 2,
            zstd_level: 3,
            group_rows: 1 << 17,
            presence_min: 0.01,
            columns_max: 300,
            small_file_bytes: 16 << 20,
            small_files_max: 4,
            few_records: 0,
            wait_for: Duration::from_secs(900),
            pin_for: Duration::from_secs(3600),
            retain_for: Duration::from_secs(24 * 3600),
            archive_retain: None,
            lease_for: Duration::from_secs(60),
            owner: None,
            is_alone: false,
        }
    }
}

macro_rules! with {
    ($($(#[$doc:meta])* $method:ident($field:ident: $type:ty);)+) => {
        impl CompactOptions {
            $($(#[$doc])*
            #[must_use]
            pub fn $method(mut self, $field: $type) -> Self {
                self.$field = $field;
                self
            })+
        }
    };
}

with! {
    /// Another pipeline's archive.
    with_pipeline(pipeline: String);
    /// Another selection.
    with_selection(selection: Selection);
    /// Other days to be written anew.
    with_rewrite(rewrite: Rewrite);
    /// Other tables to be made anew.
    with_fresh(fresh: Fresh);
    /// Another bound of memory.
    with_memory_bytes(memory_bytes: usize);
    /// Another place for scratch files.
    with_scratch(scratch: Option<PathBuf>);
    /// Another number of files at once.
    with_jobs(jobs: usize);
    /// Another level of zstd.
    with_zstd_level(zstd_level: i32);
    /// Another size of row groups.
    with_group_rows(group_rows: usize);
    /// Another share of records.
    with_presence_min(presence_min: f64);
    /// Another number of columns.
    with_columns_max(columns_max: usize);
    /// Another number of small files of a day.
    with_small_files_max(small_files_max: usize);
    /// Another size of small files.
    with_small_file_bytes(small_file_bytes: u64);
    /// So few new records of a tenant wait for more.
    with_few_records(few_records: u64);
    /// Another time that they wait.
    with_wait_for(wait_for: Duration);
    /// Another time that queries may take.
    with_pin_for(pin_for: Duration);
    /// Another time to keep compacted rows nearline.
    with_retain_for(retain_for: Duration);
    /// Another time to keep the archive.
    with_archive_retain(archive_retain: Option<Duration>);
    /// Another time that a lease holds.
    with_lease_for(lease_for: Duration);
    /// This owner of leases.
    with_owner(owner: Option<String>);
    /// Whether no other process compacts.
    with_is_alone(is_alone: bool);
}
