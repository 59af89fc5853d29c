//! Reads what stage staged received block by block, without a copy per record: the input of compaction.

use std::ops::Range;

use bytes::Bytes;
use fineo_core::{
    Archive, Error, EventId, Position, Result, TenantId, Timestamp,
    archive::{SegmentKind, Stage},
    repo::Version,
};

use super::{
    SegmentReader,
    columns::{ColumnReader, Kind},
};

/// One tenant's staged records from one block of a segment, unpacked.
#[derive(Debug, Clone)]
pub struct StagedBlock {
    bytes: Bytes,
    records: u64,
}

/// A staged record where it lies in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedRecord<'a> {
    /// Its position in the staged stream.
    pub position: Position,
    /// Which event it is.
    pub id: EventId,
    /// When its event arrived at the edge.
    pub arrived_at: Timestamp,
    /// Records of one block that have the same number here have metric and schema in common; a few at most.
    pub kind: usize,
    /// The canonical id of its metric; empty for an entry that could not be read.
    pub metric: &'a str,
    /// The version of the schema under which it was written.
    pub schema: Version,
    /// The record itself, of [`fineo_schema::RecordLayout`].
    pub record: &'a [u8],
}

impl StagedBlock {
    /// How many records it has.
    pub fn len(&self) -> u64 {
        self.records
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Its size, unpacked.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Its records in order of positions.
    ///
    /// An error is `Corrupt` and ends the block.
    pub fn records(&self) -> impl Iterator<Item = Result<StagedRecord<'_>>> {
        let (columns, failure) = match ColumnReader::new(Stage::Staged, &self.bytes, self.records) {
            Ok(columns) => (Some(columns), None),
            Err(error) => (None, Some(Err(error))),
        };
        let records = columns.into_iter().flatten().map(|item| {
            let item = item?;
            let Kind::Record { metric, schema } = item.kind else {
                return Err(Error::internal("a block of staged records has an event"));
            };
            let (position, id, arrived_at, record) = (item.position, item.id, item.arrived_at, item.payload);
            Ok(StagedRecord { position, id, arrived_at, kind: item.kind_number, metric, schema, record })
        });
        failure.into_iter().chain(records)
    }
}

impl SegmentReader {
    /// The numbers of `tenant`'s blocks, in order.
    pub fn blocks_of(&self, tenant: &TenantId) -> Range<usize> {
        self.range_of(tenant)
    }

    /// Reads one of `tenant`'s blocks, by its number among all. Other tenants' bytes are not read.
    ///
    /// # Errors
    ///
    /// `Invalid` when the segment is not of what stage staged received or the block is another tenant's, `Corrupt`, or
    /// a failure of the archive.
    pub async fn staged_block(&self, archive: &dyn Archive, tenant: &TenantId, number: usize) -> Result<StagedBlock> {
        let invalid = |message: &str| Err(Error::invalid(message).with("segment", self.name.path()));
        match (self.name.stage, self.name.kind) {
            (Stage::Staged, SegmentKind::Received) => {}
            (Stage::Raw | Stage::Staged, _) => return invalid("the segment holds no staged records"),
        }
        let Some(block) = self.index.get(number).filter(|block| block.tenant == tenant.as_str()) else {
            return invalid("the segment has no such block of the tenant");
        };
        let packed = self.packed(archive, block).await?;
        let unpacked = self.unpacked(&packed, 1).map_err(|error| error.with("segment", self.name.path()))?;
        let columns = ColumnReader::new(Stage::Staged, &unpacked, block.records);
        if columns.map_err(|error| error.with("segment", self.name.path()))?.tenant() != tenant.as_str() {
            return Err(Error::corrupt("a tenant's block holds another tenant's records"));
        }
        Ok(StagedBlock { bytes: unpacked.into(), records: block.records })
    }
}

#[cfg(test)]
mod tests;
