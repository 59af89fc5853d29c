//! A server that does to each request what it was told to.

use std::{
    collections::VecDeque,
    io::read_to_string,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use flate2::read::GzDecoder;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// It is answered: status, further headers, body.
    Answer(u16, &'static str, String),
    /// The connection is closed.
    Close,
    /// The connection is closed in the middle of the answer.
    BreakOff,
    /// Nothing.
    Silence,
}

/// A request that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) head: String,
    /// Unpacked.
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn key(&self) -> &str {
        self.header("idempotency-key").unwrap()
    }
}

/// A server on loopback.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    arrivals: mpsc::UnboundedReceiver<()>,
}

impl Server {
    /// One that does `deeds`, one to each request, and no more.
    pub(crate) async fn new(deeds: impl IntoIterator<Item = Deed>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::default();
        let (arrived, arrivals) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, deeds.into_iter().collect(), Arc::clone(&heard), arrived));
        Self { address, heard, arrivals }
    }

    /// Every request so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Completes once there is another request.
    pub(crate) async fn arrival(&mut self) {
        self.arrivals.recv().await.unwrap();
    }
}

async fn serve(
    listener: TcpListener,
    mut deeds: VecDeque<Deed>,
    heard: Arc<Mutex<Vec<Heard>>>,
    arrived: mpsc::UnboundedSender<()>,
) {
    let mut silent = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let Some(request) = read(&mut stream).await else { continue };
        heard.lock().unwrap().push(request);
        match deeds.pop_front() {
            Some(Deed::Answer(status, headers, body)) => {
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
            Some(Deed::BreakOff) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"rows\":[").await.unwrap();
            }
            Some(Deed::Silence) => silent.push(stream),
            Some(Deed::Close) | None => {}
        }
        // Nobody waits for it any more where the test is over.
        let _ = arrived.send(());
    }
}

/// Reads one request; none where the client is gone.
async fn read(stream: &mut TcpStream) -> Option<Heard> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).await.ok().filter(|count| *count > 0)?;
    }
    let mut request = Heard { head, body: String::new() };
    let mut body = vec![0; request.header("content-length").unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    request.body = match request.header("content-encoding") {
        Some(_gzip) => read_to_string(GzDecoder::new(body.as_slice())).unwrap(),
        None => String::from_utf8(body).unwrap(),
    };
    Some(request)
}
