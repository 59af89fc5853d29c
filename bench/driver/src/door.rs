//! A server of its own, and the plainest client of its HTTP door: what is measured is the server.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::Result;
use crate::meter::now;

/// Clock ticks per second in what Linux tells of a process.
const TICKS_PER_SECOND: f64 = 100.0;
/// A connection that was quiet for longer is made anew: the server may be about to close it.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// A running `fineo serve`, ended when it is dropped.
pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
    token: String,
}

impl Server {
    /// Serves an empty directory to one tenant.
    pub(crate) fn start(program: &str, directory: &Path, tenant: &str) -> Result<Self> {
        if directory.exists() {
            std::fs::remove_dir_all(directory)?;
        }
        let fineo = |words: &[&str]| {
            let mut command = Command::new(program);
            command.arg("--data-dir").arg(directory).args(words).stdin(Stdio::null());
            command
        };
        let made = fineo(&["token", "create", "--tenant", tenant]).output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into());
        }
        let token = String::from_utf8(made.stdout)?.trim().to_owned();
        let doors = ["--http-addr", "127.0.0.1:0", "--pg-addr", "127.0.0.1:0", "--flight-addr", "127.0.0.1:0"];
        let mut process = fineo(&[&["serve"], &doors[..]].concat()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(process.stderr.take().ok_or("the server says nothing")?).lines();
        let address = said.find_map(|line| line.ok()?.strip_prefix("http listens on ")?.parse().ok());
        // What it says later must not fill its pipe.
        std::thread::spawn(move || said.for_each(drop));
        let address = address.ok_or("the server did not say where it listens")?;
        Ok(Self { process, address, token })
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> Result<Caller> {
        let stream = connected(self.address).await?;
        Ok(Caller { stream, address: self.address, token: self.token.clone(), used: now() })
    }

    /// CPU seconds of all its threads so far, also those it has ended.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).ok_or("no CPU times");
        Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
    }

    /// Asks it to end, as a service manager does, and says how much CPU it took in all.
    pub(crate) fn stop(mut self) -> Result<f64> {
        Command::new("kill").arg(self.process.id().to_string()).status()?;
        let stat = format!("/proc/{}/stat", self.process.id());
        // Nobody has waited for it yet, so that its times can be read when it has ended.
        while !std::fs::read_to_string(&stat)?.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")) {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        let spent = self.cpu_seconds()?;
        let ended = self.process.wait()?;
        if ended.success() { Ok(spent) } else { Err(format!("the server ended with {ended}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever stopped it already needs nothing of this.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One connection to the HTTP door.
pub(crate) struct Caller {
    stream: BufStream<TcpStream>,
    address: SocketAddr,
    token: String,
    used: Instant,
}

async fn connected(address: SocketAddr) -> Result<BufStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(BufStream::new(stream))
}

impl Caller {
    /// Sends a body and reads the whole answer.
    pub(crate) async fn post(&mut self, path: &str, body: &[u8]) -> Result<Value> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        if now().duration_since(self.used) > QUIET_MAX {
            self.stream = connected(self.address).await?;
        }
        self.used = now();
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await?;
        let (mut status, mut length, mut line) = (String::new(), None, String::new());
        while line != "\r\n" {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err("the server closed the connection".into());
            }
            let lower = line.to_ascii_lowercase();
            match lower.split_once(':') {
                Some(("content-length", value)) => length = Some(value.trim().parse::<usize>()?),
                None if status.is_empty() => status = line.trim().to_owned(),
                _ => {}
            }
        }
        let answer = match length {
            Some(length) => {
                let mut answer = vec![0; length];
                self.stream.read_exact(&mut answer).await?;
                answer
            }
            None => self.chunks().await?,
        };
        if !status.contains(" 20") {
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            let length = usize::from_str_radix(line.trim(), 16)?;
            let start = answer.len();
            answer.resize(start + length + 2, 0);
            self.stream.read_exact(&mut answer[start..]).await?;
            answer.truncate(start + length);
            if length == 0 {
                return Ok(answer);
            }
        }
    }
}
