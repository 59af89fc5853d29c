//! Reads segments, one tenant at a time.

use std::{borrow::Cow, cell::RefCell, collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use fineo_core::{
    Archive, Error, Position, Result, TenantId, TimeRange, Timestamp,
    archive::{SegmentInfo, SegmentKind, SegmentName},
    stream::Delivery,
};
use fineo_schema::avro::Reader;
use serde_json::value::RawValue;
use zstd::bulk::Decompressor;

use super::{
    AFTER_KEY, BLOCK_BYTES_MAX, BlockInfo, INDEX_KEY, MAGIC, RECORDS_KEY, SYNC_LEN, columns::ColumnReader, sync_marker,
};

/// So much is read first, in the hope that the header is in it.
const HEADER_BYTES: u64 = 64 << 10;
/// A header that is larger is none.
const HEADER_BYTES_MAX: u64 = 64 << 20;

thread_local! {
    /// To make one costs more than a small block does.
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::default();
}

/// An archived delivery.
#[derive(Debug, Clone)]
pub struct ArchivedRecord {
    /// What the stage received.
    pub delivery: Delivery,
    /// When its event arrived at the edge.
    pub arrived_at: Timestamp,
}

/// A segment whose header was read.
#[derive(Debug)]
pub struct SegmentReader {
    pub(super) name: SegmentName,
    pub(super) index: Vec<BlockInfo>,
    /// The last position of the segment before.
    pub(super) after: Option<Position>,
    record_schemas: BTreeMap<String, Arc<str>>,
    sync: [u8; SYNC_LEN],
    pub(super) blocks_at: u64,
    size: u64,
}

impl SegmentReader {
    /// Reads the header of a segment.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it is no segment, or a failure of the archive.
    pub async fn open(archive: &dyn Archive, info: &SegmentInfo) -> Result<Self> {
        let mut wanted = HEADER_BYTES;
        loop {
            let end = wanted.min(info.bytes);
            let bytes = archive.read(&info.name, Some((0, end))).await?;
            match Self::of_header(&info.name, &bytes, info.bytes) {
                Ok(reader) => return Ok(reader),
                // The header may be longer than what was read of it.
                Err(_) if end < info.bytes && wanted < HEADER_BYTES_MAX => wanted *= 8,
                Err(error) => return Err(error.with("segment", info.name.path())),
            }
        }
    }

    /// Reads the header of a segment whose bytes are all here.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it is no segment.
    pub fn of_bytes(name: &SegmentName, bytes: &[u8]) -> Result<Self> {
        let read = Self::of_header(name, bytes, bytes.len() as u64);
        read.map_err(|error| error.with("segment", name.path()))
    }

    pub(super) fn of_header(name: &SegmentName, bytes: &[u8], size: u64) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(Error::corrupt("not an avro file"));
        }
        let mut metadata = BTreeMap::new();
        loop {
            let count = reader.long()?;
            if count == 0 {
                break;
            }
            if !(0..=64).contains(&count) {
                return Err(Error::corrupt("a segment's header has an impossible number of entries"));
            }
            for _ in 0..count {
                let key = reader.text()?;
                metadata.insert(key, reader.bytes()?);
            }
        }
        let sync = reader.fixed()?;
        if sync != sync_marker(&name.path(), metadata.iter().map(|(key, value)| (*key, *value))) {
            return Err(Error::corrupt("a segment's header is broken or another segment's"));
        }
        let blocks_at = (bytes.len() - reader.left()) as u64;
        if metadata.get("avro.codec") != Some(&b"zstandard".as_slice()) {
            return Err(Error::corrupt("a segment has another compression"));
        }
        let index = metadata.get(INDEX_KEY).ok_or_else(|| Error::corrupt("a segment has no index"))?;
        let index: Vec<BlockInfo> = serde_json::from_slice(index)
            .map_err(|source| Error::corrupt("a segment's index cannot be read").with_source(source))?;
        if !index.is_sorted_by(|one, other| one.tenant <= other.tenant) {
            return Err(Error::corrupt("a segment's index is not in order of tenants"));
        }
        let after = metadata.get(AFTER_KEY).map(|after| String::from_utf8_lossy(after).parse()).transpose();
        let after = after.map_err(|source| Error::corrupt("a segment begins nowhere").with_source(source))?;
        let record_schemas = match metadata.get(RECORDS_KEY) {
            Some(schemas) => record_schemas(schemas)?,
            None => BTreeMap::new(),
        };
        Ok(Self { name: name.clone(), index, after, record_schemas, sync, blocks_at, size })
    }

    /// The tenants that have records here, in order.
    pub fn tenants(&self) -> Vec<&str> {
        let mut tenants: Vec<&str> = self.index.iter().map(|block| &*block.tenant).collect();
        tenants.dedup();
        tenants
    }

    /// The position behind which its records begin; none for the very first of its shard.
    pub fn after(&self) -> Option<Position> {
        self.after
    }

    /// When the last of its records arrived, in microseconds.
    pub fn arrived_until(&self) -> i64 {
        self.index.iter().map(|block| block.time_last).max().unwrap_or(i64::MIN)
    }

    /// How many records of `tenant` it has, and when the first of them arrived, in microseconds; none for none.
    pub fn received_of(&self, tenant: &TenantId) -> Option<(u64, i64)> {
        let blocks = &self.index[self.range_of(tenant)];
        let first = blocks.iter().map(|block| block.time_first).min()?;
        Some((blocks.iter().map(|block| block.records).sum(), first))
    }

    /// The places of `tenant`'s blocks in the index.
    pub(super) fn range_of(&self, tenant: &TenantId) -> Range<usize> {
        let tenant = tenant.as_str();
        let first = self.index.partition_point(|block| *block.tenant < *tenant);
        let blocks = self.index[first..].iter().take_while(|block| block.tenant == tenant).count();
        first..first + blocks
    }

    /// The Avro schemas of `tenant`'s staged records, as JSON, each with `metric/version`.
    pub fn record_schemas_of(&self, tenant: &TenantId) -> impl Iterator<Item = (&str, &str)> {
        let prefix = format!("{tenant}/");
        let of_tenant = self.record_schemas.range(prefix.clone()..);
        of_tenant.map_while(move |(key, schema)| Some((key.strip_prefix(&*prefix)?, &**schema)))
    }

    /// Reads what was received for `tenant` and arrived in `time`. Other tenants' bytes are not read.
    ///
    /// # Errors
    ///
    /// `Invalid` when the segment holds no received records, `Corrupt`, or a failure of the archive.
    pub async fn read(&self, archive: &dyn Archive, tenant: &TenantId, time: TimeRange) -> Result<Vec<ArchivedRecord>> {
        match self.name.kind {
            SegmentKind::Received => {}
            SegmentKind::Malformed | SegmentKind::Commit => {
                return Err(Error::invalid("the segment holds errors").with("segment", self.name.path()));
            }
        }
        let mut records = Vec::new();
        for block in &self.index[self.range_of(tenant)] {
            if !time.overlaps(block.time_first, block.time_last) {
                continue;
            }
            let bytes = self.packed(archive, block).await?;
            self.read_block(&bytes, block, tenant, time, &mut records)
                .map_err(|error| error.with("segment", self.name.path()))?;
        }
        Ok(records)
    }

    /// Reads a block as it is stored.
    pub(super) async fn packed(&self, archive: &dyn Archive, block: &BlockInfo) -> Result<Bytes> {
        let start = self.blocks_at.checked_add(block.offset);
        let end = start.and_then(|start| start.checked_add(block.bytes));
        let (Some(start), Some(end)) = (start, end.filter(|end| *end <= self.size)) else {
            return Err(Error::corrupt("a segment's index points outside").with("segment", self.name.path()));
        };
        archive.read(&self.name, Some((start, end))).await
    }

    /// The Avro records of a stored block, which are `objects`.
    pub(super) fn unpacked(&self, bytes: &[u8], objects: u64) -> Result<Vec<u8>> {
        let mut reader = Reader::new(bytes);
        let count = reader.long()?;
        let packed = reader.bytes()?;
        if reader.take(SYNC_LEN)? != self.sync || u64::try_from(count) != Ok(objects) {
            return Err(Error::corrupt("a segment's block is not where its index says"));
        }
        unpack(packed)
    }

    fn read_block(
        &self,
        bytes: &[u8],
        block: &BlockInfo,
        tenant: &TenantId,
        time: TimeRange,
        records: &mut Vec<ArchivedRecord>,
    ) -> Result<()> {
        let unpacked = self.unpacked(bytes, 1)?;
        let columns = ColumnReader::new(self.name.stage, &unpacked, block.records)?;
        if columns.tenant() != tenant.as_str() {
            return Err(Error::corrupt("a tenant's block holds another tenant's record"));
        }
        for item in columns {
            let item = item?;
            if time.contains(item.arrived_at) {
                let delivery = Delivery { tenant: tenant.clone(), position: item.position, payload: item.entry()? };
                records.push(ArchivedRecord { delivery, arrived_at: item.arrived_at });
            }
        }
        Ok(())
    }
}

/// The schemas of a segment's records by their keys. In the place of one that is there already stands its key.
pub(super) fn record_schemas(text: &[u8]) -> Result<BTreeMap<String, Arc<str>>> {
    let broken = || Error::corrupt("a segment's schemas cannot be read");
    let read: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(text).map_err(|source| broken().with_source(source))?;
    let (references, own): (Vec<_>, Vec<_>) = read.into_iter().partition(|(_, schema)| schema.get().starts_with('"'));
    let mut schemas: BTreeMap<String, Arc<str>> = BTreeMap::new();
    schemas.extend(own.into_iter().map(|(key, schema)| (key.into_owned(), schema.get().into())));
    let mut same = Vec::with_capacity(references.len());
    for (key, reference) in references {
        let other: String = serde_json::from_str(reference.get()).map_err(|source| broken().with_source(source))?;
        let schema = schemas.get(&other).ok_or_else(|| broken().with("schema", &key).with("same_as", other))?;
        same.push((key.into_owned(), Arc::clone(schema)));
    }
    schemas.extend(same);
    Ok(schemas)
}

pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let broken = |source: std::io::Error| Error::corrupt("a block cannot be unpacked").with_source(source);
    // Our own blocks say how large they are.
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    let size = size.map_or(Some(BLOCK_BYTES_MAX), |size| usize::try_from(size).ok());
    let Some(size) = size.filter(|size| *size <= BLOCK_BYTES_MAX) else {
        return Err(Error::corrupt("a block unpacks to more than a block may be"));
    };
    DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.decompress(packed, size)).map_err(broken)
}
