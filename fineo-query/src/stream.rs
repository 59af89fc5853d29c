//! The rows of a result, as they come, within the query's limits.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use datafusion::{
    arrow::{
        array::{RecordBatch, RecordBatchOptions},
        datatypes::SchemaRef,
    },
    execution::SendableRecordBatchStream,
};
use fineo_core::{Clock, Error, ErrorKind, Result};
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture};

use crate::{
    QueryLimits,
    error::{classify, defect, exceeded},
    instants,
    pins::SNAPSHOT_TOO_OLD,
    plan::panicked,
    reader::Granted,
};

/// The result of a query: Arrow batches as they are computed.
///
/// Dropping it cancels the query and releases what it holds. After an error it ends.
pub struct QueryStream {
    schema: SchemaRef,
    batches: Option<SendableRecordBatchStream>,
    time_is_up: BoxFuture<'static, ()>,
    rows_left: u64,
    bytes_left: u64,
    again: Again,
    granted: Option<Watched>,
}

/// What the reader was granted, looked at as rows come.
struct Watched {
    granted: Granted,
    clock: Arc<dyn Clock>,
    renewed: BoxFuture<'static, ()>,
}

/// Plans and starts the same query anew.
pub(crate) type Restart = Box<dyn FnMut() -> BoxFuture<'static, Result<SendableRecordBatchStream>> + Send>;

/// How a query is begun anew whose snapshot was outrun before a row of it was shown.
struct Again {
    restart: Option<Restart>,
    left: u32,
    starting: Option<BoxFuture<'static, Result<SendableRecordBatchStream>>>,
}

/// How often a query is begun anew.
const RESTARTS_MAX: u32 = 5;

impl QueryStream {
    /// Has it begin anew by `restart` when rows moved before the first was shown.
    pub(crate) fn with_again(mut self, restart: Restart) -> Self {
        self.again.restart = Some(restart);
        self
    }

    /// Ends it when what its reader was granted is taken back.
    pub(crate) fn with_granted(mut self, granted: Option<Granted>, clock: &Arc<dyn Clock>) -> Self {
        let watched = |granted: Granted| Watched { renewed: granted.renewed(clock), clock: Arc::clone(clock), granted };
        self.granted = granted.map(watched);
        self
    }

    pub(crate) fn new(
        schema: SchemaRef,
        batches: SendableRecordBatchStream,
        time_is_up: BoxFuture<'static, ()>,
        limits: &QueryLimits,
    ) -> Self {
        Self {
            schema,
            batches: Some(batches),
            time_is_up,
            rows_left: limits.result_rows_max,
            bytes_left: limits.result_bytes_max,
            again: Again { restart: None, left: RESTARTS_MAX, starting: None },
            granted: None,
        }
    }

    /// The columns of the result.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    ///
    /// What ended the query; nothing follows.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        self.next().await.transpose()
    }

    /// All rows.
    ///
    /// # Errors
    ///
    /// What ended the query.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next_batch().await? {
            batches.push(batch);
        }
        Ok(batches)
    }

    /// All rows as CSV with a header: for examples and small answers. Times are RFC 3339, null is an empty cell.
    ///
    /// # Errors
    ///
    /// What ended the query, or `Unsupported` for a column that CSV cannot show.
    pub async fn to_csv(mut self) -> Result<String> {
        let unsupported =
            |source| Error::new(ErrorKind::Unsupported, "not a table that CSV can show").with_source(source);
        let mut writer = datafusion::arrow::csv::Writer::new(Vec::new());
        writer.write(&RecordBatch::new_empty(self.schema.clone())).map_err(unsupported)?;
        while let Some(batch) = self.next_batch().await? {
            writer.write(&batch).map_err(unsupported)?;
        }
        String::from_utf8(writer.into_inner()).map_err(|source| Error::internal("CSV is text").with_source(source))
    }

    /// `batch` under the names of the result, once it is counted.
    fn counted(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        self.count(batch)?;
        instants::check(batch)?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), batch.columns().to_vec(), &options)
            .map_err(|source| defect("a result does not fit its schema").with_source(source))
    }

    /// Refuses to go on when what the reader was granted was taken back. Whoever keeps rows that were read looks at this before
    /// they are shown.
    ///
    /// # Errors
    ///
    /// `Invalid` with the code `permission_revoked`.
    pub fn check_granted(&self) -> Result<()> {
        self.granted.as_ref().map_or(Ok(()), |watched| watched.granted.check())
    }

    /// Counts `batch` against the limits of the result.
    fn count(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        // What a slice keeps alive is counted, not only what it shows.
        let bytes = u64::try_from(batch.get_array_memory_size()).unwrap_or(u64::MAX);
        match (self.rows_left.checked_sub(rows), self.bytes_left.checked_sub(bytes)) {
            (Some(rows_left), Some(bytes_left)) => {
                self.rows_left = rows_left;
                self.bytes_left = bytes_left;
                Ok(())
            }
            (None, _) => Err(exceeded("result_limit", "the result has too many rows")
                .with("hint", "aggregate, or ask for a part with LIMIT or a time range")),
            (_, None) => Err(exceeded("result_limit", "the result has too many bytes")
                .with("hint", "aggregate, or ask for a part with LIMIT or a time range")),
        }
    }
}

/// The error of a query whose time is up.
pub(crate) fn took_too_long() -> fineo_core::Error {
    exceeded("time_limit", "the query took too long").with("hint", "ask for a shorter time range or fewer columns")
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(batches) = &mut this.batches else { return Poll::Ready(None) };
        if let Some(watched) = &mut this.granted {
            watched.poll_renewed(context);
        }
        if this.time_is_up.as_mut().poll(context).is_ready() {
            this.batches = None;
            return Poll::Ready(Some(Err(took_too_long())));
        }
        if let Some(starting) = &mut this.again.starting {
            match starting.poll_unpin(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(started)) => *batches = started,
                Poll::Ready(Err(error)) => {
                    this.batches = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            this.again.starting = None;
        }
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| batches.poll_next_unpin(context)));
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(None)) => None,
            Ok(Poll::Ready(Some(Ok(batch)))) => {
                // What was shown cannot be taken back.
                this.again.restart = None;
                Some(this.check_granted().and_then(|()| this.counted(&batch)))
            }
            Ok(Poll::Ready(Some(Err(error)))) => match this.again.restarted(classify(&error)) {
                // What went wrong may tell of what may not be read any more.
                Some(error) => Some(Err(this.check_granted().err().unwrap_or(error))),
                None => return self.poll_next(context),
            },
            Err(panic) => Some(Err(panicked(panic.as_ref()))),
        };
        if !matches!(outcome, Some(Ok(_))) {
            this.batches = None;
        }
        Poll::Ready(outcome)
    }
}

impl fmt::Debug for QueryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryStream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Watched {
    /// Reads the schema again when it is old.
    fn poll_renewed(&mut self, context: &mut Context<'_>) {
        while self.renewed.poll_unpin(context).is_ready() {
            self.renewed = self.granted.renewed(&self.clock);
        }
    }
}

impl Again {
    /// Begins anew where `error` says that rows moved; else hands it back.
    fn restarted(&mut self, error: Error) -> Option<Error> {
        let is_outrun = error.context().iter().any(|(name, value)| *name == "code" && value == SNAPSHOT_TOO_OLD);
        match &mut self.restart {
            Some(restart) if is_outrun && self.left > 0 => {
                self.left -= 1;
                self.starting = Some(restart());
                None
            }
            Some(_) | None => Some(error),
        }
    }
}
