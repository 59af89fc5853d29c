//! The Postgres door: SQL for whatever speaks the Postgres protocol.
//!
//! The user is the tenant, the password its token (proved by SCRAM-SHA-256), the database `fineo`. Simple and extended
//! queries, text and binary values, portals that are fetched in parts, cursors and cancel requests work as tools expect;
//! everything that would write is refused.
//!
//! The messages, the types and the forms of values are those of the crates `pgwire` and `arrow-pg`. The loop around them
//! is our own: theirs puts no bound on what a stranger may make it hold, and does not hear a client hang up while its
//! query runs.

mod cancel;
mod catalog;
mod command;
mod dialect;
mod failure;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod hello;
mod hints;
mod link;
mod lists;
mod numeric;
mod prepared;
mod request;
mod rows;
mod scram;
mod session;
mod settings;
mod source;
mod statements;
mod types;
mod values;

use std::time::Duration;

use fineo::Result;
use tokio::{net::TcpListener, task::JoinSet};

pub(crate) use self::statements::words;
use self::{cancel::Cancels, hello::Door};
use crate::{Shared, Shutdown};

/// What clients call the protocol when they begin with TLS at once.
const PROTOCOL: &str = "postgresql";
/// How long the door waits when the machine has no connection to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves sessions on `listener` until `shutdown` is requested, then waits for those that are open.
///
/// # Errors
///
/// When TLS cannot be set up. What goes wrong with one connection ends that connection.
pub async fn serve(listener: TcpListener, shared: Shared, shutdown: Shutdown) -> Result<()> {
    let tls = match &shared.tls {
        Some(tls) => Some(tls.acceptor(&[PROTOCOL])?),
        None => None,
    };
    let cancels = Cancels::default();
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.requested() => break,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
        };
        match accepted {
            Ok((socket, address)) => {
                let Some(slot) = shared.connections.admit(address.ip()) else { continue };
                let door = Door { shared: shared.clone(), cancels: cancels.clone(), address, tls: tls.clone() };
                let shutdown = shutdown.clone();
                open.spawn(async move {
                    Box::pin(door.serve(socket, &shutdown)).await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of descriptors, or a peer that was quicker to leave: others may have more luck.
                tracing::warn!(%error, "a connection could not be accepted");
                shared.clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
    Ok(())
}
