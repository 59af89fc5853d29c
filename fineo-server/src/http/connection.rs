//! Accepts connections and serves requests on them, each within bounds of time and memory.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{Entrance, Room, strict::Strict, unread::remembered};
use crate::{
    ConnectionSlot, Shutdown,
    stall::{Activity, Answering, Patience, Stall},
};

/// The most headers of a request.
const HEADERS_MAX: usize = 64;
/// The most bytes of a request's line and headers.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// The most requests at a time on one connection of HTTP/2.
const STREAMS_MAX: u32 = 64;
/// The most streams that a peer may open and reset before it is cut off.
const RESETS_MAX: usize = 32;
/// How long a door that cannot accept waits before it tries again.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Something that connections come from.
#[async_trait::async_trait]
pub(crate) trait Accept: Send + Sync {
    /// What a connection is.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection and the address of its peer.
    async fn accept_one(&self) -> std::io::Result<(Self::Io, IpAddr)>;
}

#[async_trait::async_trait]
impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept_one(&self) -> std::io::Result<(TcpStream, IpAddr)> {
        let (stream, address) = self.accept().await?;
        // An answer must not wait for more to send; a peer that refuses the option is served all the same.
        let _ = stream.set_nodelay(true);
        Ok((stream, address.ip()))
    }
}

#[async_trait::async_trait]
impl Accept for UnixListener {
    type Io = UnixStream;

    async fn accept_one(&self) -> std::io::Result<(UnixStream, IpAddr)> {
        let (stream, _) = self.accept().await?;
        Ok((stream, IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }
}

/// Serves every connection of `listener` until `shutdown` is requested; returns when the last one is closed.
pub(crate) async fn accept_loop<L: Accept>(
    listener: L,
    tls: Option<TlsAcceptor>,
    router: Router,
    room: &Room,
    shutdown: Shutdown,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.requested() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept_one() => accepted,
        };
        match accepted {
            Ok((io, address)) => {
                let counted = &room.shared().connections;
                let slot = match room.entrance() {
                    Entrance::Network => counted.admit(address),
                    Entrance::Socket => counted.admit_operator(),
                };
                let Some(slot) = slot else {
                    metrics::counter!("fineo_connections_refused_total").increment(1);
                    continue;
                };
                let (tls, router, room, shutdown) = (tls.clone(), router.clone(), room.clone(), shutdown.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve_one(io, address, slot, router, &room, shutdown).await,
                        Some(tls) => {
                            let patience = room.shared().clock.sleep(room.limits().hello_max);
                            let greeted = tokio::select! {
                                greeted = tls.accept(io) => greeted,
                                () = patience => return,
                            };
                            match greeted {
                                Ok(io) => serve_one(io, address, slot, router, &room, shutdown).await,
                                Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
                            }
                        }
                    }
                });
            }
            // W26: out of file descriptors, or the peer is gone again. Neither ends the door.
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                room.shared().clock.sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves the requests of one connection until it ends.
async fn serve_one<I>(io: I, address: IpAddr, slot: ConnectionSlot, router: Router, room: &Room, shutdown: Shutdown)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _slot = slot;
    let limits = room.limits();
    let activity = Activity::default();
    if matches!(room.entrance(), Entrance::Socket) {
        // No stranger; a shell waits for what somebody types.
        drop(activity.begin());
    }
    let served = activity.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(address));
        let (router, work) = (router.clone(), served.begin());
        async move {
            let (request, memory) = remembered(request);
            let mut response = router.oneshot(request.map(Body::new)).await.unwrap_or_else(never);
            memory.tell(&mut response);
            Ok::<_, Infallible>(response.map(|body| Answering { body, _work: work }))
        }
    });
    let patience =
        Patience { hello_max: limits.hello_max, write_max: limits.stall_max, idle_max: Some(limits.idle_max) };
    let io = Stall::new(Strict::new(io), Arc::clone(&room.shared().clock), patience, activity);
    let builder = builder(limits.hello_max, limits.stall_max);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

fn never<T>(error: Infallible) -> T {
    match error {}
}

fn builder(hello_max: Duration, stall_max: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(hello_max)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX.max(64 * 1024))
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .max_send_buf_size(256 * 1024)
        .keep_alive_interval(stall_max)
        .keep_alive_timeout(stall_max);
    builder
}
