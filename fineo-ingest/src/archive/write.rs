//! Makes segments.

use std::collections::BTreeMap;

use bytes::Bytes;
use fineo_core::{
    Error, Result, ShardId, TenantId, Timestamp,
    archive::{SegmentKind, SegmentName, Stage},
    stream::Delivery,
};
use serde_json::Value;

use super::{
    BLOCK_BYTES, BlockInfo, INDEX_KEY, MAGIC, RECORDS_KEY, SYNC_LEN,
    avro::{write_bytes, write_long},
    record::{schema, write_error, write_received},
    sync_marker,
};
use crate::{envelope, errors::ErrorRow, stage::payload};

const LEVEL: i32 = 1;

/// A segment that can be written.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    pub(crate) bytes: Bytes,
}

/// The segment of what `stage` received from `shard`, if that is anything.
///
/// # Errors
///
/// When the compression fails.
pub(crate) fn encode_received(
    stage: Stage,
    shard: &ShardId,
    batches: &[Vec<Delivery>],
    records: &BTreeMap<String, Value>,
) -> Result<Option<Segment>> {
    let deliveries = || batches.iter().flatten();
    let (Some(first), Some(last)) = (deliveries().next(), deliveries().next_back()) else { return Ok(None) };
    let name = SegmentName {
        stage,
        kind: SegmentKind::Received,
        time: arrival(stage, first),
        shard: shard.clone(),
        first: first.position,
        last: last.position,
    };
    let mut by_tenant: BTreeMap<&TenantId, Vec<&Delivery>> = BTreeMap::new();
    for delivery in deliveries() {
        match by_tenant.get_mut(&delivery.tenant) {
            Some(of_tenant) => of_tenant.push(delivery),
            None => {
                by_tenant.insert(&delivery.tenant, vec![delivery]);
            }
        }
    }
    let mut blocks = Blocks::default();
    for (tenant, deliveries) in by_tenant {
        for delivery in deliveries {
            let time = write_received(stage, delivery, &mut blocks.open);
            blocks.added(tenant, time)?;
        }
        blocks.close(tenant)?;
    }
    Ok(Some(blocks.segment(name, records)))
}

/// The segments of what `stage` did not pass on, one per kind.
///
/// # Errors
///
/// When the compression fails.
pub(crate) fn encode_errors(
    stage: Stage,
    shard: &ShardId,
    kind: SegmentKind,
    errors: &[&ErrorRow],
) -> Result<Option<Segment>> {
    let mut sorted = errors.to_vec();
    // A retry after a crash may find the rows in another order; the segment is the same.
    sorted.sort_by(|one, other| (&one.tenant, one.position).cmp(&(&other.tenant, other.position)));
    let positions = || sorted.iter().map(|error| error.position);
    let (Some(first), Some(last)) = (positions().min(), positions().max()) else { return Ok(None) };
    let time = sorted.iter().map(|error| error.received_at).min().unwrap_or_default();
    let name = SegmentName { stage, kind, time, shard: shard.clone(), first, last };
    let mut blocks = Blocks::default();
    let mut tenant = None;
    for error in &sorted {
        if let Some(before) = tenant.replace(&error.tenant)
            && *before != error.tenant
        {
            blocks.close(before)?;
        }
        write_error(error, &mut blocks.open);
        blocks.added(&error.tenant, error.received_at)?;
    }
    if let Some(tenant) = tenant {
        blocks.close(tenant)?;
    }
    Ok(Some(blocks.segment(name, &BTreeMap::new())))
}

fn arrival(stage: Stage, delivery: &Delivery) -> Timestamp {
    match stage {
        Stage::Raw => envelope::read(&delivery.payload).map(|read| read.arrived_at).unwrap_or_default(),
        Stage::Staged => payload::read(&delivery.payload).map(|read| read.arrived_at).unwrap_or_default(),
    }
}

/// The blocks of a segment so far, without their sync markers: those depend on the name.
#[derive(Default)]
struct Blocks {
    open: Vec<u8>,
    records: u64,
    times: Option<(Timestamp, Timestamp)>,
    done: Vec<(BlockInfo, Vec<u8>)>,
    offset: u64,
    compressor: Option<zstd::bulk::Compressor<'static>>,
}

impl Blocks {
    fn added(&mut self, tenant: &TenantId, time: Timestamp) -> Result<()> {
        self.records += 1;
        self.times = Some(match self.times {
            None => (time, time),
            Some((first, last)) => (first.min(time), last.max(time)),
        });
        if self.open.len() >= BLOCK_BYTES { self.close(tenant) } else { Ok(()) }
    }

    fn close(&mut self, tenant: &TenantId) -> Result<()> {
        let Some((time_first, time_last)) = self.times.take() else { return Ok(()) };
        let failed = |source: std::io::Error| Error::internal("a block cannot be compressed").with_source(source);
        if self.compressor.is_none() {
            let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
            compressor.include_checksum(true).map_err(failed)?;
            self.compressor = Some(compressor);
        }
        let compressor = self.compressor.as_mut().expect("it was made above");
        let packed = compressor.compress(&self.open).map_err(failed)?;
        let mut block = Vec::with_capacity(packed.len() + 16);
        write_long(i64::try_from(self.records).expect("a block is bounded"), &mut block);
        write_bytes(&packed, &mut block);
        let bytes = (block.len() + SYNC_LEN) as u64;
        let info = BlockInfo {
            tenant: tenant.as_str().to_owned(),
            offset: self.offset,
            bytes,
            records: self.records,
            time_first: time_first.micros(),
            time_last: time_last.micros(),
        };
        self.done.push((info, block));
        self.offset += bytes;
        self.records = 0;
        self.open.clear();
        Ok(())
    }

    fn segment(self, name: SegmentName, records: &BTreeMap<String, Value>) -> Segment {
        let index: Vec<&BlockInfo> = self.done.iter().map(|(info, _)| info).collect();
        let index = serde_json::to_vec(&index).expect("an index is plain data");
        let schema = schema(name.stage, name.kind).to_string();
        let records_text = serde_json::to_vec(records).expect("schemas are plain data");
        let mut metadata: Vec<(&str, &[u8])> =
            vec![("avro.codec", b"zstandard"), ("avro.schema", schema.as_bytes()), (INDEX_KEY, &index)];
        if !records.is_empty() {
            metadata.push((RECORDS_KEY, &records_text));
        }
        // The keys are in order, as a reader's map has them.
        let sync = sync_marker(&name.path(), metadata.iter().copied());
        let size: usize = self.done.iter().map(|(_, block)| block.len() + SYNC_LEN).sum();
        let mut out = Vec::with_capacity(size + schema.len() + index.len() + records_text.len() + 256);
        out.extend_from_slice(MAGIC);
        write_long(i64::try_from(metadata.len()).expect("a handful"), &mut out);
        for (key, value) in metadata {
            write_bytes(key.as_bytes(), &mut out);
            write_bytes(value, &mut out);
        }
        write_long(0, &mut out);
        out.extend_from_slice(&sync);
        for (_, block) in &self.done {
            out.extend_from_slice(block);
            out.extend_from_slice(&sync);
        }
        Segment { name, bytes: out.into() }
    }
}
