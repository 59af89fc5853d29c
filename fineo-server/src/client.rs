//! The operator's side of the socket: asks the server that holds a directory.

use std::{fmt, io::Read, path::Path, pin::Pin, sync::Arc};

use arrow::{array::RecordBatch, buffer::Buffer, datatypes::SchemaRef, ipc::reader::StreamDecoder};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use fineo::{Error, ErrorKind, Result, TenantId};
use http_body_util::BodyExt;
pub use hyper::Method;
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
    header,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, sync::mpsc};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Counts,
    http::{
        answer::FAILURE,
        operator::{ImportLine, ImportQuery},
        problem::ProblemDetails,
    },
    socket::socket_path,
};

/// The most bytes of an answer that is read as a whole.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How much of an import is read at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// How many pieces are read ahead.
const PIECES_AHEAD: usize = 4;

/// What is sent besides the path.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Whose data is meant.
    pub tenant: Option<TenantId>,
    /// The body, with its media type.
    pub body: Option<(&'static str, Bytes)>,
    /// In which role it is asked.
    pub role: Option<String>,
    /// Who asks.
    pub author: Option<String>,
    /// The version of the schema that a change was thought out on.
    pub base: Option<u64>,
}

impl Sent {
    /// For `tenant`, without a body.
    pub fn to(tenant: &TenantId) -> Self {
        Self { tenant: Some(tenant.clone()), ..Self::default() }
    }

    /// With `value` as the body.
    ///
    /// # Errors
    ///
    /// `Internal` when it cannot be written as JSON.
    pub fn with_json(mut self, value: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value)
            .map_err(|source| Error::internal("the request cannot be written as JSON").with_source(source))?;
        self.body = Some(("application/json", bytes.into()));
        Ok(self)
    }
}

/// A connection to the server that holds a directory.
pub struct Client {
    sender: SendRequest<Body>,
    _connection: AbortOnDropHandle<()>,
}

impl Client {
    /// Connects to the server that holds `directory`; none when none does.
    ///
    /// # Errors
    ///
    /// `Unavailable` when there is one that does not answer, or that belongs to somebody else.
    pub async fn connect(directory: &Path) -> Result<Option<Self>> {
        let path = socket_path(directory);
        let stream = match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(Error::unavailable("the server of this directory belongs to somebody else")
                    .with("socket", path.display())
                    .with("hint", "run this as the user who started the server")
                    .with_source(error));
            }
            // No socket, or one that a dead server left behind.
            Err(_) => return Ok(None),
        };
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(unanswered)?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the server broke off");
            }
        });
        Ok(Some(Self { sender, _connection: AbortOnDropHandle::new(task) }))
    }

    /// Asks for `path` and reads the answer as JSON.
    ///
    /// # Errors
    ///
    /// What the server says, or `Unavailable` when it does not answer.
    pub async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, sent: Sent) -> Result<T> {
        let response = self.send(method, path, sent, "application/json").await?;
        let bytes = whole(response.into_body()).await?;
        serde_json::from_slice(&bytes).map_err(|source| {
            Error::internal("the server answers in another way than this program knows").with_source(source)
        })
    }

    /// Asks one question in SQL.
    ///
    /// # Errors
    ///
    /// As [`Client::ask`].
    pub async fn sql(&self, tenant: &TenantId, role: Option<&str>, sql: &str) -> Result<ServedRows> {
        let mut sent = Sent::to(tenant).with_json(&serde_json::json!({"sql": sql}))?;
        sent.role = role.map(str::to_owned);
        let form = "application/vnd.apache.arrow.stream";
        let response = self.send(Method::POST, "/v1/query", sent, form).await?;
        let mut rows = ServedRows {
            body: response.into_body(),
            decoder: StreamDecoder::new(),
            pending: Buffer::from(&[]),
            ready: None,
        };
        rows.ready = rows.decode_next().await?;
        Ok(rows)
    }

    /// Sends `source` to be taken in; `show` hears of how far it is.
    ///
    /// # Errors
    ///
    /// As [`Client::ask`].
    pub async fn import(
        &self,
        query: &ImportQuery,
        source: Box<dyn Read + Send>,
        show: &(dyn Fn(&Counts) + Send + Sync),
    ) -> Result<Counts> {
        let pairs = [
            ("tenant", query.tenant.as_deref()),
            ("tenant_field", query.tenant_field.as_deref()),
            ("metric", query.metric.as_deref()),
            ("is_csv", Some(if query.is_csv { "true" } else { "false" })),
        ];
        let pairs: Vec<String> =
            pairs.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={}", escaped(value)))).collect();
        let body = Body::from_stream(pieces_of(source));
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://fineo/operator/import?{}", pairs.join("&")))
            .body(body)
            .map_err(|source| Error::internal("not a request").with_source(source))?;
        let response = self.sender.clone().send_request(request).await.map_err(unanswered)?;
        let mut body = checked(response).await?.into_body();
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(unanswered)?.into_data() else { continue };
            rest.extend_from_slice(&data);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.split_to(end + 1);
                let line = serde_json::from_slice(&line).map_err(|source| {
                    Error::internal("the server answers in another way than this program knows").with_source(source)
                })?;
                match line {
                    ImportLine::Progress(counts) => show(&counts),
                    ImportLine::Done(counts) => return Ok(counts),
                    ImportLine::Failed(message) => return Err(Error::invalid(message)),
                }
            }
        }
        Err(Error::unavailable("the server ended before the import did"))
    }

    async fn send(&self, method: Method, path: &str, sent: Sent, accept: &'static str) -> Result<Response<Incoming>> {
        let mut request =
            Request::builder().method(method).uri(format!("http://fineo{path}")).header(header::ACCEPT, accept);
        request = request.header(header::TE, "trailers");
        if let Some(tenant) = &sent.tenant {
            request = request.header("fineo-tenant", tenant.as_str());
        }
        if let Some(role) = &sent.role {
            request = request.header("fineo-role", role);
        }
        if let Some(author) =
            sent.author.as_deref().filter(|author| author.chars().all(|letter| letter.is_ascii_graphic()))
        {
            request = request.header("fineo-author", author);
        }
        if let Some(base) = sent.base {
            request = request.header(header::IF_MATCH, format!("\"{base}\""));
        }
        let body = match sent.body {
            None => Body::empty(),
            Some((media_type, bytes)) => {
                request = request.header(header::CONTENT_TYPE, media_type);
                Body::from(bytes)
            }
        };
        let request = request
            .body(body)
            .map_err(|source| Error::invalid("not a name that can be asked for").with_source(source))?;
        let response = self.sender.clone().send_request(request).await.map_err(unanswered)?;
        checked(response).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// `text` as a part of a path or of a query.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Turns a problem back into the error that it was.
async fn checked(response: Response<Incoming>) -> Result<Response<Incoming>> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let bytes = whole(response.into_body()).await?;
    let Ok(problem) = serde_json::from_slice::<ProblemDetails>(&bytes) else {
        return Err(Error::internal("the server refuses without a reason").with("status", status.as_u16()));
    };
    Err(error_of(problem))
}

/// The error that a problem was.
fn error_of(problem: ProblemDetails) -> Error {
    let kind = match problem.status {
        404 => ErrorKind::NotFound,
        409 if problem.code == "cold" => ErrorKind::Cold,
        409 => ErrorKind::AlreadyExists,
        422 | 504 => ErrorKind::LimitExceeded,
        503 => ErrorKind::Unavailable,
        507 => ErrorKind::StorageFull,
        500..=599 => ErrorKind::Internal,
        _ => ErrorKind::Invalid,
    };
    let mut error = Error::new(kind, problem.detail);
    if let Some(position) = problem.position {
        error = error.with("position", position);
    }
    match problem.hint {
        Some(hint) => error.with("hint", hint),
        None => error,
    }
}

/// The pieces of `source`, read by a thread that may wait.
fn pieces_of(mut source: Box<dyn Read + Send>) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let read = source.read(&mut piece);
            let is_last = !matches!(read, Ok(1..));
            let piece = read.map(|length| {
                piece.truncate(length);
                Bytes::from(piece)
            });
            if sender.blocking_send(piece).is_err() || is_last {
                return;
            }
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    })
}

async fn whole(mut body: Incoming) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(unanswered)?.into_data() else { continue };
        if bytes.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(Error::new(ErrorKind::LimitExceeded, "the answer of the server is too long"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

fn unanswered(source: hyper::Error) -> Error {
    Error::unavailable("the server of this directory does not answer").with_source(source)
}

/// The rows of a question that a server answers.
pub struct ServedRows {
    body: Incoming,
    decoder: StreamDecoder,
    pending: Buffer,
    ready: Option<RecordBatch>,
}

impl ServedRows {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.decoder.schema().unwrap_or_else(|| Arc::new(arrow::datatypes::Schema::empty()))
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    ///
    /// What ended the query early, or `Unavailable` when the server breaks off.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        match self.ready.take() {
            Some(batch) => Ok(Some(batch)),
            None => self.decode_next().await,
        }
    }

    async fn decode_next(&mut self) -> Result<Option<RecordBatch>> {
        let foreign = |source| Error::internal("the server's rows cannot be read").with_source(source);
        loop {
            if let Some(batch) = self.decoder.decode(&mut self.pending).map_err(foreign)? {
                return Ok(Some(batch));
            }
            let frame = Pin::new(&mut self.body).frame().await;
            let Some(frame) = frame else {
                self.decoder.finish().map_err(foreign)?;
                return Ok(None);
            };
            let broken = |source| Error::unavailable("the server broke the answer off").with_source(source);
            match frame.map_err(broken)?.into_data() {
                Ok(data) => self.pending = Buffer::from(data),
                Err(trailers) => {
                    let trailers = trailers.into_trailers().unwrap_or_default();
                    let Some(failure) = trailers.get(FAILURE) else { continue };
                    let problem = serde_json::from_slice(failure.as_bytes())
                        .map_err(|source| Error::unavailable("the server broke the answer off").with_source(source))?;
                    return Err(error_of(problem));
                }
            }
        }
    }
}

impl fmt::Debug for ServedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServedRows")
    }
}
