//! A connection that ends when its peer takes nothing, or says nothing, for too long.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use fineo::Clock;
use futures::future::BoxFuture;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a peer is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until its first request.
    pub(crate) hello_max: Duration,
    /// While it takes nothing of what it is sent.
    pub(crate) write_max: Duration,
    /// While it says nothing and nothing is under way for it; where none, others see to it.
    pub(crate) idle_max: Option<Duration>,
}

/// What is under way on a connection, as those who serve it tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activity(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    has_begun: AtomicBool,
    under_way: AtomicUsize,
}

impl Activity {
    /// A request has come; it is under way until what this gives is dropped.
    pub(crate) fn begin(&self) -> Work {
        self.0.has_begun.store(true, Ordering::Release);
        self.0.under_way.fetch_add(1, Ordering::AcqRel);
        Work(self.clone())
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Work(Activity);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of an answer: its request is under way until all of it was taken.
pub(crate) struct Answering<B> {
    pub(crate) body: B,
    pub(crate) _work: Work,
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Wraps a connection. A peer for which there is no more [`Patience`] is cut off: the operation fails with `TimedOut`.
pub(crate) struct Stall<I> {
    io: I,
    clock: Arc<dyn Clock>,
    patience: Patience,
    activity: Activity,
    hello: BoxFuture<'static, ()>,
    write_waits: Option<BoxFuture<'static, ()>>,
    read_waits: Option<BoxFuture<'static, ()>>,
}

impl<I> Stall<I> {
    pub(crate) fn new(io: I, clock: Arc<dyn Clock>, patience: Patience, activity: Activity) -> Self {
        let hello = clock.sleep(patience.hello_max);
        Self { io, clock, patience, activity, hello, write_waits: None, read_waits: None }
    }

    /// Whether a peer that says nothing was waited for long enough.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Told { has_begun, under_way } = &*self.activity.0;
        if !has_begun.load(Ordering::Acquire) {
            return self.hello.as_mut().poll(context);
        }
        let Some(idle_max) = self.patience.idle_max.filter(|_| under_way.load(Ordering::Acquire) == 0) else {
            self.read_waits = None;
            return Poll::Pending;
        };
        self.read_waits.get_or_insert_with(|| self.clock.sleep(idle_max)).as_mut().poll(context)
    }

    /// What a write that answered `polled` means, seen by the clock.
    fn written<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write_waits = None;
            // Whoever is written to is not idle.
            self.read_waits = None;
            return polled;
        }
        let wait = self.write_waits.get_or_insert_with(|| self.clock.sleep(self.patience.write_max));
        wait.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Stall<I> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_read(context, buffer);
        if polled.is_ready() {
            this.read_waits = None;
            return polled;
        }
        this.poll_silence(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Stall<I> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(context, bytes);
        this.written(polled, context)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_flush(context);
        this.written(polled, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_shutdown(context);
        this.written(polled, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(context, parts);
        this.written(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl<I> fmt::Debug for Stall<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stall").finish_non_exhaustive()
    }
}
