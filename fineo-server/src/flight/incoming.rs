//! Connections as they come: counted, encrypted, and none of them able to hold up another.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;
use tonic::transport::server::Connected;

use crate::{
    ConnectionSlot, Shared, Shutdown,
    stall::{Activity, Patience, Stall},
};

/// How long the door waits when the machine has no connection to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many connections wait to be served.
const WAITING_MAX: usize = 16;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that is counted for as long as it is open.
pub(super) struct Connection {
    io: Stall<Box<dyn Duplex>>,
    peer: Peer,
    _slot: ConnectionSlot,
}

/// Where a connection comes from.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// Who it is has to be said soon. The protocol's own pings tell later on whether it is there.
    pub(super) activity: Activity,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// The connections of `listener` until `shutdown` is requested.
pub(super) fn incoming(
    listener: TcpListener,
    shared: Shared,
    tls: Option<TlsAcceptor>,
    shutdown: Shutdown,
) -> impl Stream<Item = io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    // Ends with the listener's shutdown, or when nobody takes connections any more.
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.requested() => return,
                () = sender.closed() => return,
            };
            let Ok((socket, address)) = accepted else {
                // Out of descriptors, or a peer that was quicker to leave: others may have more luck.
                shared.clock.sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Some(slot) = shared.connections.admit(address.ip()) else { continue };
            let (shared, tls, sender) = (shared.clone(), tls.clone(), sender.clone());
            tokio::spawn(async move {
                let opened = tokio::select! {
                    opened = open(socket, tls) => opened,
                    () = shared.clock.sleep(shared.limits.hello_max) => None,
                };
                if let Some(io) = opened {
                    let peer = Peer { address: address.ip(), activity: Activity::default() };
                    let limits = &shared.limits;
                    let patience =
                        Patience { hello_max: limits.hello_max, write_max: limits.stall_max, idle_max: None };
                    let io = Stall::new(io, Arc::clone(&shared.clock), patience, peer.activity.clone());
                    let connection = Connection { io, peer, _slot: slot };
                    // Nobody takes it when the door closes.
                    let _ = sender.send(Ok(connection)).await;
                }
            });
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

async fn open(socket: TcpStream, tls: Option<TlsAcceptor>) -> Option<Box<dyn Duplex>> {
    socket.set_nodelay(true).ok()?;
    match tls {
        Some(tls) => Some(Box::new(tls.accept(socket).await.ok()?)),
        None => Some(Box::new(socket)),
    }
}
