//! The Flight SQL door: SQL and bulk ingest as streams of Arrow batches.
//!
//! Every call shows a token (`authorization: Bearer …`, or `Basic` with the tenant and the token); the tenant is the
//! token's. Handles and tickets are sealed: they carry what they stand for, for one tenant and one token, until they
//! expire, and the token is shown again when they are used. Results stream as fast as the client takes them; a client
//! that takes nothing for a while, or goes, ends its query.

mod credential;
mod door;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod incoming;
mod ingest;
mod metadata;
mod parameters;
mod pump;
mod received;
mod seal;
mod service;
mod status;
mod unpacking;

use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use fineo::{Error, Result};
use tokio::net::TcpListener;
use tonic::transport::Server;

use self::{door::Door, incoming::incoming};
use crate::{Shared, Shutdown};

/// The longest message that is taken in, and sent.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// The most streams of one connection at a time.
const STREAMS_MAX: u32 = 100;
/// The most bytes of a request's headers.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// How many streams a client may begin and reset before they are looked at.
const RESETS_MAX: usize = 50;
/// How often a silent connection is asked whether it is there.
const ALIVE_EVERY: Duration = Duration::from_secs(30);
/// What ALPN calls the protocol.
const PROTOCOL: &str = "h2";

/// Serves Flight SQL on `listener` until `shutdown` is requested, then waits for calls that run.
///
/// # Errors
///
/// When TLS cannot be set up, or the transport fails as a whole.
pub async fn serve(listener: TcpListener, shared: Shared, shutdown: Shutdown) -> Result<()> {
    let tls = match &shared.tls {
        Some(tls) => Some(tls.acceptor(&[PROTOCOL])?),
        None => None,
    };
    let stall_max = shared.limits.stall_max;
    let connections = incoming(listener, shared.clone(), tls, shutdown.clone());
    let service = FlightServiceServer::new(Door::new(shared)?)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX * 2);
    Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
        .http2_keepalive_interval(Some(ALIVE_EVERY))
        .http2_keepalive_timeout(Some(stall_max))
        .add_service(service)
        .serve_with_incoming_shutdown(connections, async move { shutdown.requested().await })
        .await
        .map_err(|source| Error::unavailable("the Flight door failed").with_source(source))
}
