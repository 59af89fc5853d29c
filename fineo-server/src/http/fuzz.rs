//! What an HTTP client can send, fed to what reads it.

use std::io::Write;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use fineo::FreshnessToken;
use fineo_conformance::Target;

use super::{
    answer::Form,
    framing::Framing,
    packing::{Packing, Unpacker, unpack},
    query::{QueryRequest, parameters},
};

/// The readers by name.
pub(crate) const TARGETS: &[Target] = &[
    ("http_framing", framing),
    ("http_packed", packed),
    ("http_question", question),
    ("http_accept", accept),
    ("http_token", token),
];

/// The most bytes that are unpacked.
const UNPACKED_BYTES_MAX: usize = 1 << 16;

/// What each of them may begin with.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let said: &[&[u8]] = match target {
        "http_framing" => &[
            b"POST /v1/events HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nfield: x\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: 2\r\nTransfer-Encoding: chunked\r\n\r\nPRI * HTTP/2.0\r\n\r\n",
        ],
        "http_packed" => return vec![gzip(&[b'x'; 3_000]), zstd(&[b'y'; 3_000]), gzip(&vec![0; 1 << 18]), zstd(b"")],
        "http_question" => &[
            br#"{"sql": "SELECT $1", "params": [null, true, 1, 1.5e3, "a"], "min_position": "raw=", "wait_ms": 1}"#,
            br#"{"sql": "", "params": [18446744073709551615, -9223372036854775808, [], {}]}"#,
        ],
        "http_accept" => {
            &[b"text/csv;q=0.5, application/json; q=1.0, */*;q=0", b"application/x-ndjson,text/*", b"a;q=NaN"]
        }
        _ => &[b"raw=s0:00ff,s1:01;staged=s0:7f", b"raw=", b"1"],
    };
    said.iter().map(|said| said.to_vec()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory can be read")
}

/// However the bytes are cut, the same of them are spoilt.
fn framing(bytes: &[u8]) {
    let mut whole = bytes.to_vec();
    Framing::default().look(&mut whole);
    for piece in [1, 3] {
        let mut pieces = bytes.to_vec();
        let mut framing = Framing::default();
        pieces.chunks_mut(piece).for_each(|bytes| framing.look(bytes));
        assert_eq!(whole, pieces, "in pieces of {piece}");
    }
}

/// However the bytes are cut, they become the same. Whether they are damaged the library may see sooner or not at all, as
/// much of them as it has.
fn packed(bytes: &[u8]) {
    for packing in [Packing::Gzip, Packing::Zstd] {
        let whole = unpack(packing, Bytes::copy_from_slice(bytes), UNPACKED_BYTES_MAX).ok();
        assert!(whole.as_ref().is_none_or(|whole| whole.len() <= UNPACKED_BYTES_MAX));
        let pieces = in_pieces(packing, bytes).filter(|pieces| pieces.len() <= UNPACKED_BYTES_MAX);
        if let (Some(whole), Some(pieces)) = (whole, pieces) {
            assert!(whole == pieces, "{packing:?}");
        }
    }
}

/// What `bytes` become that come a few at a time, as far as they are looked at.
fn in_pieces(packing: Packing, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut unpacker = Unpacker::new(packing).ok()??;
    let mut unpacked = Vec::new();
    for piece in bytes.chunks(3) {
        let mut piece = Bytes::copy_from_slice(piece);
        while unpacked.len() <= UNPACKED_BYTES_MAX && unpacker.step(&mut piece, &mut unpacked).ok()?.is_some() {}
    }
    unpacker.finish(&mut unpacked).ok()?;
    Some(unpacked)
}

fn question(bytes: &[u8]) {
    let Ok(asked) = serde_json::from_slice::<QueryRequest>(bytes) else { return };
    let _ = parameters(&asked.params);
}

fn accept(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let _ = Form::wanted(&HeaderMap::from_iter([(header::ACCEPT, value)]));
}

/// A token that is one says what it was.
fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = text.parse::<FreshnessToken>() {
        let again = token.to_string().parse::<FreshnessToken>().map(|token| token.to_string());
        assert_eq!(again.ok(), Some(token.to_string()));
    }
}
