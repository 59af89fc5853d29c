//! Makes segments.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use fineo_core::{
    Error, Position, Result, ShardId, TenantId, Timestamp,
    archive::{SegmentKind, SegmentName, Stage},
    stream::Delivery,
};
use fineo_schema::avro::{write_bytes, write_long};
use foldhash::fast::RandomState;

use super::{
    AFTER_KEY, BLOCK_BYTES, BlockInfo, INDEX_KEY, MAGIC, RECORDS_KEY, SYNC_LEN,
    columns::Columns,
    record::{schema, write_error},
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

/// What a stage received since the last segment, packed block by block as it comes.
#[derive(Debug)]
pub(crate) struct Received {
    stage: Stage,
    shard: ShardId,
    /// The arrival and the position of the first delivery, and the position of the last.
    bounds: Option<(Timestamp, Position, Position)>,
    tenants: HashMap<TenantId, OfTenant, RandomState>,
    packer: Packer,
}

#[derive(Debug, Default)]
struct OfTenant {
    open: Columns,
    done: Vec<Block>,
}

impl Received {
    pub(crate) fn new(stage: Stage, shard: ShardId) -> Self {
        Self { stage, shard, bounds: None, tenants: HashMap::default(), packer: Packer::default() }
    }

    /// Whether nothing was received.
    pub(crate) fn is_empty(&self) -> bool {
        self.bounds.is_none()
    }

    /// The position of the last delivery.
    pub(crate) fn last(&self) -> Option<Position> {
        self.bounds.map(|(_, _, last)| last)
    }

    /// Takes in the next deliveries, in order of positions. What fills a block is packed at once.
    ///
    /// # Errors
    ///
    /// When the compression fails.
    pub(crate) fn push(&mut self, deliveries: &[Delivery]) -> Result<()> {
        let Self { stage, bounds, tenants, packer, .. } = self;
        for run in deliveries.chunk_by(|one, other| one.tenant == other.tenant) {
            let Some(delivery) = run.first() else { continue };
            if !tenants.contains_key(&delivery.tenant) {
                tenants.insert(delivery.tenant.clone(), OfTenant::default());
            }
            let tenant = tenants.get_mut(&delivery.tenant).expect("it is there by now");
            for delivery in run {
                tenant.open.push(*stage, delivery);
                if tenant.open.bytes() >= BLOCK_BYTES {
                    tenant.done.extend(packer.pack(&delivery.tenant, &mut tenant.open)?);
                }
            }
        }
        let (Some(first), Some(last)) = (deliveries.first(), deliveries.last()) else { return Ok(()) };
        match bounds {
            Some((_, _, before)) => *before = last.position,
            None => *bounds = Some((arrival(*stage, first), first.position, last.position)),
        }
        Ok(())
    }

    /// The segment of everything that was received, if that is anything: it begins behind `after`, where the one before
    /// ends. `records` are the schemas of staged records.
    ///
    /// # Errors
    ///
    /// When the compression fails.
    pub(crate) fn finish(
        self,
        after: Option<Position>,
        records: &BTreeMap<String, Arc<str>>,
    ) -> Result<Option<Segment>> {
        let Self { stage, shard, bounds, tenants, mut packer } = self;
        let Some((time, first, last)) = bounds else { return Ok(None) };
        let name = SegmentName { stage, kind: SegmentKind::Received, time, shard, first, last };
        let mut blocks = Blocks::default();
        let mut tenants: Vec<(TenantId, OfTenant)> = tenants.into_iter().collect();
        tenants.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (tenant, OfTenant { mut open, done }) in tenants {
            for block in done.into_iter().chain(packer.pack(&tenant, &mut open)?) {
                blocks.push(block);
            }
        }
        Ok(Some(blocks.segment(name, after, records)))
    }
}

/// Packs blocks, one after another.
#[derive(Default)]
struct Packer {
    compressor: Option<zstd::bulk::Compressor<'static>>,
    scratch: Vec<u8>,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

/// A packed block without its sync marker: that depends on the segment's name.
#[derive(Debug)]
struct Block {
    /// Its place is not known yet.
    info: BlockInfo,
    bytes: Vec<u8>,
}

impl Packer {
    /// The block of what `open` holds, if that is anything; `open` is empty then.
    fn pack(&mut self, tenant: &TenantId, open: &mut Columns) -> Result<Option<Block>> {
        let Some(times) = open.times() else { return Ok(None) };
        let records = open.records();
        let mut unpacked = std::mem::take(&mut self.scratch);
        open.take(tenant, &mut unpacked);
        let block = self.pack_bytes(tenant, &unpacked, 1, records, times);
        self.scratch = unpacked;
        block.map(Some)
    }

    /// A block of `objects` Avro records.
    fn pack_bytes(
        &mut self,
        tenant: &TenantId,
        unpacked: &[u8],
        objects: u64,
        records: u64,
        (time_first, time_last): (i64, i64),
    ) -> Result<Block> {
        let failed = |source: std::io::Error| Error::internal("a block cannot be compressed").with_source(source);
        if self.compressor.is_none() {
            let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
            compressor.include_checksum(true).map_err(failed)?;
            self.compressor = Some(compressor);
        }
        let compressor = self.compressor.as_mut().expect("it was made above");
        let packed = compressor.compress(unpacked).map_err(failed)?;
        let mut bytes = Vec::with_capacity(packed.len() + 16);
        write_long(i64::try_from(objects).expect("a block is bounded"), &mut bytes);
        write_bytes(&packed, &mut bytes);
        let info = BlockInfo {
            tenant: tenant.as_str().to_owned(),
            offset: 0,
            bytes: (bytes.len() + SYNC_LEN) as u64,
            records,
            time_first,
            time_last,
        };
        Ok(Block { info, bytes })
    }
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
    let (mut blocks, mut packer, mut open) = (Blocks::default(), Packer::default(), Vec::new());
    for of_tenant in sorted.chunk_by(|one, other| one.tenant == other.tenant) {
        let mut rest = of_tenant;
        while let Some(first) = rest.first() {
            open.clear();
            let (mut time_first, mut time_last, mut count) = (first.received_at, first.received_at, 0);
            while count < rest.len() && open.len() < BLOCK_BYTES {
                let error = rest[count];
                write_error(error, &mut open);
                (time_first, time_last) = (time_first.min(error.received_at), time_last.max(error.received_at));
                count += 1;
            }
            let times = (time_first.micros(), time_last.micros());
            blocks.push(packer.pack_bytes(&first.tenant, &open, count as u64, count as u64, times)?);
            rest = &rest[count..];
        }
    }
    Ok(Some(blocks.segment(name, None, &BTreeMap::new())))
}

fn arrival(stage: Stage, delivery: &Delivery) -> Timestamp {
    match stage {
        Stage::Raw => envelope::read(&delivery.payload).map(|read| read.arrived_at).unwrap_or_default(),
        Stage::Staged => payload::read(&delivery.payload).map(|read| read.arrived_at).unwrap_or_default(),
    }
}

/// The schemas of records as a JSON object. Where an earlier one is the same, its key stands in the place of the schema: many
/// tenants have the same devices.
fn records_text(records: &BTreeMap<String, Arc<str>>) -> Vec<u8> {
    let mut first: HashMap<&str, String> = HashMap::new();
    let mut text = vec![b'{'];
    for (key, schema) in records {
        if text.len() > 1 {
            text.push(b',');
        }
        let key = serde_json::Value::from(key.as_str()).to_string();
        text.extend_from_slice(key.as_bytes());
        text.push(b':');
        match first.get(&**schema) {
            Some(same) => text.extend_from_slice(same.as_bytes()),
            None => {
                text.extend_from_slice(schema.as_bytes());
                first.insert(schema, key);
            }
        }
    }
    text.push(b'}');
    text
}

/// The blocks of a segment so far.
#[derive(Debug, Default)]
struct Blocks {
    done: Vec<Block>,
    offset: u64,
}

impl Blocks {
    fn push(&mut self, mut block: Block) {
        block.info.offset = self.offset;
        self.offset += block.info.bytes;
        self.done.push(block);
    }

    fn segment(self, name: SegmentName, after: Option<Position>, records: &BTreeMap<String, Arc<str>>) -> Segment {
        let index: Vec<&BlockInfo> = self.done.iter().map(|block| &block.info).collect();
        let index = serde_json::to_vec(&index).expect("an index is plain data");
        let schema = schema(name.stage, name.kind).to_string();
        let records_text = records_text(records);
        let after = after.map(|after| after.to_string());
        let mut metadata: Vec<(&str, &[u8])> = vec![("avro.codec", b"zstandard"), ("avro.schema", schema.as_bytes())];
        if let Some(after) = &after {
            metadata.push((AFTER_KEY, after.as_bytes()));
        }
        metadata.push((INDEX_KEY, &index));
        if !records.is_empty() {
            metadata.push((RECORDS_KEY, &records_text));
        }
        // The keys are in order, as a reader's map has them.
        let sync = sync_marker(&name.path(), metadata.iter().copied());
        let size: usize = self.done.iter().map(|block| block.bytes.len() + SYNC_LEN).sum();
        let mut out = Vec::with_capacity(size + schema.len() + index.len() + records_text.len() + 256);
        out.extend_from_slice(MAGIC);
        write_long(i64::try_from(metadata.len()).expect("a handful"), &mut out);
        for (key, value) in metadata {
            write_bytes(key.as_bytes(), &mut out);
            write_bytes(value, &mut out);
        }
        write_long(0, &mut out);
        out.extend_from_slice(&sync);
        for block in self.done {
            out.extend_from_slice(&block.bytes);
            out.extend_from_slice(&sync);
        }
        Segment { name, bytes: out.into() }
    }
}
