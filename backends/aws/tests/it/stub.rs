//! A service that answers as a test says: what AWS does and no emulator shows.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// What a service answers to an operation with these arguments: status and body.
pub(crate) type Answer = Box<dyn FnMut(&str, &Value) -> (u16, Value) + Send>;

/// A stub on the loopback interface.
pub(crate) struct Stub {
    pub(crate) url: String,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Stub {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&calls), Arc::new(Mutex::new(answer)));
        // Ends with the runtime of its test.
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&log), Arc::clone(&answer)));
            }
        });
        Self { url, calls }
    }

    /// The operations that were called, in order, with their arguments.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names of the operations that were called.
    pub(crate) fn names(&self) -> Vec<String> {
        self.calls().into_iter().map(|(name, _)| name).collect()
    }
}

async fn serve(connection: TcpStream, log: Arc<Mutex<Vec<(String, Value)>>>, answer: Arc<Mutex<Answer>>) {
    let mut connection = BufReader::new(connection);
    while let Some((operation, arguments)) = request(&mut connection).await {
        log.lock().unwrap_or_else(PoisonError::into_inner).push((operation.clone(), arguments.clone()));
        let (status, body) = (answer.lock().unwrap_or_else(PoisonError::into_inner))(&operation, &arguments);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if connection.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(connection: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let (mut operation, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => operation = value.rsplit('.').next().unwrap_or_default().to_owned(),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    Some((operation, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
