//! Footers, journal records and entries of the manifest that are fed to their readers.

use std::sync::Arc;

use super::{
    codec::Put,
    footer::{ColumnPlace, Footer, HeadPlaces},
    image::Section,
    journal::{self, Record},
    manifest::SegmentEntry,
    memtable::Memtable,
    segment::parse_tail,
};

/// The footer of a segment of one column.
pub fn footers() -> Vec<Vec<u8>> {
    let section = Section { offset: 64, bytes: 8 };
    let column = |name: &str| ColumnPlace {
        name: Arc::from(name),
        texts: 1,
        dictionary: section,
        cells: 1,
        rows: section,
        codes: section,
        width: 1,
    };
    let heads = HeadPlaces {
        rows: 1,
        timestamps: section,
        ingested: section,
        ids: section,
        contents: section,
        positions: section,
        hashes: section,
        hash_rows: section,
    };
    vec![Footer { heads, alias: column(""), shard: column(""), columns: vec![column("temp")] }.encode()]
}

/// A footer that is read is written as it was.
pub fn footer(bytes: &[u8]) {
    if let Some(footer) = Footer::decode(bytes) {
        assert_eq!(Footer::decode(&footer.encode()), Some(footer));
    }
}

/// Rows, a removal and a seal.
pub fn journals() -> Vec<Vec<u8>> {
    let mut rows = vec![0];
    rows.put_text("acme");
    rows.put_text("n1");
    rows.put_u32(1);
    rows.extend_from_slice(&[0; 16 + 32 + 24]);
    rows.put_text("alias");
    rows.put_text("s0");
    rows.put_u32(1);
    rows.put_text("temp");
    rows.put_u32(1);
    rows.put_u32(0);
    rows.put_text("21");
    let mut removal = vec![1];
    removal.put_text("acme");
    removal.put_text("n1");
    removal.put_u32(1);
    removal.put_text("s0");
    removal.extend_from_slice(&[0; 24]);
    vec![rows, removal, vec![2]]
}

/// A record of the journal adds whole rows.
pub fn journal(bytes: &[u8]) {
    if let Some(Some(Record::Rows(_, mut take))) = journal::parse(bytes) {
        let memtable = Memtable::new(7);
        let mut rows = memtable.write();
        let _ = journal::apply_rows(&mut take, &mut rows);
    }
}

/// An entry, and behind a line break a tail.
pub fn manifests() -> Vec<Vec<u8>> {
    let entry = SegmentEntry {
        number: 1,
        tenant: "acme".to_owned(),
        metric: "n1".to_owned(),
        pack: 1,
        start: 0,
        rows: 1,
        time_min: 0,
        time_max: 1,
        blocks: 1,
        footer: Section { offset: 0, bytes: 8 },
        tail: Section { offset: 4096, bytes: 8 },
        tail_checksum: 0,
        positions: [("s0".to_owned(), ("00".repeat(24), "01".repeat(24)))].into(),
    };
    let mut bytes = serde_json::to_vec(&entry).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(&[1, 2, 3, 4]);
    bytes.put_u64(8);
    bytes.extend_from_slice(&[0; 8 * 8 + 8]);
    vec![bytes]
}

/// Whatever an entry says of its tail, it is read within its bytes.
pub fn manifest(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let Ok(entry) = serde_json::from_slice::<SegmentEntry>(&bytes[..end]) else { return };
    let _ = (entry.key(), entry.positions().map(|positions| positions.len()));
    let _ = parse_tail(bytes.get(end + 1..).unwrap_or_default(), &entry);
}
