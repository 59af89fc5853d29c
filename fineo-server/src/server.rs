//! All doors over one instance: opens them, keeps them open, and ends them in order.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use fineo::{Error, Fineo, Result};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    Config, Credentials, Folders, Notices, Shared, Shutdown, Tls,
    compaction::{self, Upkeep},
    config::CompactionConfig,
    flight, http, notify, pg,
    socket::Socket,
};

/// How often tokens that others made or revoked are looked for.
const CREDENTIALS_EVERY: Duration = Duration::from_secs(10);
/// After how many of those looks the certificate is read again.
const LOOKS_PER_CERTIFICATE: u32 = 6;

/// How long the doors stay shut at most while the stages pass on what was accepted before the start.
const START_WAIT_MAX: Duration = Duration::from_secs(3);

/// Doors that listen, over an instance.
#[derive(Debug)]
pub struct Server {
    shared: Shared,
    shutdown: Shutdown,
    http: Option<TcpListener>,
    postgres: Option<TcpListener>,
    flight: Option<TcpListener>,
    socket: Option<Socket>,
    /// How often it is compacted, and what the archive keeps.
    compaction: CompactionConfig,
    /// Where that work goes that does not fit into memory.
    scratch: Option<PathBuf>,
    /// Whom to tell what was found.
    notices: Option<Notices>,
}

impl Server {
    /// Opens the doors of `config` over `fineo`; in `directory`, which `fineo` holds, also the operator's socket.
    ///
    /// # Errors
    ///
    /// `Invalid` when two doors have one address, none is open and there is no directory, a door would open to other machines without
    /// encryption or tokens and that was not asked for in so many words, or the certificate cannot be used; `Unavailable` when an address
    /// is taken.
    pub async fn open(
        config: &Config,
        fineo: Fineo,
        credentials: Credentials,
        directory: Option<PathBuf>,
    ) -> Result<Self> {
        config.check_doors()?;
        config.check_reachable(directory.is_some())?;
        let tls = match (&config.tls.certificate, &config.tls.key) {
            (Some(certificate), Some(key)) => Some(Tls::load(certificate, key)?),
            _ => None,
        };
        check_exposure(config, tls.is_some(), credentials.is_empty())?;
        let http = listen("http.address", config.http_address()).await?;
        let postgres = listen("postgres.address", config.postgres_address()).await?;
        let flight = listen("flight.address", config.flight_address()).await?;
        let scratch = directory.as_ref().map(|directory| directory.join("scratch"));
        let socket = match directory {
            None => None,
            Some(directory) => match Socket::listen(&directory) {
                Ok(socket) => Some(socket),
                Err(error) => {
                    tracing::warn!(%error, "other commands cannot reach this server");
                    None
                }
            },
        };
        let mut shared = Shared::new(Arc::new(fineo), Arc::new(credentials), config.door_limits(), tls);
        shared.folders = Arc::new(Folders::new(&config.batches)?);
        let compaction = config.compaction.clone();
        let repo = Arc::clone(&shared.fineo.parts().repo);
        let notices = Notices::new(repo, Arc::clone(&shared.clock), config.notify.clone())?;
        Ok(Self { shared, shutdown: Shutdown::new(), http, postgres, flight, socket, compaction, scratch, notices })
    }

    /// Where the HTTP door listens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Each open door and where it listens.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let doors = [("http", &self.http), ("postgres", &self.postgres), ("flight", &self.flight)];
        let address = |listener: &TcpListener| listener.local_addr().ok();
        doors.iter().filter_map(|(door, listener)| Some((*door, listener.as_ref().and_then(address)?))).collect()
    }

    /// What the doors work on.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Where batches may be read from, so that object stores can be connected before it runs.
    pub fn folders_mut(&mut self) -> &mut Folders {
        Arc::make_mut(&mut self.shared.folders)
    }

    /// The wish that this server ends.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Serves until [`Server::shutdown`] is requested; then lets what is under way finish as long as the limits allow,
    /// drains and checkpoints the stages, and lets go of the stores.
    ///
    /// # Errors
    ///
    /// When a door broke off, or something could not be made durable; what was acknowledged is there all the same.
    pub async fn run(self) -> Result<()> {
        let Self { shared, shutdown, http, postgres, flight, socket, compaction, scratch, notices } = self;
        // Whoever asks first sees what an earlier server said can be asked. Stages that do not get on keep nobody from asking.
        tokio::select! {
            () = shared.fineo.pipeline().wait_until_caught_up(START_WAIT_MAX) => {}
            () = shutdown.requested() => {}
        }
        let mut doors: JoinSet<Result<()>> = JoinSet::new();
        if let Some(listener) = http {
            doors.spawn(http::serve(listener, shared.clone(), shutdown.clone()));
        }
        if let Some(listener) = postgres {
            doors.spawn(pg::serve(listener, shared.clone(), shutdown.clone()));
        }
        if let Some(listener) = flight {
            doors.spawn(flight::serve(listener, shared.clone(), shutdown.clone()));
        }
        if let Some(socket) = socket {
            let (shared, shutdown) = (shared.clone(), shutdown.clone());
            doors.spawn(async move {
                socket.serve(shared, shutdown).await;
                Ok(())
            });
        }
        doors.spawn(keep_fresh(shared.clone(), shutdown.clone()));
        if let Some(notices) = &notices {
            doors.spawn(notify::keep_telling(notices.clone(), shared.clone(), shutdown.clone()));
        }
        if let Some(every) = compaction.every() {
            let upkeep = Upkeep { every, archive_retain: compaction.archive_retain(), scratch, notices };
            doors.spawn(compaction::keep_up(shared.clone(), shutdown.clone(), upkeep));
        }
        let mut outcome = Ok(());
        while !shutdown.is_requested() {
            tokio::select! {
                () = shutdown.requested() => {}
                Some(ended) = doors.join_next() => {
                    // A door that ends by itself takes the others with it: half a server is no server.
                    outcome = ended.unwrap_or_else(|source| Err(broke_off(source)));
                    shutdown.request();
                }
            }
        }
        let patience = shared.clock.sleep(shared.limits.drain_max);
        let drained = async { while doors.join_next().await.is_some() {} };
        tokio::select! {
            () = drained => {}
            () = patience => tracing::warn!("some connections did not end in time and are cut off"),
        }
        doors.shutdown().await;
        let closed = close(shared).await;
        outcome.and(closed)
    }
}

/// Ends the stages. Whoever still holds the instance then is a task that was cut off just now.
async fn close(shared: Shared) -> Result<()> {
    let mut fineo = Arc::clone(&shared.fineo);
    let clock = Arc::clone(&shared.clock);
    drop(shared);
    for _ in 0..100 {
        match Arc::try_unwrap(fineo) {
            Ok(fineo) => return fineo.close().await,
            Err(still_held) => fineo = still_held,
        }
        clock.sleep(Duration::from_millis(10)).await;
    }
    tracing::warn!("a request still runs: the stages end without a checkpoint and repeat some work next time");
    Ok(())
}

/// Keeps up with tokens that other processes change, and with a certificate that is replaced.
async fn keep_fresh(shared: Shared, shutdown: Shutdown) -> Result<()> {
    let mut looks = 0;
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = shared.clock.sleep(CREDENTIALS_EVERY) => {}
        }
        looks += 1;
        if let Err(error) = shared.credentials.refresh().await {
            tracing::warn!(%error, "the tokens cannot be read again");
        }
        if let (0, Some(tls)) = (looks % LOOKS_PER_CERTIFICATE, &shared.tls)
            && let Err(error) = tls.reload()
        {
            tracing::warn!(%error, "the certificate cannot be read again; the one before stays");
        }
    }
}

fn check_exposure(config: &Config, is_encrypted: bool, has_no_token: bool) -> Result<()> {
    let doors =
        [("http", config.http_address()), ("postgres", config.postgres_address()), ("flight", config.flight_address())];
    let mut open = doors.iter().filter_map(|(door, address)| address.map(|address| (door, address)));
    let Some((door, address)) = open.find(|(_, address)| !address.ip().is_loopback()) else { return Ok(()) };
    if config.security.listen_beyond_loopback_without_tls_or_tokens || (is_encrypted && !has_no_token) {
        return Ok(());
    }
    let missing = match (is_encrypted, has_no_token) {
        (false, true) => "a certificate and a token",
        (false, false) => "a certificate",
        (true, true | false) => "a token",
    };
    Err(Error::invalid(format!("other machines could reach this door: that takes {missing}"))
        .with("door", door)
        .with("address", address)
        .with("hint", "set tls.certificate and tls.key, and make a token with: fineo token create --tenant T"))
}

async fn listen(setting: &'static str, address: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let taken = |source: std::io::Error| {
        let hint = match source.kind() {
            std::io::ErrorKind::AddrInUse => "end the program that has the address, or choose another",
            std::io::ErrorKind::PermissionDenied => "choose a port from 1024 on, or run with the right to this one",
            _ => "choose an address of this machine",
        };
        let error = Error::unavailable("the address cannot be listened on").with(setting, address);
        error.with("hint", hint).with_source(source)
    };
    TcpListener::bind(address).await.map(Some).map_err(taken)
}

fn broke_off(source: tokio::task::JoinError) -> Error {
    Error::internal("a door broke off").with_source(source)
}
