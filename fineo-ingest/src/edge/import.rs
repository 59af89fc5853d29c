//! Takes in files of any size: read in pieces, several of them under way.

mod piece;
mod router;

use std::{collections::BTreeMap, fmt, fs::File, io::Read, path::PathBuf, sync::Arc};

use bytes::Bytes;
use fineo_core::{Cover, Durability, Error, ErrorKind, Result, TenantId};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::mpsc;

use super::Edge;
use crate::{Decoder, cover::Forwarded, retry::Retry};
pub(super) use piece::Cutter;
use piece::Piece;

/// How much is read at a time.
const READ_BYTES: usize = 1 << 20;
/// How many pieces are read ahead.
const PIECES_AHEAD: usize = 2;
/// How many pieces are under way into the stream.
const IN_FLIGHT_MAX: usize = 3;

/// Where an import reads.
pub enum ImportSource {
    /// A file, perhaps packed.
    Path(PathBuf),
    /// Anything that can be read, perhaps packed.
    Reader(Box<dyn Read + Send>),
    /// Bytes, perhaps packed.
    Bytes(Bytes),
}

impl fmt::Debug for ImportSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "Path({})", path.display()),
            Self::Reader(_) => f.write_str("Reader"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
        }
    }
}

/// Whose events an import holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routing {
    /// One tenant's.
    Tenant(TenantId),
    /// That of the tenant whose id stands under this top-level key, which is then no field.
    Field(String),
}

/// How an import's events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImportFormat {
    /// CSV when the path says so, else JSON.
    #[default]
    Auto,
    /// JSON objects: in an array, on lines, or one after another.
    Json,
    /// A header row, then a row per event; every value is a text.
    Csv,
}

/// How an import works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Whose events they are.
    pub routing: Routing,
    /// How they are written.
    pub format: ImportFormat,
    /// The metric of events that name none.
    pub metric: Option<String>,
    /// What the events' arrival ids count up from; none for chance.
    pub(super) first_id: Option<u128>,
    /// How often in a row the stream may take nothing more; none for as long as it takes.
    pub(super) tries_max: Option<u32>,
    /// How much memory packed bytes may ask for; none for what their library takes.
    pub(super) window_log_max: Option<u32>,
}

impl ImportOptions {
    /// Imports events of `routing`.
    pub fn new(routing: Routing) -> Self {
        Self {
            routing,
            format: ImportFormat::Auto,
            metric: None,
            first_id: None,
            tries_max: None,
            window_log_max: None,
        }
    }

    /// Written so.
    #[must_use]
    pub fn with_format(mut self, format: ImportFormat) -> Self {
        self.format = format;
        self
    }

    /// The arrival ids of the events go by `origin`, which names the source as it is and no other, and by their place in
    /// it: importing it again makes no second row, whatever the identity of its metrics is.
    #[must_use]
    pub fn with_origin(mut self, origin: &str) -> Self {
        let hash = blake3::hash(origin.as_bytes());
        self.first_id = hash.as_bytes().first_chunk::<16>().map(|bytes| u128::from_be_bytes(*bytes));
        self
    }

    /// The import fails once the stream took nothing more of a piece of it so often in a row; it waits for ever otherwise.
    #[must_use]
    pub fn with_tries_max(mut self, tries_max: u32) -> Self {
        self.tries_max = Some(tries_max);
        self
    }

    /// Packed with zstd in a window of at most two to the power of `window_log_max` bytes; it may be 128 MiB otherwise.
    #[must_use]
    pub fn with_window_log_max(mut self, window_log_max: u32) -> Self {
        self.window_log_max = Some(window_log_max);
        self
    }

    /// Of this metric, where an event names none.
    #[must_use]
    pub fn with_metric(mut self, metric: Option<String>) -> Self {
        self.metric = metric;
        self
    }
}

/// What an import has done so far.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ImportReport {
    /// Events that are in the stream.
    pub accepted: u64,
    /// Events that were refused at the edge, by code.
    pub rejected: BTreeMap<&'static str, u64>,
    /// What the first refused events had wrong, with their index in the source.
    pub first_rejections: Vec<(u64, String)>,
    /// Unpacked bytes that were read.
    pub bytes: u64,
    /// Bytes that were read as they are.
    pub packed_bytes: u64,
    /// Where the accepted events stand.
    pub token: Cover,
    /// What they survive.
    pub durability: Option<Durability>,
}

/// What the reading thread sends.
enum SourceRead {
    Bytes(Vec<u8>, u64),
    Failed(Error),
}

impl Edge {
    /// Takes in everything that `source` holds; `on_progress` hears of every piece that became durable.
    ///
    /// # Errors
    ///
    /// `NotFound` or `Unavailable` when the source cannot be read, `Invalid` when its packing is broken or an
    /// option cannot be; what `on_progress` heard of is durable all the same. Importing again is safe under the
    /// identities `content` and `key`.
    pub async fn import(
        &self,
        source: ImportSource,
        options: ImportOptions,
        on_progress: impl FnMut(&ImportReport) + Send,
    ) -> Result<ImportReport> {
        self.import_until(source, options, on_progress, std::future::pending()).await
    }

    /// As [`Edge::import`], but no further once `stop` completes: what is on its way into the stream is finished then, and
    /// the report is of that.
    ///
    /// # Errors
    ///
    /// As [`Edge::import`].
    pub async fn import_until(
        &self,
        source: ImportSource,
        options: ImportOptions,
        mut on_progress: impl FnMut(&ImportReport) + Send,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<ImportReport> {
        if let Some(metric) = &options.metric {
            fineo_schema::name::check_metric(metric)?;
        }
        let mut cutter = Cutter::new(&options, is_csv(&source, options.format), self.0.limits)?;
        let (sender, mut receiver) = mpsc::channel(PIECES_AHEAD);
        let reading = tokio::task::spawn_blocking(move || read_all(source, options.window_log_max, &sender));
        let retry = Retry::new(Arc::clone(&self.0.clock), Arc::clone(&self.0.entropy))
            .with_tries_max(options.tries_max.unwrap_or(u32::MAX));
        let mut report =
            ImportReport { durability: Some(self.0.stream.capabilities().durability), ..Default::default() };
        let mut in_flight = FuturesUnordered::new();
        let mut stop = std::pin::pin!(stop);
        let (mut failure, mut is_stopped) = (None, false);
        loop {
            let read = loop {
                tokio::select! {
                    biased;
                    () = &mut stop => {
                        is_stopped = true;
                        break None;
                    }
                    // What is under way goes on, however slow the source is: it may hold what others wait for.
                    Some(stored) = in_flight.next() => {
                        self.add(&mut report, stored?);
                        on_progress(&report);
                    }
                    read = receiver.recv() => break read,
                }
            };
            let (bytes, is_end) = match read {
                Some(SourceRead::Bytes(bytes, packed)) => {
                    report.bytes += bytes.len() as u64;
                    report.packed_bytes = packed;
                    (bytes, false)
                }
                Some(SourceRead::Failed(error)) => {
                    failure = Some(error);
                    (Vec::new(), true)
                }
                None => (Vec::new(), true),
            };
            if !is_stopped {
                let piece = cutter.cut(&bytes, is_end && failure.is_none());
                in_flight.push(self.store(piece, &retry));
            }
            while in_flight.len() >= IN_FLIGHT_MAX || is_end && !in_flight.is_empty() {
                if let Some(stored) = in_flight.next().await {
                    self.add(&mut report, stored?);
                    on_progress(&report);
                }
            }
            if is_end {
                break;
            }
        }
        if !is_stopped {
            reading.await.map_err(|source| Error::internal("reading the import broke off").with_source(source))?;
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// Stores one piece.
    async fn store(&self, piece: Piece, retry: &Retry) -> Result<(Piece, Cover, u64)> {
        let outcomes = self.append(piece.batch(), retry).await?;
        let mut token = Forwarded::default();
        let mut accepted = 0;
        for outcome in outcomes {
            token.advance(outcome?);
            accepted += 1;
        }
        Ok((piece, token.cover(), accepted))
    }

    fn add(&self, report: &mut ImportReport, (piece, token, accepted): (Piece, Cover, u64)) {
        const SHOWN_MAX: usize = 20;
        report.accepted += accepted;
        report.token.merge(&token);
        for (tenant, count) in piece.accepted_by_tenant() {
            self.0.counters.add(tenant, |counts| counts.accepted += count);
        }
        for refused in piece.refused() {
            *report.rejected.entry(refused.rejection.code.as_str()).or_default() += 1;
            self.0.counters.reject(refused.tenant.as_ref(), refused.rejection.code);
            if report.first_rejections.len() < SHOWN_MAX {
                report.first_rejections.push((refused.index, refused.rejection.to_string()));
            }
        }
    }
}

fn is_csv(source: &ImportSource, format: ImportFormat) -> bool {
    match format {
        ImportFormat::Csv => true,
        ImportFormat::Json => false,
        ImportFormat::Auto => match source {
            ImportSource::Path(path) => {
                let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
                let plain = name.trim_end_matches(".gz").trim_end_matches(".zst");
                std::path::Path::new(plain).extension().is_some_and(|extension| extension == "csv")
            }
            ImportSource::Reader(_) | ImportSource::Bytes(_) => false,
        },
    }
}

fn read_all(source: ImportSource, window_log_max: Option<u32>, sender: &mpsc::Sender<SourceRead>) {
    if let Err(error) = try_read_all(source, window_log_max, sender) {
        // Nobody listens when the import was dropped.
        let _ = sender.blocking_send(SourceRead::Failed(error));
    }
}

fn try_read_all(source: ImportSource, window_log_max: Option<u32>, sender: &mpsc::Sender<SourceRead>) -> Result<()> {
    let mut decoder = match source {
        ImportSource::Path(path) => {
            let opened = File::open(&path).and_then(|file| Decoder::within(file, window_log_max));
            opened.map_err(|error| classify(error).with("path", path.display()))?
        }
        ImportSource::Reader(reader) => Decoder::within(reader, window_log_max).map_err(classify)?,
        ImportSource::Bytes(bytes) => Decoder::within(std::io::Cursor::new(bytes), window_log_max).map_err(classify)?,
    };
    loop {
        let mut bytes = Vec::with_capacity(READ_BYTES);
        let read = (&mut decoder).take(READ_BYTES as u64).read_to_end(&mut bytes).map_err(classify);
        // What came before a failure is taken in all the same.
        let is_end =
            bytes.is_empty() || sender.blocking_send(SourceRead::Bytes(bytes, decoder.packed_bytes())).is_err();
        read?;
        if is_end {
            return Ok(());
        }
    }
}

fn classify(source: std::io::Error) -> Error {
    let (kind, message) = match source.kind() {
        std::io::ErrorKind::NotFound => (ErrorKind::NotFound, "there is no such file"),
        std::io::ErrorKind::InvalidData => {
            (ErrorKind::Invalid, "bad_compression: the file is broken or becomes absurdly large")
        }
        _ => (ErrorKind::Unavailable, "the file cannot be read"),
    };
    Error::new(kind, message).with_source(source)
}

/// Cuts `bytes`, in pieces and whole, and answers how many events there are: the same either way.
#[cfg(any(test, fuzzing))]
pub(crate) fn cut_whole(options: &ImportOptions, is_csv: bool, bytes: &[u8]) {
    let limits = crate::Limits::default().with_event_bytes_max(1 << 12);
    let count = |size: usize, events_max: usize| {
        let Ok(mut cutter) = Cutter::new(options, is_csv, limits) else { return (0, 0) };
        cutter.set_events_max(events_max);
        let (mut taken, mut refused) = (0, 0);
        for (place, piece) in bytes.chunks(size).enumerate() {
            let is_end = (place + 1) * size >= bytes.len();
            let mut piece = cutter.cut(piece, is_end);
            while piece.len() > 0 {
                taken += piece.accepted_by_tenant().values().sum::<u64>();
                refused += piece.refused().len();
                piece = cutter.cut(&[], is_end);
            }
        }
        (taken, refused)
    };
    let whole = count(bytes.len().max(1), usize::MAX);
    if bytes.len() < 1 << 11 && std::str::from_utf8(bytes).is_ok() {
        assert_eq!(count(11, 3), whole, "pieces make no difference");
    }
}
