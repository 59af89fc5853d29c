//! Packed bodies, honest and hostile.

use std::io::Write;

use super::{Packing, unpack};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn code(packing: Packing, packed: &[u8], max: usize) -> String {
    match unpack(packing, packed, max) {
        Ok(bytes) => format!("{} bytes", bytes.len()),
        Err(problem) => problem.code().to_owned(),
    }
}

#[test]
fn a_body_is_unpacked_up_to_its_limit_and_not_a_byte_further() {
    let text = vec![b'a'; 1000];
    for packed in [(Packing::Gzip, gzip(&text)), (Packing::Zstd, zstd::encode_all(&text[..], 3).unwrap())] {
        assert_eq!(code(packed.0, &packed.1, 1000), "1000 bytes");
        assert_eq!(code(packed.0, &packed.1, 999), "request_too_large");
    }
}

// B2
#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let bomb = gzip(&vec![0; 64 << 20]);
    assert_eq!(code(Packing::Gzip, &bomb, 1 << 20), "request_too_large");
    let bomb = zstd::encode_all(&vec![0; 64 << 20][..], 3).unwrap();
    assert_eq!(code(Packing::Zstd, &bomb, 1 << 20), "request_too_large");
}

// B2
#[test]
fn what_is_not_packed_as_it_says_is_refused() {
    let good = gzip(b"{}");
    for bad in [&b""[..], b"{}", &good[..good.len() - 1], &good[..5]] {
        assert_eq!(code(Packing::Gzip, bad, 1000), "body_unreadable", "{bad:?}");
    }
    assert_eq!(code(Packing::Zstd, &good, 1000), "body_unreadable");
}
