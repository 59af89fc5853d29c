//! What a deployment may choose about its directory.

use fineo_core::Position;

/// Settings of a [`crate::LocalDirectory`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalOptions {
    /// A log starts another file beyond this many bytes.
    pub log_segment_bytes: u64,
    /// The newest bytes of each shard that are kept in memory, so that a reader close behind never touches the disk.
    pub log_cache_bytes: usize,
    /// The most bytes of rows in memory; beyond it rows move to segments.
    pub memtable_bytes: usize,
    /// The nearline journal starts anew beyond this many bytes.
    pub journal_bytes: u64,
    /// The most bytes of segments of rows that are kept in memory: footers, dictionaries, rare cells, and what look-ups read.
    pub cache_bytes: usize,
    /// Space held back for checkpoints and shutdown when the disk is full.
    pub ballast_bytes: u64,
    /// Whether done means on disk. Without it the directory survives the death of the process only, and says so.
    pub fsync: bool,
    /// Positions that are given out from now on lie behind this one: the last of a directory that this one is made of.
    pub positions_after: Option<Position>,
    /// Whether a directory in which there is no store becomes one.
    pub creates_missing: bool,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            log_segment_bytes: 64 << 20,
            log_cache_bytes: 4 << 20,
            memtable_bytes: 16 << 20,
            journal_bytes: 32 << 20,
            cache_bytes: 32 << 20,
            ballast_bytes: 64 << 20,
            fsync: true,
            positions_after: None,
            creates_missing: true,
        }
    }
}

impl LocalOptions {
    /// A log starts another file beyond `bytes`.
    #[must_use]
    pub fn with_log_segment_bytes(mut self, bytes: u64) -> Self {
        self.log_segment_bytes = bytes;
        self
    }

    /// Keeps the newest `bytes` of each shard in memory.
    #[must_use]
    pub fn with_log_cache_bytes(mut self, bytes: usize) -> Self {
        self.log_cache_bytes = bytes;
        self
    }

    /// Moves rows to segments when there are more than `bytes` of them in memory.
    #[must_use]
    pub fn with_memtable_bytes(mut self, bytes: usize) -> Self {
        self.memtable_bytes = bytes;
        self
    }

    /// Starts the nearline journal anew beyond `bytes`.
    #[must_use]
    pub fn with_journal_bytes(mut self, bytes: u64) -> Self {
        self.journal_bytes = bytes;
        self
    }

    /// Keeps at most `bytes` of segments of rows in memory: footers, dictionaries, rare cells, and what look-ups read.
    #[must_use]
    pub fn with_cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Holds `bytes` back for checkpoints and shutdown when the disk is full.
    #[must_use]
    pub fn with_ballast_bytes(mut self, bytes: u64) -> Self {
        self.ballast_bytes = bytes;
        self
    }

    /// Gives out positions behind `last`.
    #[must_use]
    pub fn with_positions_after(mut self, last: Option<Position>) -> Self {
        self.positions_after = last;
        self
    }

    /// Says whether a directory in which there is no store becomes one.
    #[must_use]
    pub fn with_creates_missing(mut self, creates: bool) -> Self {
        self.creates_missing = creates;
        self
    }

    /// Says whether done means on disk; for tests and measurements.
    #[must_use]
    pub fn with_fsync(mut self, fsync: bool) -> Self {
        self.fsync = fsync;
        self
    }
}
