//! Encryption on every door, with a certificate that is replaced while the server runs.

use std::{net::SocketAddr, path::Path, sync::Arc};

use arrow_flight::sql::client::FlightSqlServiceClient;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::rig::{Rig, config};

const AUTHORITY: &str = include_str!("../tls/authority.pem");
const FIRST: [&str; 2] = [include_str!("../tls/first.pem"), include_str!("../tls/first.key.pem")];
const SECOND: [&str; 2] = [include_str!("../tls/second.pem"), include_str!("../tls/second.key.pem")];

/// Puts a certificate and its key where the server looks for them.
fn put(directory: &Path, [certificate, key]: [&str; 2]) {
    std::fs::write(directory.join("chain.pem"), certificate).unwrap();
    std::fs::write(directory.join("key.pem"), key).unwrap();
}

async fn rig(directory: &Path) -> Rig {
    put(directory, FIRST);
    let mut config = config();
    for door in [&mut config.postgres, &mut config.flight] {
        (door.enabled, door.address) = (true, Some("127.0.0.1:0".parse().unwrap()));
    }
    config.tls.certificate = Some(directory.join("chain.pem"));
    config.tls.key = Some(directory.join("key.pem"));
    Rig::with(config, None).await
}

async fn greeted<S: AsyncRead + AsyncWrite + Unpin>(stream: S, protocol: &str) -> TlsStream<S> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let mut config =
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// The certificate that a door shows.
async fn shown(address: SocketAddr, protocol: &str) -> Vec<u8> {
    let stream = greeted(TcpStream::connect(address).await.unwrap(), protocol).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn every_door_is_encrypted_and_shows_a_new_certificate_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let rig = rig(directory.path()).await;
    let doors = [(rig.address, "http/1.1"), (rig.postgres.unwrap(), "postgresql"), (rig.flight.unwrap(), "h2")];
    for (certificate, is_reloaded) in [(FIRST, false), (SECOND, true)] {
        if is_reloaded {
            put(directory.path(), ["no certificate", FIRST[1]]);
            assert!(rig.tls.as_ref().unwrap().reload().is_err());
            put(directory.path(), SECOND);
            rig.tls.as_ref().unwrap().reload().unwrap();
        }
        let expected = CertificateDer::from_pem_slice(certificate[0].as_bytes()).unwrap();
        for (address, protocol) in doors {
            assert_eq!(shown(address, protocol).await, expected.as_ref(), "{protocol}");
        }
    }
    rig.stop().await;
}

#[tokio::test]
async fn each_door_answers_through_its_encryption() {
    let directory = tempfile::tempdir().unwrap();
    let rig = rig(directory.path()).await;
    let token = rig.token("acme", &[fineo_server::Scope::Query]).await;

    let mut http = greeted(TcpStream::connect(rig.address).await.unwrap(), "http/1.1").await;
    http.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    http.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let mut postgres = TcpStream::connect(rig.postgres.unwrap()).await.unwrap();
    postgres.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
    assert_eq!(postgres.read_u8().await.unwrap(), b'S');
    let postgres = greeted(postgres, "postgresql").await;
    let mut config = tokio_postgres::Config::new();
    config.user("acme").password(token.reveal()).dbname("fineo").ssl_mode(tokio_postgres::config::SslMode::Disable);
    let (client, connection) = config.connect_raw(postgres, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i64>(0), 1);

    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(AUTHORITY)).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", rig.flight.unwrap())).unwrap().tls_config(tls).unwrap();
    let mut flight = FlightSqlServiceClient::new(endpoint.connect().await.unwrap());
    flight.set_token(token.reveal().to_owned());
    flight.execute("SELECT 1".to_owned(), None).await.unwrap();
}

#[tokio::test]
async fn who_begins_in_clear_is_closed_before_any_password() {
    // W02, W04
    let directory = tempfile::tempdir().unwrap();
    let rig = rig(directory.path()).await;
    let startup = b"\0\0\0\x13\0\x03\0\0user\0acme\0\0";
    let ssl = [0, 0, 0, 8, 4, 210, 22, 47];
    for (what, address, bytes) in [
        ("a session", rig.postgres.unwrap(), startup.to_vec()),
        ("a session ahead of the handshake", rig.postgres.unwrap(), [&ssl, startup.as_slice()].concat()),
        ("a request", rig.address, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        ("a call", rig.flight.unwrap(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        // A door that closes on what it did not read resets the connection.
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(!text.contains("SCRAM") && !text.contains("200"), "{what}: {text}");
    }
    // TLS at once, in a protocol that this door does not speak.
    let stream = TcpStream::connect(rig.postgres.unwrap()).await.unwrap();
    let refused = tokio::task::spawn(async move { greeted(stream, "h2").await });
    assert!(refused.await.is_err());
    rig.stop().await;
}

#[test]
fn a_file_that_cannot_be_read_is_named_by_its_setting() {
    let error = fineo_server::Tls::load("none.pem".as_ref(), "none.key".as_ref()).unwrap_err().to_string();
    assert!(error.contains("tls.certificate=none.pem"), "{error}");
}
