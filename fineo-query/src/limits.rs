//! What one query may cost.

use std::{path::PathBuf, time::Duration};

use fineo_core::Result;

use crate::sql::text;

/// The bounds of one query. Reaching one ends that query with an error that names it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QueryLimits {
    /// The most bytes of SQL text.
    pub text_bytes_max: usize,
    /// The most words, names, literals and signs in it.
    pub tokens_max: usize,
    /// The deepest nesting of parentheses.
    pub nesting_max: usize,
    /// The most operators, joins and set operations: each may deepen the plan by one.
    pub operators_max: usize,
    /// The most time from the call to the last row.
    pub time_max: Duration,
    /// The most bytes that sorts, joins and aggregates hold.
    pub memory_bytes_max: usize,
    /// Where they may put what does not fit; without it the query fails.
    pub spill_directory: Option<PathBuf>,
    /// The most bytes put there.
    pub spill_bytes_max: u64,
    /// The most rows of a result.
    pub result_rows_max: u64,
    /// The most bytes of a result.
    pub result_bytes_max: u64,
    /// How many tasks share the work of a query.
    pub parallelism: usize,
    /// The most rows of one batch.
    pub batch_rows_max: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            text_bytes_max: 256 << 10,
            tokens_max: 50_000,
            nesting_max: 64,
            operators_max: 500,
            time_max: Duration::from_secs(300),
            memory_bytes_max: 512 << 20,
            spill_directory: None,
            spill_bytes_max: 10 << 30,
            result_rows_max: 100_000_000,
            result_bytes_max: 64 << 30,
            parallelism: 2,
            batch_rows_max: 8192,
        }
    }
}

impl QueryLimits {
    /// Whether `sql` is short, flat and plain enough to be parsed: for texts that are read before a session
    /// gets them, or that it never gets. A session checks what it is given itself.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` when it is not; `Invalid` when it cannot be cut into words, or is more than one statement.
    pub fn check(&self, sql: &str) -> Result<()> {
        text::tokens(sql, self).map(|_| ())
    }

    /// Changes how long a query may take.
    #[must_use]
    pub fn with_time_max(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    /// Changes how much memory a query may hold.
    #[must_use]
    pub fn with_memory_bytes_max(mut self, memory_bytes_max: usize) -> Self {
        self.memory_bytes_max = memory_bytes_max;
        self
    }

    /// Another bound on the bytes of SQL text.
    #[must_use]
    pub fn with_text_bytes_max(mut self, text_bytes_max: usize) -> Self {
        self.text_bytes_max = text_bytes_max;
        self
    }

    /// Lets queries put into `directory` what their memory does not hold.
    #[must_use]
    pub fn with_spill_directory(mut self, directory: PathBuf) -> Self {
        self.spill_directory = Some(directory);
        self
    }

    /// Changes how many rows a result may have.
    #[must_use]
    pub fn with_result_rows_max(mut self, result_rows_max: u64) -> Self {
        self.result_rows_max = result_rows_max;
        self
    }

    /// Changes how many bytes a result may have.
    #[must_use]
    pub fn with_result_bytes_max(mut self, result_bytes_max: u64) -> Self {
        self.result_bytes_max = result_bytes_max;
        self
    }

    /// Changes how many tasks share the work of a query.
    #[must_use]
    pub fn with_parallelism(mut self, parallelism: usize) -> Self {
        self.parallelism = parallelism.max(1);
        self
    }
}
