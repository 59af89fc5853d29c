//! A server on a port of its own, and a caller.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use fineo::{
    Fineo, TenantId,
    core::{Clock, SystemClock, SystemEntropy},
};
use fineo_server::{
    Config, Credentials, Scope, Server, Shutdown, Tls,
    auth::{Token, TokenRequest},
};
use http_body_util::BodyExt;
use hyper::{Method, Request, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use object_store::ObjectStore;
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinHandle};

pub(crate) struct Rig {
    /// Of the HTTP door.
    pub(crate) address: SocketAddr,
    pub(crate) postgres: Option<SocketAddr>,
    pub(crate) flight: Option<SocketAddr>,
    pub(crate) tls: Option<Tls>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) fineo: Arc<Fineo>,
    pub(crate) shutdown: Shutdown,
    pub(crate) running: JoinHandle<fineo::Result<()>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code, of a problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        (self.status, self.json()["code"].as_str().unwrap().to_owned())
    }
}

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.http.address = Some("127.0.0.1:0".parse().unwrap());
    (config.postgres.enabled, config.flight.enabled) = (false, false);
    config
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(config(), None).await
    }

    pub(crate) async fn with(config: Config, directory: Option<PathBuf>) -> Self {
        let fineo = match &directory {
            Some(directory) => Fineo::local(directory).open().await.unwrap(),
            None => Fineo::memory().open().await.unwrap(),
        };
        let repo = Arc::clone(&fineo.parts().repo);
        let credentials = Credentials::open(repo, Arc::new(SystemClock), Arc::new(SystemEntropy::new())).await.unwrap();
        Self::of(Server::open(&config, fineo, credentials, directory).await.unwrap())
    }

    /// A server in memory whose only folder of batches is `store`, under `url`.
    pub(crate) async fn with_folder(mut config: Config, url: &str, store: &Arc<dyn ObjectStore>) -> Self {
        config.batches.folders = vec![url.to_owned()];
        let fineo = Fineo::memory().open().await.unwrap();
        let repo = Arc::clone(&fineo.parts().repo);
        let credentials = Credentials::open(repo, Arc::new(SystemClock), Arc::new(SystemEntropy::new())).await.unwrap();
        let mut server = Server::open(&config, fineo, credentials, None).await.unwrap();
        server.folders_mut().connect(url, store);
        Self::of(server)
    }

    /// A server over `fineo` whose clock is `clock`.
    pub(crate) async fn over(fineo: Fineo, clock: Arc<dyn Clock>) -> Self {
        let repo = Arc::clone(&fineo.parts().repo);
        let credentials = Credentials::open(repo, clock, Arc::new(SystemEntropy::new())).await.unwrap();
        Self::of(Server::open(&config(), fineo, credentials, None).await.unwrap())
    }

    fn of(server: Server) -> Self {
        let address = |door: &str| server.addresses().into_iter().find(|it| it.0 == door).map(|it| it.1);
        Self {
            address: address("http").unwrap(),
            postgres: address("postgres"),
            flight: address("flight"),
            tls: server.shared().tls.clone(),
            credentials: Arc::clone(&server.shared().credentials),
            fineo: Arc::clone(&server.shared().fineo),
            shutdown: server.shutdown().clone(),
            running: tokio::spawn(server.run()),
        }
    }

    /// Ends the server, as a signal would.
    pub(crate) async fn stop(self) {
        let Self { shutdown, running, fineo, credentials, .. } = self;
        drop((fineo, credentials));
        shutdown.request();
        running.await.unwrap().unwrap();
    }

    pub(crate) async fn token(&self, tenant: &str, scopes: &[Scope]) -> Token {
        let request = TokenRequest {
            tenant: TenantId::new(tenant).unwrap(),
            scopes: scopes.iter().copied().collect(),
            role: None,
            expires_at: None,
            note: String::new(),
        };
        self.credentials.create(request).await.unwrap().0
    }

    /// A caller who may do all with `tenant`'s data.
    pub(crate) async fn caller(&self, tenant: &str) -> Caller {
        let token = self.token(tenant, &[Scope::Admin]).await;
        self.caller_with(&[("authorization", &format!("Bearer {}", token.reveal()))])
    }

    pub(crate) fn caller_with(&self, headers: &[(&str, &str)]) -> Caller {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Caller { address: self.address, headers: headers.collect() }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Caller {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

impl Caller {
    pub(crate) fn and(&self, name: &str, value: &str) -> Self {
        let mut caller = self.clone();
        caller.headers.push((name.to_owned(), value.to_owned()));
        caller
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.and("content-type", "application/json").send(Method::POST, path, body).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send_body(method, path, Body::from(body.into())).await
    }

    pub(crate) async fn send_body(&self, method: Method, path: &str, body: Body) -> Answer {
        let response = self.begin_body(method, path, body).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// The answer's head; its body is still to be read.
    pub(crate) async fn begin(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> hyper::Response<hyper::body::Incoming> {
        self.begin_body(method, path, Body::from(body.into())).await
    }

    async fn begin_body(&self, method: Method, path: &str, body: Body) -> hyper::Response<hyper::body::Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        sender.send_request(request.body(body).unwrap()).await.unwrap()
    }

    /// Takes in `events` and waits until they can be asked for.
    pub(crate) async fn ingest(&self, events: &str) -> Value {
        let answer = self.post("/v1/events?ack=queryable", events.to_owned()).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()
    }

    /// What `sql` answers, as CSV.
    pub(crate) async fn ask(&self, sql: &str) -> String {
        let body = serde_json::json!({"sql": sql}).to_string();
        let answer = self.and("accept", "text/csv").post("/v1/query", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text()
    }
}
