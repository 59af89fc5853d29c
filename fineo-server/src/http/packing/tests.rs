//! Packed bodies, honest and hostile.

use std::io::Write;

use bytes::Bytes;

use super::{Packing, STEP_BYTES, Unpacker, unpack};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn code(packing: Packing, packed: &[u8], max: usize) -> String {
    match unpack(packing, Bytes::copy_from_slice(packed), max) {
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

// B2
#[test]
fn a_body_that_comes_in_pieces_is_unpacked_in_steps_that_make_little() {
    let text: Vec<u8> = (0..30_000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
    let members = |pack: &dyn Fn(&[u8]) -> Vec<u8>| [pack(&text[..70_000]), pack(b""), pack(&text[70_000..])].concat();
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let bomb = vec![0; 1 << 20];
    for (packing, packed, expected) in [
        (Packing::Gzip, members(&gzip), &text),
        (Packing::Zstd, members(&zstd), &text),
        (Packing::Gzip, gzip(&bomb), &bomb),
        (Packing::Zstd, zstd(&bomb), &bomb),
    ] {
        for size in [7, 1_000, packed.len()] {
            let mut unpacker = Unpacker::new(packing).unwrap().unwrap();
            let mut unpacked = Vec::new();
            for piece in packed.chunks(size) {
                let mut piece = Bytes::copy_from_slice(piece);
                let mut before = unpacked.len();
                while unpacker.step(&mut piece, &mut unpacked).unwrap().is_some() {
                    assert!(unpacked.len() - before <= 4 * STEP_BYTES, "{}", unpacked.len() - before);
                    before = unpacked.len();
                }
            }
            unpacker.finish(&mut unpacked).unwrap();
            assert!(unpacked == *expected, "{packing:?} in pieces of {size}");
        }
    }
}

#[test]
fn what_ends_too_early_or_goes_on_as_something_else_is_refused() {
    for (packing, packed) in [(Packing::Gzip, gzip(b"{}")), (Packing::Zstd, zstd::encode_all(&b"{}"[..], 3).unwrap())] {
        assert_eq!(code(packing, &packed[..packed.len() - 1], 1000), "body_unreadable", "{packing:?}");
        assert_eq!(code(packing, &[&packed[..], b"{}"].concat(), 1000), "body_unreadable", "{packing:?}");
        assert_eq!(code(packing, &[&packed[..], &packed].concat(), 1000), "4 bytes", "{packing:?}");
    }
}
