//! Reads what a stage refused, from the segments that have it.

use bytes::Bytes;
use fineo_core::{
    Archive, Code, Error, EventId, Position, Rejection, Result, TenantId, Timestamp, archive::SegmentKind,
};
use fineo_schema::avro::Reader;

use super::SegmentReader;
use crate::errors::{ErrorClass, ErrorRow};

impl SegmentReader {
    /// Reads what was refused of `tenant`. Other tenants' bytes are not read.
    ///
    /// # Errors
    ///
    /// `Invalid` when the segment holds what was received, `Corrupt`, or a failure of the archive.
    pub(crate) async fn read_errors(&self, archive: &dyn Archive, tenant: &TenantId) -> Result<Vec<ErrorRow>> {
        let class = match self.name.kind {
            SegmentKind::Malformed => ErrorClass::Malformed,
            SegmentKind::Commit => ErrorClass::Commit,
            SegmentKind::Received => {
                return Err(Error::invalid("the segment holds no errors").with("segment", self.name.path()));
            }
        };
        let mut errors = Vec::new();
        for block in self.index.iter().filter(|block| block.tenant == tenant.as_str()) {
            let packed = self.packed(archive, block).await?;
            let read = self.unpacked(&packed, block.records).and_then(|unpacked| {
                let mut reader = Reader::new(&unpacked);
                for _ in 0..block.records {
                    errors.push(self.error(&mut reader, class)?);
                }
                Ok(())
            });
            read.map_err(|error| error.with("segment", self.name.path()))?;
        }
        if errors.iter().any(|error| error.tenant != *tenant) {
            return Err(Error::corrupt("a tenant's block holds another tenant's record"));
        }
        Ok(errors)
    }

    fn error(&self, reader: &mut Reader<'_>, class: ErrorClass) -> Result<ErrorRow> {
        let tenant = TenantId::new(reader.text()?)?;
        let position = Position::from_bytes(reader.fixed()?);
        let id = EventId(reader.fixed()?);
        let received_at = Timestamp::from_micros(reader.long()?)?;
        let code = reader.text()?;
        let code = Code::ALL.iter().copied().find(|known| known.as_str() == code);
        let code = code.ok_or_else(|| Error::corrupt("an archived error has a code that there is none of"))?;
        let rejection = Rejection::new(code, reader.text()?);
        let metric = reader.optional()?.map(str::to_owned);
        let raw = Bytes::copy_from_slice(reader.bytes()?);
        Ok(ErrorRow { tenant, stage: self.name.stage, class, rejection, id, received_at, position, metric, raw })
    }
}
