//! Traces go to whoever collects them.

use std::convert::Infallible;

use bytes::Bytes;
use fineo_server::{Telemetry, TelemetryOptions};
use http_body_util::{BodyExt, StreamBody};
use hyper::{HeaderMap, Request, Response, body::Frame, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::mpsc};

use crate::rig::Rig;

/// Takes in what is exported, as a collector does, and tells it as bytes.
async fn collect(listener: TcpListener, told: mpsc::Sender<(String, Bytes)>) {
    while let Ok((stream, _)) = listener.accept().await {
        let told = told.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let told = told.clone();
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                told.send((path, body)).await.unwrap();
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                // An empty message, and that all went well.
                let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(trailers)];
                let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, Infallible>)));
                Ok::<_, Infallible>(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
            }
        });
        tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_a_span_that_is_exported_and_holds_no_token() {
    // P6
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, mut told) = mpsc::channel(16);
    tokio::spawn(collect(listener, sender));
    let mut options = TelemetryOptions::default();
    options.log = "off,fineo_server=info".to_owned();
    options.otlp_endpoint = Some(format!("http://{address}"));
    let telemetry = Telemetry::begin(&options).unwrap();
    assert!(Telemetry::begin(&options).is_err(), "once per process");

    let rig = Rig::new().await;
    let token = rig.token("acme", &[fineo_server::Scope::Query]).await;
    let acme = rig.caller_with(&[("authorization", &format!("Bearer {}", token.reveal()))]);
    assert_eq!(acme.ask("SELECT 1 AS one").await, "one\n1\n");
    tokio::task::spawn_blocking(|| telemetry.end()).await.unwrap();
    let mut all = Vec::new();
    while let Ok((path, bytes)) = told.try_recv() {
        assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        all.extend(bytes);
    }
    let all = String::from_utf8_lossy(&all).into_owned();
    for expected in ["http_request", "/v1/query", "fineo"] {
        assert!(all.contains(expected), "{expected}: {all:?}");
    }
    assert!(!all.contains(token.reveal()) && !all.contains("SELECT"));
}
