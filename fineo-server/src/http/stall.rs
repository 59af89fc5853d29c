//! A connection that ends when its peer takes nothing, or says nothing, for too long.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use fineo::Clock;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Wraps a connection. A peer that keeps us waiting with a write for `write_max`, or with a read while nothing is written
/// for `idle_max`, is cut off: the operation fails with `TimedOut`.
pub(super) struct Stall<I> {
    io: I,
    clock: Arc<dyn Clock>,
    write_max: Duration,
    idle_max: Duration,
    write_waits: Option<BoxFuture<'static, ()>>,
    read_waits: Option<BoxFuture<'static, ()>>,
}

impl<I> Stall<I> {
    pub(super) fn new(io: I, clock: Arc<dyn Clock>, write_max: Duration, idle_max: Duration) -> Self {
        Self { io, clock, write_max, idle_max, write_waits: None, read_waits: None }
    }

    /// What a write that answered `polled` means, seen by the clock.
    fn written<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write_waits = None;
            // Whoever is written to is not idle.
            self.read_waits = None;
            return polled;
        }
        let wait = self.write_waits.get_or_insert_with(|| self.clock.sleep(self.write_max));
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
        let wait = this.read_waits.get_or_insert_with(|| this.clock.sleep(this.idle_max));
        wait.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
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
