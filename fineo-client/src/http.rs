//! Sends one request and reads its answer, once.

use std::{error::Error as StdError, io, io::Write, sync::Arc, time::Duration};

use bytes::Bytes;
use fineo_core::{Error, ErrorKind, Result};
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Method, Request, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{ClientOptions, answer::Answer};

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// A connection that is silent for so long is asked whether it is still there, then every so often, so many times.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// One request, as it is sent at each try.
pub(crate) struct Call {
    method: Method,
    path: &'static str,
    body: Bytes,
    is_packed: bool,
    /// Names what it changes, so that the server knows it again; none where it changes nothing.
    key: Option<header::HeaderValue>,
}

impl Call {
    /// A request that changes nothing.
    pub(crate) fn new(method: Method, path: &'static str, body: impl Into<Bytes>) -> Self {
        Self { method, path, body: body.into(), is_packed: false, key: None }
    }

    /// That changes what `key` names, once.
    ///
    /// # Errors
    ///
    /// `Invalid` when a server would not take `key`.
    pub(crate) fn with_key(mut self, key: &str) -> Result<Self> {
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        let value = header::HeaderValue::from_str(key).ok().filter(|_| visible && (1..=255).contains(&key.len()));
        self.key = Some(value.ok_or_else(|| {
            Error::invalid("not a key: with the number of the request it has 1-255 visible ASCII characters")
                .with("key", key)
        })?);
        Ok(self)
    }

    /// With its body packed.
    pub(crate) fn packed(mut self) -> Result<Self> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        let packed = packer.write_all(&self.body).and_then(|()| packer.finish());
        self.body = packed.map_err(|source| Error::internal("a body cannot be packed").with_source(source))?.into();
        self.is_packed = true;
        Ok(self)
    }

    /// `error`, after which it is not known what became of it: where it changes something, it may have done so.
    pub(crate) fn unheard(&self, error: Error) -> Error {
        if self.key.is_some() { error.and_may_have_applied() } else { error }
    }
}

/// The way to a server.
#[derive(Clone)]
pub(crate) struct Http {
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    pub(crate) base: Arc<str>,
    /// The value of the header, which is never shown.
    authorization: header::HeaderValue,
    connect_time_max: Duration,
}

impl Http {
    pub(crate) fn new(url: &str, token: &str, options: &ClientOptions) -> Result<Self> {
        let base = url.trim_end_matches('/');
        let uri: Uri =
            base.parse().map_err(|source| Error::invalid("not a URL").with("url", url).with_source(source))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(Error::invalid("a server's URL begins with http:// or https://").with("url", url));
        }
        let bearer = format!("Bearer {token}");
        let mut authorization =
            header::HeaderValue::from_str(&bearer).map_err(|_| Error::invalid("not a token that can be sent"))?;
        authorization.set_sensitive(true);
        let untrusting = |source| Error::invalid("the system's certificates cannot be read").with_source(source);
        let mut tcp = HttpConnector::new();
        // Whether it is to be encrypted is said by the URL, above.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(options.connect_time_max));
        tcp.set_keepalive(Some(KEEPALIVE_AFTER));
        tcp.set_keepalive_interval(Some(KEEPALIVE_EVERY));
        tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(untrusting)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, base: base.into(), authorization, connect_time_max: options.connect_time_max })
    }

    /// Sends `call` and reads the answer, whatever it says.
    ///
    /// # Errors
    ///
    /// `Unavailable` when there is no answer or not the whole of it; `Invalid` when the server cannot be trusted;
    /// `LimitExceeded` when the answer is too long.
    pub(crate) async fn once(&self, call: &Call) -> Result<Answer> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.base, call.path))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json");
        if call.is_packed {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        let request = request
            .body(Full::new(call.body.clone()))
            .map_err(|source| Error::internal("a request cannot be made").with_source(source))?;
        let response = self.client.request(request).await.map_err(|source| self.unanswered(source, call))?;
        let (head, body) = response.into_parts();
        let body =
            Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|reason| self.unread(&*reason, call))?;
        Ok(Answer::new(head.status, &head.headers, body.to_bytes()))
    }

    /// Why there is no answer.
    fn unanswered(&self, source: legacy::Error, call: &Call) -> Error {
        let error = if !source.is_connect() {
            call.unheard(Error::unavailable("the connection broke off before the answer"))
        } else if is_untrusted(&source) {
            Error::invalid("no encrypted connection to the server")
                .with("hint", "see that the URL is right and that this system trusts the server's certificate")
        } else if is_timeout(&source) {
            Error::unavailable("no connection to the server")
                .with("waited", format_args!("{:?}", self.connect_time_max))
                .with("hint", "see that the server is up and can be reached, or allow more with `connect_time_max`")
        } else {
            Error::unavailable("no connection to the server")
                .with("hint", "see that the server is up and can be reached")
        };
        error.with("url", &self.base).with_source(source)
    }

    /// Why an answer that began cannot be read.
    fn unread(&self, reason: &(dyn StdError + Send + Sync + 'static), call: &Call) -> Error {
        if reason.is::<LengthLimitError>() {
            let message = format!("the answer has more than {ANSWER_BYTES_MAX} bytes");
            return Error::new(ErrorKind::LimitExceeded, message).with("hint", "ask for less at a time");
        }
        call.unheard(Error::unavailable("the answer broke off").with("reason", reason).with("url", &self.base))
    }
}

/// What caused `error`, and what caused that.
fn causes(error: &legacy::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        // The source of an I/O error that holds another error is the source of that one.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    }
    std::iter::successors(error.source(), |error| cause(*error))
}

fn is_untrusted(error: &legacy::Error) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

fn is_timeout(error: &legacy::Error) -> bool {
    causes(error).any(|cause| cause.downcast_ref().is_some_and(|io: &io::Error| io.kind() == io::ErrorKind::TimedOut))
}
