//! Says of a connection that it ends, where a request is refused before its body was read.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    http::{HeaderValue, Version, header},
    response::Response,
};
use bytes::Bytes;
use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
};

/// A body that remembers whether it was read to its end.
pub(super) struct Remembering {
    body: Incoming,
    is_read: Arc<AtomicBool>,
}

/// Whether the body of a request was read, and whether its connection has to be told of.
pub(super) struct Memory {
    is_read: Arc<AtomicBool>,
    version: Version,
}

/// `request` with a body that is remembered.
pub(super) fn remembered(request: Request<Incoming>) -> (Request<Remembering>, Memory) {
    let is_read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let memory = Memory { is_read: Arc::clone(&is_read), version: request.version() };
    (request.map(|body| Remembering { body, is_read }), memory)
}

impl Memory {
    /// Lets `response` say that its connection ends, where it refuses a request whose body still is in the way.
    pub(super) fn tell(&self, response: &mut Response) {
        let is_refused = response.status().is_client_error() || response.status().is_server_error();
        let is_in_the_way = self.version <= Version::HTTP_11 && !self.is_read.load(Ordering::Acquire);
        if is_refused && is_in_the_way {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

impl Body for Remembering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.is_read.store(true, Ordering::Release);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
