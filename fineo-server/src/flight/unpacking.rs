//! How much memory a message takes once it is unpacked, found out before any is taken.

mod budget;

use std::{collections::HashMap, io::BufRead, sync::Arc, time::Duration};

use arrow::ipc::{CompressionType, DictionaryBatch, RecordBatch, root_as_message};
use arrow_flight::FlightData;
use fineo::{Clock, TenantId};
use lz4_flex::frame::FrameDecoder;
use tonic::Status;

use self::budget::{Budget, Taken};

/// How much a batch may unpack to: the library takes that much memory before it looks at the first byte.
const BATCH_BYTES_MAX: u32 = 256 << 20;
/// How much the batches of all streams may unpack to at a time: the half of a tenant is room for one of the longest.
const ALL_BYTES_MAX: u32 = 2 * BATCH_BYTES_MAX;
/// How much a batch may unpack to that does not wait for longer ones.
const SMALL_BYTES_MAX: u32 = 1 << 20;
/// How much such batches of all streams may unpack to at a time, beside the others.
const ALL_SMALL_BYTES_MAX: u32 = 64 * SMALL_BYTES_MAX;
/// How much the dictionaries of a stream may take, which are kept for as long as it lasts.
const DICTIONARY_BYTES_MAX: u64 = 32 << 20;

/// The memory for what all streams unpack. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Unpacking(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    small: Budget,
    large: Budget,
    clock: Arc<dyn Clock>,
    wait_max: Duration,
}

impl Unpacking {
    /// All of the memory, for which a batch waits on `clock` no longer than `wait_max`.
    pub(super) fn new(clock: Arc<dyn Clock>, wait_max: Duration) -> Self {
        Self::of(ALL_SMALL_BYTES_MAX, ALL_BYTES_MAX, clock, wait_max)
    }

    fn of(small_bytes: u32, large_bytes: u32, clock: Arc<dyn Clock>, wait_max: Duration) -> Self {
        let (small, large) = (Budget::of(small_bytes), Budget::of(large_bytes));
        Self(Arc::new(Memory { small, large, clock, wait_max }))
    }

    /// Waits until there is memory for a batch of `tenant` that unpacks to `bytes`, as long as one may wait.
    async fn take(&self, tenant: &TenantId, bytes: u32) -> Result<Taken, Status> {
        let Memory { small, large, clock, wait_max } = &*self.0;
        let budget = if bytes <= SMALL_BYTES_MAX { small } else { large };
        tokio::select! {
            biased;
            taken = budget.take(tenant, bytes) => Ok(taken),
            () = clock.sleep(*wait_max) => Err(Status::resource_exhausted(format!(
                "other batches had the memory that this one unpacks to, {bytes} bytes, for {} seconds: \
                 send smaller batches, or try again",
                wait_max.as_secs()
            ))),
        }
    }
}

/// What one stream of a tenant holds of that memory.
#[derive(Debug)]
pub(super) struct Held {
    all: Unpacking,
    tenant: TenantId,
    batch: Option<Taken>,
    /// The bytes of the dictionaries by their ids.
    dictionaries: HashMap<i64, u64>,
}

impl Held {
    pub(super) fn new(all: Unpacking, tenant: TenantId) -> Self {
        Self { all, tenant, batch: None, dictionaries: HashMap::new() }
    }

    /// The batch that was admitted last is no more.
    pub(super) fn release(&mut self) {
        self.batch = None;
    }

    /// Waits until there is memory for what `message` unpacks to.
    ///
    /// # Errors
    ///
    /// When it would take more than any may, or more than it says, and when others have the memory for too long.
    pub(super) async fn admit(&mut self, message: &FlightData) -> Result<(), Status> {
        let body = &message.data_body;
        // What has no such header is refused where it is read.
        let Ok(header) = root_as_message(&message.data_header) else { return Ok(()) };
        if let Some(dictionary) = header.header_as_dictionary_batch() {
            return self.admit_dictionary(&dictionary, body);
        }
        let Some(batch) = header.header_as_record_batch() else { return Ok(()) };
        let Some(bytes) = unpacked_bytes(&batch, body)? else { return Ok(()) };
        self.batch = Some(self.all.take(&self.tenant, bytes).await?);
        Ok(())
    }

    fn admit_dictionary(&mut self, dictionary: &DictionaryBatch<'_>, body: &[u8]) -> Result<(), Status> {
        let Some(values) = dictionary.data() else { return Ok(()) };
        // Buffers that are not unpacked keep the body.
        let bytes = body.len() as u64 + unpacked_bytes(&values, body)?.map_or(0, u64::from);
        let known = self.dictionaries.entry(dictionary.id()).or_default();
        *known = if dictionary.isDelta() { known.saturating_add(bytes) } else { bytes };
        let all = self.dictionaries.values().fold(0, |all: u64, bytes| all.saturating_add(*bytes));
        if all > DICTIONARY_BYTES_MAX {
            return Err(Status::invalid_argument(format!(
                "the dictionaries take {all} bytes, more than the {DICTIONARY_BYTES_MAX} that those of a stream may: \
                 send the columns as their values"
            )));
        }
        Ok(())
    }
}

/// What a compressed batch unpacks to; none for one that is not compressed.
fn unpacked_bytes(batch: &RecordBatch<'_>, body: &[u8]) -> Result<Option<u32>, Status> {
    let Some(compression) = batch.compression() else { return Ok(None) };
    let claimed = buffers(batch, body).fold(0, |all: u64, buffer| all.saturating_add(buffer.claimed));
    let bounded = u32::try_from(claimed).ok().filter(|bytes| *bytes <= BATCH_BYTES_MAX);
    let bytes = bounded.ok_or_else(|| {
        Status::invalid_argument(format!(
            "a batch unpacks to {claimed} bytes, more than the {BATCH_BYTES_MAX} that one may: send fewer rows at once"
        ))
    })?;
    // The library unpacks ZSTD into as much memory as is claimed, but LZ4 into as much as it takes.
    if compression.codec() == CompressionType::LZ4_FRAME && buffers(batch, body).any(|buffer| !buffer.is_honest()) {
        return Err(Status::invalid_argument("unreadable batch: a buffer unpacks to more bytes than it says"));
    }
    Ok(Some(bytes))
}

/// A compressed buffer, and how many bytes it says that it unpacks to.
struct Packed<'a> {
    claimed: u64,
    bytes: &'a [u8],
}

/// The compressed buffers of `batch`. One that is not within `body` is refused where it is read.
fn buffers<'a>(batch: &RecordBatch<'a>, body: &'a [u8]) -> impl Iterator<Item = Packed<'a>> {
    batch.buffers().into_iter().flatten().filter_map(|buffer| {
        let (from, length) = (usize::try_from(buffer.offset()).ok()?, usize::try_from(buffer.length()).ok()?);
        let (claimed, bytes) = body.get(from..)?.get(..length)?.split_first_chunk()?;
        // A negative one stands before bytes that are not compressed.
        let claimed = u64::try_from(i64::from_le_bytes(*claimed)).ok()?;
        Some(Packed { claimed, bytes })
    })
}

impl Packed<'_> {
    /// Whether it unpacks, as LZ4, to no more than it says; as far as it is LZ4, for the library reads no further either.
    fn is_honest(&self) -> bool {
        let mut frame = FrameDecoder::new(self.bytes);
        let mut unpacked = 0;
        while let Ok(piece) = frame.fill_buf()
            && !piece.is_empty()
        {
            let length = piece.len();
            unpacked += length as u64;
            if unpacked > self.claimed {
                return false;
            }
            frame.consume(length);
        }
        true
    }
}

#[cfg(test)]
mod tests;
