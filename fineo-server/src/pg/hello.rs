//! The beginning of a connection: encryption, who is there, and what it is told.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use pgwire::messages::{
    PgWireBackendMessage as Say,
    response::{ReadyForQuery, TransactionStatus},
    startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use super::{
    PROTOCOL,
    cancel::{Cancelable, Cancels},
    failure::Failure,
    link::{Gone, Link},
    request::{Hello, Request, STRANGER_BYTES_MAX, hello, request},
    scram::{self, Exchange},
    session::PgSession,
    settings::Settings,
};
use crate::{Principal, Scope, Shared, Shutdown, auth::Refusal};

/// The first byte of a client that begins with TLS at once.
const TLS_HANDSHAKE: u8 = 0x16;
/// The newest minor version of the protocol that is spoken: in it, keys of cancel requests are long.
const MINOR_MAX: u16 = 2;
const KEY_BYTES: usize = 4;
const LONG_KEY_BYTES: usize = 32;
/// The only database.
const DATABASE: &str = "fineo";

/// What one connection is served with.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) shared: Shared,
    pub(super) cancels: Cancels,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<TlsAcceptor>,
}

/// Why there is no session.
enum Refused {
    /// The client is told.
    Failed(Failure),
    /// Nobody is there, or nothing is owed.
    Silent,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Gone> for Refused {
    fn from(_: Gone) -> Self {
        Self::Silent
    }
}

/// A client whose name and secret were right.
struct Guest {
    principal: Principal,
    settings: Settings,
    cancelable: Cancelable,
}

impl Door {
    /// Serves one connection from its first byte to its last.
    pub(super) async fn serve(self, socket: TcpStream, shutdown: &Shutdown) {
        // Without it small answers wait for the client's acknowledgements; a socket that cannot is slow, not wrong.
        let _ = socket.set_nodelay(true);
        let clock = self.shared.clock.clone();
        let late = clock.sleep(self.shared.limits.hello_max);
        let mut first = [0];
        let peeked = tokio::select! {
            peeked = socket.peek(&mut first) => peeked,
            () = late => return,
            () = shutdown.requested() => return,
        };
        match peeked {
            Ok(1) if first[0] == TLS_HANDSHAKE => Box::pin(self.encrypted(socket, true, shutdown)).await,
            Ok(1) => Box::pin(self.plain(socket, shutdown)).await,
            Ok(_) | Err(_) => {}
        }
    }

    async fn plain(self, socket: TcpStream, shutdown: &Shutdown) {
        let link = self.link(socket);
        let late = self.shared.clock.sleep(self.shared.limits.hello_max);
        let negotiated = tokio::select! {
            negotiated = self.negotiate(link) => negotiated,
            () = late => return,
            () = shutdown.requested() => return,
        };
        match negotiated {
            Some(Negotiated::Encrypted(socket)) => Box::pin(self.encrypted(socket, false, shutdown)).await,
            Some(Negotiated::Plain(link, hello)) => {
                let needs_encryption = self.tls.is_some();
                self.greet(link, hello, needs_encryption, shutdown).await;
            }
            None => {}
        }
    }

    fn link<S: AsyncRead + AsyncWrite + Unpin + Send>(&self, io: S) -> Link<S> {
        Link::new(io, BytesMut::new(), self.shared.clock.clone(), self.shared.limits.stall_max)
    }

    /// Answers wishes for encryption, each kind once, up to the first other message.
    async fn negotiate(&self, mut link: Link<TcpStream>) -> Option<Negotiated> {
        let mut has_asked = [false; 2];
        loop {
            let next = match first(&mut link).await {
                Ok(next) => next,
                Err(Refused::Failed(failure)) => {
                    say_farewell(&mut link, failure).await;
                    return None;
                }
                Err(Refused::Silent) => return None,
            };
            let asked = match next {
                Hello::Ssl => &mut has_asked[0],
                Hello::Gss => &mut has_asked[1],
                Hello::Cancel { .. } | Hello::Startup { .. } => return Some(Negotiated::Plain(link, next)),
            };
            if std::mem::replace(asked, true) {
                return None;
            }
            let accepts = next == Hello::Ssl && self.tls.is_some();
            link.say_bytes(if accepts { b"S" } else { b"N" });
            link.flush().await.ok()?;
            if accepts {
                let (socket, ahead) = link.into_parts();
                // What came before encryption began could be anybody's.
                return ahead.is_empty().then_some(Negotiated::Encrypted(socket));
            }
        }
    }

    async fn encrypted(self, socket: TcpStream, is_direct: bool, shutdown: &Shutdown) {
        let Some(acceptor) = self.tls.clone() else { return };
        let late = self.shared.clock.sleep(self.shared.limits.hello_max);
        let accepted = tokio::select! {
            accepted = acceptor.accept(socket) => accepted,
            () = late => return,
        };
        let Ok(mut socket) = accepted else { return };
        // A client that begins with TLS has to say what it wants to speak: other protocols do, too.
        if is_direct && socket.get_ref().1.alpn_protocol() != Some(PROTOCOL.as_bytes()) {
            // It is closed either way.
            let _ = socket.shutdown().await;
            return;
        }
        let mut link = self.link(socket);
        let late = self.shared.clock.sleep(self.shared.limits.hello_max);
        let next = tokio::select! {
            next = first(&mut link) => next,
            () = late => return,
        };
        match next {
            Ok(hello @ (Hello::Startup { .. } | Hello::Cancel { .. })) => {
                self.greet(link, hello, false, shutdown).await
            }
            Ok(Hello::Ssl | Hello::Gss) | Err(Refused::Silent) => {}
            Err(Refused::Failed(failure)) => say_farewell(&mut link, failure).await,
        }
    }

    /// Lets a client in, or not.
    async fn greet<S: AsyncRead + AsyncWrite + Unpin + Send>(
        self,
        mut link: Link<S>,
        hello: Hello,
        needs_encryption: bool,
        shutdown: &Shutdown,
    ) {
        let (minor, parameters) = match hello {
            Hello::Startup { minor, parameters } => (minor, parameters),
            Hello::Cancel { process, key } => return self.cancels.cancel(process, &key),
            Hello::Ssl | Hello::Gss => return,
        };
        if needs_encryption {
            let failure = Failure::fatal("28000", "this server wants TLS").with_hint("connect with sslmode=require");
            return say_farewell(&mut link, failure).await;
        }
        let late = self.shared.clock.sleep(self.shared.limits.hello_max);
        let welcomed = tokio::select! {
            welcomed = self.welcome(&mut link, minor, parameters) => welcomed,
            () = late => return,
            () = shutdown.requested() => return,
        };
        let guest = match welcomed {
            Ok(guest) => guest,
            Err(Refused::Failed(failure)) => return say_farewell(&mut link, failure).await,
            Err(Refused::Silent) => return,
        };
        let Some(_slot) = self.shared.connections.admit_tenant(guest.principal.tenant()) else {
            let failure = Failure::fatal("53300", "the tenant has too many connections");
            return say_farewell(&mut link, failure).await;
        };
        say_welcome(&mut link, &guest);
        if link.flush().await.is_err() {
            return;
        }
        tracing::debug!(tenant = %guest.principal.tenant(), token = %guest.principal.token(), "a session begins");
        PgSession::new(link, self.shared, guest.principal, guest.settings, guest.cancelable).run(shutdown).await;
    }

    /// Finds out who the client is.
    async fn welcome<S: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        link: &mut Link<S>,
        minor: u16,
        parameters: Vec<(String, String)>,
    ) -> Result<Guest, Refused> {
        let value = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let user = value("user").filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| Failure::fatal("28000", "no user name: it is the tenant's"))?;
        let unknown: Vec<String> =
            parameters.iter().filter(|(name, _)| name.starts_with("_pq_.")).map(|(name, _)| name.clone()).collect();
        if minor > MINOR_MAX || !unknown.is_empty() {
            let newest = (3 << 16) | i32::from(minor.min(MINOR_MAX));
            link.say(Say::NegotiateProtocolVersion(NegotiateProtocolVersion::new(newest, unknown)));
        }
        let principal = self.authenticate(link, user).await?;
        if !principal.scopes().allow(Scope::Query) {
            return Err(Failure::fatal("42501", "the token does not allow to query")
                .with_hint("make one that does: fineo token create --tenant T --scope query")
                .into());
        }
        // Without a database, clients mean one of the user's name.
        if value("database").is_some_and(|database| database != DATABASE && database != user && !database.is_empty()) {
            return Err(Failure::fatal("3D000", "there is no such database: it is called fineo").into());
        }
        if value("replication").is_some_and(|value| !["false", "off", "no", "0"].contains(&value)) {
            return Err(Failure::fatal("0A000", "this server does not replicate").into());
        }
        let settings = settings(&parameters)?;
        let key_bytes = if minor.min(MINOR_MAX) >= 2 { LONG_KEY_BYTES } else { KEY_BYTES };
        let cancelable = self.cancels.register(key_bytes, &*self.shared.entropy);
        Ok(Guest { principal, settings, cancelable })
    }

    async fn authenticate<S: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        link: &mut Link<S>,
        user: &str,
    ) -> Result<Principal, Refused> {
        link.say(Say::Authentication(Authentication::SASL(vec![scram::MECHANISM.to_owned()])));
        let challenge = self.shared.credentials.scram_challenge(user);
        let exchange = Exchange::begin(password(link).await?, &challenge, &*self.shared.entropy)?;
        link.say(Say::Authentication(Authentication::SASLContinue(exchange.server_first())));
        let claim = exchange.claim(&password(link).await?)?;
        let credentials = &self.shared.credentials;
        let message = claim.message.as_bytes();
        let proven = credentials.verify_scram(user, message, &claim.proof, self.address.ip()).await;
        let proven = proven.map_err(|refusal| match refusal {
            Refusal::Refused => Failure::fatal("28P01", "password authentication failed"),
            Refusal::Throttled { retry_after } => Failure::fatal("28P01", "too many failed attempts from this address")
                .with_hint(format!("try again in {} s", retry_after.as_secs() + 1)),
            Refusal::Unavailable(error) => {
                tracing::error!(error = ?error, "the credentials cannot be read");
                Failure::fatal("57P03", "the credentials cannot be read now")
            }
        })?;
        link.say(Say::Authentication(Authentication::SASLFinal(scram::server_final(&proven.server_signature))));
        Ok(proven.principal)
    }
}

/// What comes of the wishes for encryption.
enum Negotiated {
    Encrypted(TcpStream),
    Plain(Link<TcpStream>, Hello),
}

/// The first message of a connection.
async fn first<S: AsyncRead + AsyncWrite + Unpin + Send>(link: &mut Link<S>) -> Result<Hello, Refused> {
    loop {
        if let Some(hello) = hello(&mut link.input)? {
            return Ok(hello);
        }
        link.fill().await?;
    }
}

/// The client's next step of SASL, once what was said so far is sent.
async fn password<S: AsyncRead + AsyncWrite + Unpin + Send>(link: &mut Link<S>) -> Result<Bytes, Refused> {
    link.flush().await?;
    loop {
        if let Some((_, next)) = request(&mut link.input, STRANGER_BYTES_MAX)? {
            return match next? {
                Request::Password(message) => Ok(message),
                Request::Terminate => Err(Refused::Silent),
                _ => Err(Failure::fatal("08P01", "expected a password").into()),
            };
        }
        link.fill().await?;
    }
}

/// The settings that a client begins with.
fn settings(parameters: &[(String, String)]) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    for (name, value) in parameters {
        match name.as_str() {
            "user" | "database" | "replication" => {}
            "options" => {
                for (name, value) in options(value) {
                    settings.set(&name, Some(&value)).map_err(|failure| Failure { is_fatal: true, ..failure })?;
                }
            }
            name if name.starts_with("_pq_.") => {}
            name => drop(settings.set(name, Some(value)).map_err(|failure| Failure { is_fatal: true, ..failure })?),
        }
    }
    Ok(settings)
}

/// The settings in `-c name=value --name=value`.
fn options(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let assignment = match word {
            "-c" => words.next(),
            word => word.strip_prefix("--").or_else(|| word.strip_prefix("-c")),
        };
        if let Some((name, value)) = assignment.and_then(|assignment| assignment.split_once('=')) {
            found.push((name.replace('-', "_"), value.to_owned()));
        }
    }
    found
}

fn say_welcome<S: AsyncRead + AsyncWrite + Unpin + Send>(link: &mut Link<S>, guest: &Guest) {
    link.say(Say::Authentication(Authentication::Ok));
    for (name, value) in guest.settings.reported() {
        link.say(Say::ParameterStatus(ParameterStatus::new(name.to_owned(), value)));
    }
    let tenant = guest.principal.tenant().to_string();
    link.say(Say::ParameterStatus(ParameterStatus::new("session_authorization".to_owned(), tenant)));
    let Cancelable { process, key, .. } = &guest.cancelable;
    let secret = match key.first_chunk::<KEY_BYTES>() {
        Some(short) if key.len() == KEY_BYTES => SecretKey::I32(i32::from_be_bytes(*short)),
        Some(_) | None => SecretKey::Bytes(key.clone()),
    };
    link.say(Say::BackendKeyData(BackendKeyData::new(*process, secret)));
    link.say(Say::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle)));
}

async fn say_farewell<S: AsyncRead + AsyncWrite + Unpin + Send>(link: &mut Link<S>, failure: Failure) {
    link.say(Say::ErrorResponse(Failure { is_fatal: true, ..failure }.response()));
    link.close().await;
}
