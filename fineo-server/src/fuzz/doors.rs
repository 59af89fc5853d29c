//! The doors themselves, open on this machine, fed what strangers and clients may send. None of it brings them down, makes
//! them wait, or shows what a neighbour has.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fineo::{
    Fineo, QueryLimits, TenantId,
    core::{SystemClock, SystemEntropy},
};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Runtime,
    task::JoinHandle,
    time::timeout,
};

use fineo_conformance::Target;

use super::calls;
use crate::{Credentials, DoorLimits, Scope, Shared, Shutdown, auth::TokenRequest, flight, http, pg};

/// The doors by name.
pub(super) const TARGETS: &[Target] = &[
    ("pg_door", |bytes| feed(bytes, postgres)),
    ("http_door", |bytes| feed(bytes, over_http)),
    ("flight_door", |bytes| feed(bytes, calls::call)),
];

/// How long a door may take to answer, or to wait for more.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// A door that says nothing for so long waits for more.
const QUIET: Duration = Duration::from_millis(100);
/// How much of an answer is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// After so many inputs the neighbour is asked whether it noticed anything.
const NEIGHBOUR_EVERY: u32 = 64;
/// After so many inputs the doors begin anew, since all that is taken in stays in memory.
const INPUTS_MAX: u32 = 4_000;
/// What only the neighbour may see.
const SECRET: &str = "a tweet that nobody else hears";
const EVENTS: &str = r#"{"metrictype":"m","timestamp":1767600000000,"device":"t-01","temp":20.5}
{"metrictype":"m","timestamp":1767600001000,"device":"t-02","on":true,"list":[1,"a"]}"#;

/// Three doors in front of two tenants in memory.
pub(super) struct Doors {
    runtime: Runtime,
    postgres: SocketAddr,
    http: SocketAddr,
    pub(super) flight: SocketAddr,
    pub(super) token: String,
    neighbour: String,
    inputs: u32,
    shutdown: Shutdown,
    serving: Vec<JoinHandle<fineo::Result<()>>>,
}

static DOORS: Mutex<Option<Doors>> = Mutex::new(None);

/// Sends what a client says in its own way to the doors, and looks at what comes back.
fn feed(bytes: &[u8], send: impl AsyncFnOnce(&Doors, &[u8]) -> Vec<u8>) {
    let mut held = DOORS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut doors = held.take().filter(|doors| doors.inputs < INPUTS_MAX).unwrap_or_else(Doors::open);
    doors.runtime.block_on(async {
        let answer = timeout(ANSWERED_WITHIN, send(&doors, bytes)).await.expect("the door does not hang");
        // A fuzzer that sees what is compared comes to say it itself, and hears it again.
        let is_said = contains(bytes, &SECRET.as_bytes()[..8]);
        assert!(is_said || !contains(&answer, SECRET.as_bytes()), "the neighbour was overheard");
        if doors.inputs.is_multiple_of(NEIGHBOUR_EVERY) {
            let asked = request("POST /v1/query", &doors.neighbour, br#"{"sql":"SELECT secret FROM canary"}"#);
            let heard = timeout(ANSWERED_WITHIN, whole(doors.connect(doors.http).await, &asked)).await;
            assert!(contains(&heard.expect("the neighbour is answered"), SECRET.as_bytes()), "the neighbour noticed");
        }
    });
    assert!(!doors.serving.iter().any(JoinHandle::is_finished), "a door closed");
    doors.inputs += 1;
    *held = Some(doors);
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

impl Doors {
    fn open() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads begin");
        let serving = runtime.block_on(Self::serve()).expect("the doors open");
        serving(runtime)
    }

    async fn serve() -> fineo::Result<impl FnOnce(Runtime) -> Self> {
        let limits = QueryLimits::default().with_time_max(Duration::from_secs(3));
        let fineo = Fineo::memory().with_query_limits(limits).open().await?;
        let [acme, rival] = [TenantId::new("acme")?, TenantId::new("rival")?];
        let canary = format!(r#"{{"metrictype":"canary","timestamp":1,"secret":"{SECRET}"}}"#);
        for (tenant, events) in [(&acme, EVENTS), (&rival, canary.as_str())] {
            let receipt = fineo.ingest(tenant, events.to_owned()).await?;
            fineo.wait_until_queryable(&receipt).await?;
        }
        let repo = Arc::clone(&fineo.parts().repo);
        let credentials = Credentials::open(repo, Arc::new(SystemClock), Arc::new(SystemEntropy::new())).await?;
        let mut tokens = Vec::new();
        for tenant in [acme, rival] {
            let request = TokenRequest {
                tenant,
                scopes: [Scope::Admin].into_iter().collect(),
                role: None,
                expires_at: None,
                note: String::new(),
            };
            tokens.push(credentials.create(request).await?.0.reveal().to_owned());
        }
        let limits =
            DoorLimits { stall_max: Duration::from_secs(5), body_max: Duration::from_secs(5), ..DoorLimits::default() };
        let shared = Shared::new(Arc::new(fineo), Arc::new(credentials), limits, None);
        let shutdown = Shutdown::new();
        let [postgres, http, flight] = [listener().await, listener().await, listener().await];
        let addresses = [&postgres, &http, &flight].map(|it| it.local_addr().expect("it has one"));
        let serving = vec![
            tokio::spawn(pg::serve(postgres, shared.clone(), shutdown.clone())),
            tokio::spawn(http::serve(http, shared.clone(), shutdown.clone())),
            tokio::spawn(flight::serve(flight, shared, shutdown.clone())),
        ];
        let [postgres, http, flight] = addresses;
        let [token, neighbour] = <[String; 2]>::try_from(tokens).expect("two of them");
        Ok(move |runtime| Self { runtime, postgres, http, flight, token, neighbour, inputs: 0, shutdown, serving })
    }

    /// From an address of its own, so that an address that guesses wrong is not closed to the inputs that follow.
    pub(super) async fn connect(&self, door: SocketAddr) -> TcpStream {
        let [_, low, middle, high] = self.inputs.to_be_bytes().map(|byte| byte.clamp(1, 254));
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::new(127, low, middle, high), 0).into()).expect("an address of this machine");
        socket.connect(door).await.expect("the door is open")
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.shutdown.request();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("no thread is needed");
        std::mem::replace(&mut self.runtime, runtime).shutdown_background();
    }
}

/// Sends all, says that no more comes, and reads what comes back.
pub(super) async fn exchange(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    // A door that has heard enough closes.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    heard(stream).await
}

/// Sends a request that is whole, and stays to hear the answer.
async fn whole(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    let _ = stream.write_all(bytes).await;
    heard(stream).await
}

async fn heard(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    while answer.len() < ANSWER_BYTES_MAX && stream.read_buf(&mut answer).await.is_ok_and(|length| length > 0) {}
    answer
}

/// An odd first byte is followed by what a session says, an even one by what a stranger says.
async fn postgres(doors: &Doors, bytes: &[u8]) -> Vec<u8> {
    let Some((kind, said)) = bytes.split_first() else { return Vec::new() };
    let mut stream = doors.connect(doors.postgres).await;
    if kind % 2 == 0 {
        return exchange(stream, said).await;
    }
    let_in(&mut stream, &doors.token).await.expect("the right token opens the door");
    let _ = stream.write_all(said).await;
    let mut answer = Vec::new();
    while answer.len() < ANSWER_BYTES_MAX {
        match timeout(QUIET, stream.read_buf(&mut answer)).await {
            Ok(Ok(length)) if length > 0 => {}
            Ok(_) => return answer,
            Err(_) => break,
        }
    }
    answer.extend(exchange(stream, b"").await);
    answer
}

/// Shows a token as SCRAM has it.
async fn let_in(stream: &mut TcpStream, token: &str) -> std::io::Result<()> {
    let message = |kind: &[u8], body: &[u8]| {
        let length = u32::try_from(body.len() + 4).expect("a short message").to_be_bytes();
        [kind, &length, body].concat()
    };
    stream.write_all(&message(b"", b"\0\x03\0\0user\0acme\0database\0fineo\0\0")).await?;
    let mut scram = ScramSha256::new(token.as_bytes(), ChannelBinding::unsupported());
    next(stream).await?;
    let length = u32::try_from(scram.message().len()).expect("a short message").to_be_bytes();
    stream.write_all(&message(b"p", &[b"SCRAM-SHA-256\0", length.as_slice(), scram.message()].concat())).await?;
    scram.update(next(stream).await?.1.get(4..).unwrap_or_default())?;
    stream.write_all(&message(b"p", scram.message())).await?;
    scram.finish(next(stream).await?.1.get(4..).unwrap_or_default())?;
    while next(stream).await?.0 != b'Z' {}
    Ok(())
}

async fn next(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let mut body = vec![0; stream.read_u32().await?.saturating_sub(4) as usize];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}

/// An odd first byte is followed by method and path, a new line, and the body of a request that is made of them; an even one
/// by all of a request.
async fn over_http(doors: &Doors, bytes: &[u8]) -> Vec<u8> {
    let Some((kind, said)) = bytes.split_first() else { return Vec::new() };
    let stream = doors.connect(doors.http).await;
    if kind % 2 == 0 {
        return exchange(stream, said).await;
    }
    let end = said.iter().position(|byte| *byte == b'\n').unwrap_or(said.len());
    let line = String::from_utf8_lossy(&said[..end]).into_owned();
    whole(stream, &request(&line, &doors.token, said.get(end + 1..).unwrap_or_default())).await
}

fn request(line: &str, token: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
