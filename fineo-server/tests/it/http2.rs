//! Floods of HTTP/2: each ends its connection, at both doors that speak it, and a neighbour does not notice.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::rig::{Rig, config};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `POST http://x/`, without Huffman's code.
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x01, 1, b'x'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Says hello and then `flood`, over and over; whether the door closes.
async fn closes(address: SocketAddr, flood: impl Fn(u32) -> Vec<u8> + Send + 'static, times_max: u32) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sent = tokio::spawn(async move {
        for number in 0..times_max {
            if writer.write_all(&flood(number)).await.is_err() {
                return true;
            }
        }
        // It is the door that is to close.
        let _ = writer;
        std::future::pending().await
    });
    let mut said = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), reader.read_to_end(&mut said)).await;
    sent.abort();
    read.is_ok()
}

// W24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_end_their_connection() {
    let mut config = config();
    (config.flight.enabled, config.flight.address) = (true, Some("127.0.0.1:0".parse().unwrap()));
    let rig = Rig::with(config, None).await;
    for address in [rig.address, rig.flight.unwrap()] {
        let rapid_reset = |number: u32| {
            let one = |stream: u32| {
                let head = frame(HEADERS, END_STREAM | END_HEADERS, stream, POST);
                [head, frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
            };
            (0..1_000).flat_map(|at| one(2 * (number * 1_000 + at) + 1)).collect()
        };
        assert!(closes(address, rapid_reset, 100).await, "streams that are begun and reset");
        let endless_headers = |number: u32| match number {
            0 => frame(HEADERS, 0, 1, POST),
            // A field of its own in each, of a name that nobody indexes.
            _ => frame(CONTINUATION, 0, 1, &[&[0, 1, b'y', 127, 128, 119], [b'z'; 15_359].as_slice()].concat()),
        };
        assert!(closes(address, endless_headers, 5_000).await, "headers without an end");
        let empty_data = |number: u32| match number {
            0 => frame(HEADERS, END_HEADERS, 1, POST),
            _ => frame(DATA, 0, 1, &[]).repeat(1_000),
        };
        assert!(closes(address, empty_data, 1_000).await, "data that is none");
    }
    let canary = rig.caller("canary").await;
    canary.ingest(r#"{"metrictype":"m","timestamp":1,"ok":true}"#).await;
    assert_eq!(canary.ask("SELECT ok FROM m").await, "ok\ntrue\n");
}
