//! The way to a service, on which a test may do what it likes with what passes.

use std::{future::Future, sync::Arc};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Listens on the loopback interface, and has `pass` carry each connection, of a client first, on to one of `service`.
/// Answers the URL of the way, which ends with the runtime of its test.
pub(crate) async fn to<F>(service: &str, pass: impl Fn(TcpStream, TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let service = service.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(service) = TcpStream::connect(&service).await else { continue };
            tokio::spawn(pass(client, service));
        }
    });
    url
}

/// What is done before a call of an operation passes, such as `DeleteItem`.
pub(crate) type Before = Arc<dyn Fn(&str) -> BoxFuture<'static, ()> + Send + Sync>;

/// A way to DynamoDB, on which calls wait until `before` is done.
pub(crate) async fn to_dynamodb(service: &str, before: Before) -> String {
    to(service, move |client, service| carry(client, service, Arc::clone(&before))).await
}

async fn carry(client: TcpStream, service: TcpStream, before: Before) {
    let ((mut asked, mut answers), (mut said, mut questions)) = (client.into_split(), service.into_split());
    let ask = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = asked.read(&mut bytes).await {
            // The head of a call comes in one piece.
            let text = String::from_utf8_lossy(&bytes[..count]);
            if let Some((_, rest)) = text.split_once("DynamoDB_20120810.") {
                before(rest.lines().next().unwrap_or_default()).await;
            }
            if questions.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    // Whoever hangs up ends both ways.
    tokio::select! {
        () = ask => {}
        _ = tokio::io::copy(&mut said, &mut answers) => {}
    }
}
