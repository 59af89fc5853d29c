//! Segments that are fed to the reader: headers, packed blocks, and columns.

use fineo_core::{Position, ShardId, TenantId, Timestamp, archive::Stage, stream::Delivery};

use super::{Received, SegmentReader, columns::ColumnReader, read::unpack};
use crate::envelope::{Circumstances, Format, write_head};

fn sample() -> super::Segment {
    let mut received = Received::new(Stage::Raw, ShardId::new("s0").expect("a legal id"));
    let deliveries: Vec<Delivery> = (1..5_u64)
        .map(|number| {
            let mut payload = bytes::BytesMut::new();
            write_head([7; 16], Timestamp::default(), Format::Json, &Circumstances::default(), &mut payload);
            payload.extend_from_slice(b"{\"a\":1}");
            let tenant = TenantId::new("acme").expect("a legal id");
            Delivery { tenant, position: Position::from(number), payload: payload.freeze() }
        })
        .collect();
    let segment = received.push(&deliveries).and_then(|()| received.finish(None, &std::collections::BTreeMap::new()));
    segment.ok().flatten().expect("the deliveries make a segment")
}

/// A whole segment, and the columns of its block.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let segment = sample();
    let size = segment.bytes.len() as u64;
    let reader = SegmentReader::of_header(&segment.name, &segment.bytes, size).expect("it was just written");
    let start = usize::try_from(reader.blocks_at).expect("a small segment");
    let columns = reader.unpacked(&segment.bytes[start..], 1).expect("it was just written");
    vec![segment.bytes.to_vec(), columns]
}

/// A segment is read as far as its checksums hold; columns are read as they come.
pub fn segment(bytes: &[u8]) {
    let _ = SegmentReader::of_header(&sample().name, bytes, bytes.len() as u64);
    let _ = unpack(bytes);
    for stage in Stage::ALL {
        for records in [1, 4, 1 << 40] {
            let Ok(columns) = ColumnReader::new(stage, bytes, records) else { continue };
            for item in columns {
                let Ok(item) = item else { break };
                let _ = item.entry();
            }
        }
    }
}
