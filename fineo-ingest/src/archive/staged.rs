//! Reads what stage staged received block by block, without a copy per record: the input of compaction.

use bytes::Bytes;
use fineo_core::{
    Archive, Error, EventId, Position, Result, TenantId, Timestamp,
    archive::{SegmentKind, Stage},
    repo::Version,
};

use super::{SegmentReader, avro::Reader};

/// One tenant's staged records from one block of a segment, unpacked.
#[derive(Debug, Clone)]
pub struct StagedBlock {
    tenant: TenantId,
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
        let mut reader = Reader::new(&self.bytes);
        let mut left = self.records;
        std::iter::from_fn(move || {
            if left == 0 {
                return (reader.left() > 0).then(|| {
                    reader = Reader::new(&[]);
                    Err(Error::corrupt("a block holds more than its records"))
                });
            }
            left -= 1;
            let record = read_record(&mut reader, &self.tenant);
            if record.is_err() {
                left = 0;
                reader = Reader::new(&[]);
            }
            Some(record)
        })
    }
}

fn read_record<'a>(reader: &mut Reader<'a>, tenant: &TenantId) -> Result<StagedRecord<'a>> {
    if reader.text()? != tenant.as_str() {
        return Err(Error::corrupt("a tenant's block holds another tenant's record"));
    }
    let position = Position::from_bytes(reader.fixed()?);
    let id = EventId(reader.fixed()?);
    let arrived_at =
        Timestamp::from_micros(reader.long()?).map_err(|_| Error::corrupt("an arrival is out of range"))?;
    let metric = reader.text()?;
    let schema = Version(reader.long()?.unsigned_abs());
    let record = reader.bytes()?;
    Ok(StagedRecord { position, id, arrived_at, metric, schema, record })
}

impl SegmentReader {
    /// The numbers of `tenant`'s blocks, in order.
    pub fn blocks_of(&self, tenant: &TenantId) -> Vec<usize> {
        let is_of = |number: &usize| self.index[*number].tenant == tenant.as_str();
        (0..self.index.len()).filter(is_of).collect()
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
        let unpacked = self.unpacked(&packed, block).map_err(|error| error.with("segment", self.name.path()))?;
        Ok(StagedBlock { tenant: tenant.clone(), bytes: unpacked.into(), records: block.records })
    }
}

#[cfg(test)]
mod tests;
