//! Rows as a body, batch by batch: a reader that is slow slows the query, one that is gone ends it.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
    ipc,
    json::{WriterBuilder, writer::LineDelimited},
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fineo::{Clock, Error, QueryStream};
use hyper::body::{Body as HttpBody, Frame};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{Entrance, Room, caller::Caller, csv, problem::Problem};
use crate::{ConnectionSlot, Principal, floats::JsonWords, names::distinct};

/// How many encoded batches wait for a slow reader.
const PIECES_MAX: usize = 2;

/// The trailer that says, as a problem, why an answer ends early.
pub(crate) const FAILURE: HeaderName = HeaderName::from_static("fineo-failure");

/// How an answer ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It breaks off.
    Abrupt,
    /// A trailer says why, and the client looks at it.
    Told,
}

impl Ending {
    /// How a client wants it: only the operator's reads trailers.
    pub(super) fn wanted(room: &Room, headers: &HeaderMap) -> Self {
        let reads_trailers = headers.get(header::TE).is_some_and(|value| value == "trailers");
        match room.entrance() {
            Entrance::Socket if reads_trailers => Self::Told,
            Entrance::Socket | Entrance::Network => Self::Abrupt,
        }
    }
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `{"columns":[…],"rows":[{…},…]}`.
    Json,
    /// One object per line.
    NdJson,
    /// RFC 4180 with a header.
    Csv,
    /// The Arrow IPC streaming format.
    Arrow,
}

impl Form {
    const ALL: [Self; 4] = [Self::Json, Self::NdJson, Self::Csv, Self::Arrow];

    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::NdJson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// The form that `Accept` likes best; JSON when it does not say.
    pub(super) fn wanted(headers: &HeaderMap) -> Result<Self, Problem> {
        let values = headers.get_all(header::ACCEPT);
        let text: Vec<&str> = values.iter().filter_map(|value| value.to_str().ok()).collect();
        let text = text.join(",");
        if text.trim().is_empty() {
            return Ok(Self::Json);
        }
        let mut best: Option<(f32, Self)> = None;
        for range in text.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok());
            let weight = weight.unwrap_or(1.0);
            let form = Self::ALL.into_iter().find(|form| form.is_in(&media));
            if let Some(form) = form
                && weight > 0.0
                && best.is_none_or(|(known, _)| weight > known)
            {
                best = Some((weight, form));
            }
        }
        best.map(|(_, form)| form).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.into_iter().map(Self::media_type).collect();
            Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "rows cannot be written in any accepted form")
                .with_hint(format!("Accept: {}", known.join(" or ")))
        })
    }

    fn is_in(self, range: &str) -> bool {
        let kind = self.media_type().split('/').next().unwrap_or_default();
        range == "*/*"
            || range == self.media_type()
            || range == format!("{kind}/*")
            || (self == Self::NdJson && range == "application/ndjson")
    }
}

/// Begins to answer with `rows`. What goes wrong before the first batch is a problem; what goes wrong later breaks the
/// answer off, so that no client takes a part for the whole.
pub(super) async fn stream(
    mut rows: QueryStream,
    (form, ending): (Form, Ending),
    room: &Room,
    caller: Caller,
) -> Result<Response, Problem> {
    let mut encoder = Encoder::new(form, &rows)?;
    let first = caller.unless_ended(room, rows.next_batch()).await?;
    let mut begin = encoder.begin()?;
    if let Some(batch) = &first {
        begin.extend(encoder.batch(batch)?);
    }
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let is_whole = Arc::new(AtomicBool::new(false));
    let (principal, slot) = caller.into_parts();
    let failure = Arc::new(Mutex::new(None));
    let outlet = Outlet { sender, room: room.clone(), is_whole: Arc::clone(&is_whole), failure: Arc::clone(&failure) };
    let writer = Writer { rows, encoder, outlet, principal, _slot: slot };
    let is_over = first.is_none();
    let task = AbortOnDropHandle::new(tokio::spawn(writer.run(Bytes::from(begin), is_over)));
    let body = Body::new(Pieces { receiver, is_whole, ending, failure, _task: task });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(form.media_type())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

/// Computes and encodes rows; it ends with the body that takes them.
struct Writer {
    rows: QueryStream,
    encoder: Encoder,
    outlet: Outlet,
    principal: Principal,
    _slot: Option<ConnectionSlot>,
}

/// Where encoded rows go.
#[derive(Clone)]
struct Outlet {
    sender: mpsc::Sender<Bytes>,
    room: Room,
    /// Set once everything was sent.
    is_whole: Arc<AtomicBool>,
    /// Set when something went wrong.
    failure: Arc<Mutex<Option<Error>>>,
}

impl Writer {
    async fn run(mut self, begin: Bytes, is_over: bool) {
        let outlet = self.outlet.clone();
        let principal = self.principal.clone();
        let clock: Arc<dyn Clock> = Arc::clone(&outlet.room.shared().clock);
        let error = tokio::select! {
            biased;
            // P4, S19: what was begun with a credential ends with it.
            () = principal.ended(&*clock) => Error::new(fineo::ErrorKind::Cancelled, "the credential has ended"),
            outcome = self.write(begin, is_over) => match outcome {
                Ok(()) => return outlet.is_whole.store(true, Ordering::Release),
                Err(error) => error,
            },
        };
        tracing::debug!(%error, "an answer broke off");
        *outlet.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    async fn write(&mut self, begin: Bytes, is_over: bool) -> Result<(), Error> {
        self.outlet.send(begin).await?;
        while !is_over && let Some(batch) = self.rows.next_batch().await? {
            let bytes = self.encoder.batch(&batch)?;
            self.outlet.send(Bytes::from(bytes)).await?;
        }
        let end = self.encoder.end()?;
        self.outlet.send(Bytes::from(end)).await
    }
}

impl Outlet {
    async fn send(&self, bytes: Bytes) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let patience = self.room.shared().clock.sleep(self.room.limits().stall_max);
        let cancelled = |message: &str| Error::new(fineo::ErrorKind::Cancelled, message);
        tokio::select! {
            sent = self.sender.send(bytes) => sent.map_err(|_| cancelled("the reader is gone")),
            () = patience => Err(cancelled("the reader takes nothing")),
        }
    }
}

/// The pieces of a body. Dropping it ends the query.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    is_whole: Arc<AtomicBool>,
    ending: Ending,
    failure: Arc<Mutex<Option<Error>>>,
    _task: AbortOnDropHandle<()>,
}

impl Pieces {
    /// What comes after the last piece of an answer that is not whole.
    fn end(&self) -> Result<Frame<Bytes>, Error> {
        let broken = || Error::new(fineo::ErrorKind::Cancelled, "the answer broke off");
        if self.ending == Ending::Abrupt {
            return Err(broken());
        }
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let told = failure.and_then(|error| HeaderValue::from_bytes(&Problem::from(error).for_operator()).ok());
        let trailers = HeaderMap::from_iter([(FAILURE, told.ok_or_else(broken)?)]);
        // It is whole as far as the protocol is concerned.
        self.is_whole.store(true, Ordering::Release);
        Ok(Frame::trailers(trailers))
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.receiver.poll_recv(context).map(|piece| match piece {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.is_whole.swap(true, Ordering::AcqRel) => None,
            None => Some(self.end()),
        })
    }
}

/// Writes batches in one form.
struct Encoder {
    form: Form,
    schema: SchemaRef,
    arrow: Option<ipc::writer::StreamWriter<Vec<u8>>>,
    has_rows: bool,
}

impl Encoder {
    fn new(form: Form, rows: &QueryStream) -> Result<Self, Error> {
        // Of a key that comes again most readers know the last alone: none does.
        let schema = match form {
            Form::Json | Form::NdJson => distinct(rows.schema()),
            Form::Csv | Form::Arrow => rows.schema().clone(),
        };
        let arrow = match form {
            Form::Arrow => Some(ipc::writer::StreamWriter::try_new(Vec::new(), &schema).map_err(unwritable)?),
            Form::Json | Form::NdJson | Form::Csv => None,
        };
        Ok(Self { form, schema, arrow, has_rows: false })
    }

    fn begin(&mut self) -> Result<Vec<u8>, Error> {
        match self.form {
            Form::Json => {
                let columns = self
                    .schema
                    .fields()
                    .iter()
                    .map(|field| json!({"name": field.name(), "type": field.data_type().to_string()}));
                let columns: Vec<_> = columns.collect();
                Ok(format!("{{\"columns\":{},\"rows\":[", json!(columns)).into_bytes())
            }
            Form::NdJson => Ok(Vec::new()),
            Form::Csv => Ok(csv::header(&self.schema)),
            Form::Arrow => Ok(self.take_arrow()),
        }
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, Error> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        match self.form {
            Form::Json => {
                let mut bytes = Vec::new();
                if self.has_rows {
                    bytes.push(b',');
                }
                self.has_rows = true;
                bytes = lines(&self.schema, batch, bytes)?;
                // Each row is on a line of its own, and no line break stands within a row.
                for byte in &mut bytes {
                    if *byte == b'\n' {
                        *byte = b',';
                    }
                }
                bytes.pop();
                Ok(bytes)
            }
            Form::NdJson => lines(&self.schema, batch, Vec::new()),
            Form::Csv => csv::rows(batch).map_err(unwritable),
            Form::Arrow => {
                if let Some(writer) = &mut self.arrow {
                    writer.write(batch).map_err(unwritable)?;
                }
                Ok(self.take_arrow())
            }
        }
    }

    fn end(&mut self) -> Result<Vec<u8>, Error> {
        match self.form {
            Form::Json => Ok(b"]}\n".to_vec()),
            Form::NdJson | Form::Csv => Ok(Vec::new()),
            Form::Arrow => {
                if let Some(writer) = &mut self.arrow {
                    writer.finish().map_err(unwritable)?;
                }
                Ok(self.take_arrow())
            }
        }
    }

    fn take_arrow(&mut self) -> Vec<u8> {
        self.arrow.as_mut().map(|writer| std::mem::take(writer.get_mut())).unwrap_or_default()
    }
}

/// The rows of `batch`, an object on each line, whose keys are the names in `schema`.
fn lines(schema: &SchemaRef, batch: &RecordBatch, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &rows);
    let batch = batch.map_err(unwritable)?;
    let builder = WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(JsonWords));
    let mut writer = builder.build::<_, LineDelimited>(bytes);
    writer.write(&batch).map_err(unwritable)?;
    writer.finish().map_err(unwritable)?;
    Ok(writer.into_inner())
}

fn unwritable(source: arrow::error::ArrowError) -> Error {
    Error::new(fineo::ErrorKind::Unsupported, "a column cannot be written in this form")
        .with("code", "unsupported_form")
        .with("hint", "ask for application/vnd.apache.arrow.stream, or cast the column to text")
        .with_source(source)
}
