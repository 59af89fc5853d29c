//! Calls of AWS's services, and answers to them.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING},
};
use serde_json::{Value, json};

/// Whom a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Kinesis,
    DynamoDb,
    S3,
}

/// A call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) service: Service,
    /// Such as `PutRecords`; of S3 the method.
    pub(crate) operation: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    method: Method,
    uri: Uri,
}

impl Call {
    pub(crate) async fn read(request: Request<Incoming>) -> hyper::Result<Self> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let (service, operation) = match target.and_then(|target| target.split_once('.')) {
            Some((service, operation)) if service.starts_with("Kinesis") => (Service::Kinesis, operation),
            Some((_, operation)) => (Service::DynamoDb, operation),
            None => (Service::S3, head.method.as_str()),
        };
        let operation = operation.to_owned();
        Ok(Self { service, operation, headers: head.headers, body, method: head.method, uri: head.uri })
    }

    /// The body of a call that is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The operation, and of Kinesis the stream: `PutRecords acme-raw`.
    pub(crate) fn name(&self) -> String {
        let body = if self.service == Service::Kinesis { self.json() } else { Value::Null };
        match body["StreamName"].as_str() {
            Some(stream) => format!("{} {stream}", self.operation),
            None => self.operation.clone(),
        }
    }

    /// The same call with another body.
    pub(crate) fn with_json(&self, body: &Value) -> Self {
        Self { body: body.to_string().into(), ..self.clone() }
    }

    /// Another call of the same service by the same caller.
    pub(crate) fn beside(&self, operation: &str, body: &Value) -> Self {
        let mut call = self.with_json(body);
        let target = call.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let target =
            target.and_then(|target| target.split_once('.')).map(|(service, _)| format!("{service}.{operation}"));
        if let Some(target) = target.and_then(|target| HeaderValue::from_str(&target).ok()) {
            call.headers.insert("x-amz-target", target);
        }
        call.operation = operation.to_owned();
        call
    }

    /// Whether it works on what is stored, not on a table, a stream or a bucket as a whole.
    pub(crate) fn is_of_data(&self) -> bool {
        match self.service {
            Service::S3 => self.uri.path().trim_matches('/').contains('/'),
            Service::Kinesis => {
                matches!(
                    self.operation.as_str(),
                    "PutRecords" | "PutRecord" | "GetRecords" | "GetShardIterator" | "ListShards"
                )
            }
            Service::DynamoDb => !self.operation.ends_with("Table"),
        }
    }

    /// The path that it asks for.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// What stands behind the path.
    pub(crate) fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// Whether it sends a part of a large object.
    pub(crate) fn is_part(&self) -> bool {
        self.operation == "PUT" && self.query().contains("partNumber=")
    }

    pub(crate) fn into_request(self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().unwrap_or_default();
        *request.headers_mut() = self.headers;
        for name in [CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING] {
            request.headers_mut().remove(name);
        }
        request
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn read(response: Response<Incoming>) -> hyper::Result<Self> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self { status: head.status, headers: head.headers, body })
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/x-amz-json-1.1", body.to_string())
    }

    /// An error of a service that speaks JSON.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self::json(status, &json!({ "__type": code, "message": "said the proxy" }))
    }

    /// An error of S3.
    pub(crate) fn xml(status: u16, code: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>said the proxy</Message></Error>");
        Self::new(status, "application/xml", body)
    }

    /// An answer of S3 that says nothing more.
    pub(crate) fn empty(status: u16) -> Self {
        Self::new(status, "application/xml", String::new())
    }

    fn new(status: u16, content_type: &'static str, body: String) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Self { status: StatusCode::from_u16(status).unwrap_or_default(), headers, body: body.into() }
    }

    /// The body of an answer that is JSON.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The same answer with another body.
    pub(crate) fn with_json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self.headers.remove("x-amz-crc32");
        self
    }

    pub(crate) fn into_response(self, is_head: bool) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().remove(CONNECTION);
        response.headers_mut().remove(TRANSFER_ENCODING);
        // Without a body it tells what the body would have.
        if !is_head {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        response
    }
}
