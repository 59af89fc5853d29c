//! Bytes in and out of a connection, with bounds on both, and on the patience with a peer.

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use fineo::Clock;
use pgwire::messages::PgWireBackendMessage;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Output is sent when this many bytes are waiting.
pub(super) const OUTPUT_BYTES: usize = 64 << 10;
/// While the server works, this much of what the client says next is taken in; more waits with the client.
const AHEAD_BYTES_MAX: usize = 1 << 20;
/// How much room a read is given.
const READ_BYTES: usize = 16 << 10;

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum Gone {
    /// The peer closed it, or it broke.
    Closed,
    /// The peer takes nothing of what it is sent.
    Stalled,
}

/// A connection's bytes.
#[derive(Debug)]
pub(super) struct Link<S> {
    io: S,
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
    clock: Arc<dyn Clock>,
    stall_max: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Link<S> {
    pub(super) fn new(io: S, input: BytesMut, clock: Arc<dyn Clock>, stall_max: Duration) -> Self {
        Self { io, input, output: BytesMut::with_capacity(OUTPUT_BYTES), clock, stall_max }
    }

    /// The connection itself, and what was read ahead of it.
    pub(super) fn into_parts(self) -> (S, BytesMut) {
        (self.io, self.input)
    }

    /// Takes in more of what the client says.
    pub(super) async fn fill(&mut self) -> Result<(), Gone> {
        self.input.reserve(READ_BYTES);
        match self.io.read_buf(&mut self.input).await {
            Ok(0) | Err(_) => Err(Gone::Closed),
            Ok(_) => Ok(()),
        }
    }

    /// Completes when the client has gone. What it says meanwhile is kept, up to a bound.
    pub(super) async fn gone(&mut self) -> Gone {
        while self.input.len() < AHEAD_BYTES_MAX {
            if let Err(gone) = self.fill().await {
                return gone;
            }
        }
        std::future::pending().await
    }

    /// Adds a message to the output.
    pub(super) fn say(&mut self, message: PgWireBackendMessage) {
        // Messages are made here and fit their bounds; rows, which need not, are written elsewhere.
        if let Err(error) = message.encode(&mut self.output) {
            tracing::warn!(%error, "a message could not be written");
        }
    }

    /// Adds bytes to the output as they are.
    pub(super) fn say_bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Sends the output. Dropping the future sends a part of it; calling it again sends the rest.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        while self.output.has_remaining() {
            let stalled = self.clock.sleep(self.stall_max);
            tokio::select! {
                written = self.io.write_buf(&mut self.output) => match written {
                    Ok(0) | Err(_) => return Err(Gone::Closed),
                    Ok(_) => {}
                },
                () = stalled => return Err(Gone::Stalled),
            }
        }
        let stalled = self.clock.sleep(self.stall_max);
        tokio::select! {
            flushed = self.io.flush() => flushed.map_err(|_: io::Error| Gone::Closed),
            () = stalled => Err(Gone::Stalled),
        }
    }

    /// Sends what waits and closes.
    pub(super) async fn close(&mut self) {
        if self.flush().await.is_ok() {
            // The peer may have gone already: nothing is left to do then.
            let _ = self.io.shutdown().await;
        }
    }
}
