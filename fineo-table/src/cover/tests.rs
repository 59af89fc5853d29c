//! The cover document as JSON, and the digest of a set of files.

use fineo_core::{Cover, ErrorKind, MetricId, Position, ShardId, TenantId, Timestamp};

use super::{CoverDocument, digest};
use crate::DataFile;

const GOLDEN: &str = concat!(
    r#"{"checksum":"b3dc8021744ae938a9aa49da743a53c0","document":{"format":1,"tenant":"acme","metric":"n1","generation":2,"#,
    r#""boundary":3,"nonce":"00ff","digest":"0000000000000000000000000000000c","#,
    r#""cover":{"s0":"000000000000000000000000000000000000000000000014"}}}"#,
);

fn document() -> CoverDocument {
    let cover: Cover = [(ShardId::new("s0").unwrap(), Position::from(20))].into_iter().collect();
    let document = CoverDocument::new(&TenantId::new("acme").unwrap(), &MetricId::numbered(1), cover);
    CoverDocument { generation: 2, boundary: 3, nonce: "00ff".into(), digest: 12, ..document }
}

#[test]
fn a_document_is_written_as_it_always_was() {
    assert_eq!(std::str::from_utf8(&document().to_bytes().unwrap()).unwrap(), GOLDEN);
    assert_eq!(CoverDocument::from_bytes(GOLDEN.as_bytes()).unwrap(), document());
}

// D7
#[test]
fn no_flipped_bit_and_no_missing_end_goes_unnoticed() {
    for at in 0..GOLDEN.len() {
        for bit in 0..8 {
            let mut bytes = GOLDEN.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            match CoverDocument::from_bytes(&bytes) {
                Ok(read) => assert_eq!(read, document(), "bit {bit} of byte {at}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
            }
        }
        assert!(CoverDocument::from_bytes(&GOLDEN.as_bytes()[..at]).is_err());
    }
}

#[test]
fn the_digest_depends_on_every_part_of_every_file_and_on_no_order() {
    let file = |path: &str, rows| DataFile {
        path: path.into(),
        day: 1,
        bytes: 10,
        rows,
        first: Timestamp::from_micros(1).unwrap(),
        last: Timestamp::from_micros(2).unwrap(),
        positions: [(ShardId::new("s0").unwrap(), Position::from(7))].into_iter().collect(),
        is_part: false,
    };
    let (a, b) = (file("a", 1), file("b", 2));
    let both = digest(&[a.clone(), b.clone()]);
    assert_eq!(both, digest(&[b.clone(), a.clone()]));
    let mut others =
        vec![vec![a.clone()], vec![b.clone()], vec![a.clone(), file("b", 3)], vec![file("c", 1), b.clone()]];
    let mut moved = a.clone();
    moved.positions.advance(&ShardId::new("s0").unwrap(), Position::from(8));
    others.push(vec![moved, b.clone()]);
    others.push(vec![DataFile { last: Timestamp::from_micros(3).unwrap(), ..a.clone() }, b.clone()]);
    others.push(vec![DataFile { day: 2, ..a.clone() }, b.clone()]);
    others.push(vec![DataFile { bytes: 11, ..a }, b]);
    for other in others {
        assert_ne!(digest(&other), both, "{other:?}");
    }
    assert_eq!(digest(&[]), 0);
}
