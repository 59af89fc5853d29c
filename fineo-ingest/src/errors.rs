//! Error rows: what a stage did not pass on, kept beside the tenant's data until it is repaired.

use std::{collections::HashMap, fmt};

use bytes::Bytes;
use fineo_core::{
    Code, ContentHash, EventId, MetricId, Position, Rejection, ShardId, TenantId, Timestamp,
    archive::Stage,
    nearline::{RowHead, Rows},
    stream::Delivery,
};

use crate::{envelope, stage::identity::first_half};

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The tenant's data: it was refused.
    Malformed,
    /// Ours: it could not be passed on.
    Commit,
}

impl ErrorClass {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Commit => "commit",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event that a stage did not pass on.
#[derive(Debug, Clone)]
pub(crate) struct ErrorRow {
    pub(crate) tenant: TenantId,
    pub(crate) stage: Stage,
    pub(crate) class: ErrorClass,
    pub(crate) rejection: Rejection,
    /// Identifies the row; the same after every redelivery and replay.
    pub(crate) id: EventId,
    pub(crate) received_at: Timestamp,
    /// Where the stage read it.
    pub(crate) position: Position,
    /// The metric's name as sent, as far as it is known.
    pub(crate) metric: Option<String>,
    /// What the tenant sent, as far as the stage has it.
    pub(crate) raw: Bytes,
}

/// The metric that holds the repairs of a tenant's error rows.
pub fn repairs() -> MetricId {
    MetricId::new("repairs").expect("a legal id")
}

/// The id of the error row of an event in a stage.
pub(crate) fn error_id(event: &[&[u8]], stage: Stage) -> EventId {
    let mut hasher = blake3::Hasher::new();
    for part in event {
        hasher.update(part);
    }
    hasher.update(stage.as_str().as_bytes());
    EventId(first_half(&hasher.finalize()))
}

/// Where an event of a stage is in its stream and archive.
pub(crate) fn replay_pointer(stage: Stage, shard: &ShardId, position: Position) -> String {
    format!("{stage}/{shard}/{position}")
}

impl ErrorRow {
    /// The row of an event that stage raw did not pass on. It goes by its content where that has a time, so that a
    /// re-send has no row of its own; else by its arrival.
    pub(crate) fn of_raw(
        delivery: &Delivery,
        class: ErrorClass,
        rejection: Rejection,
        content: Option<ContentHash>,
    ) -> Self {
        let (id, received_at, raw, metric) = match envelope::read(&delivery.payload) {
            Ok(read) => {
                let id = error_id(&[&content.map_or(read.arrival_id.0, |content| content.0)], Stage::Raw);
                (id, read.arrived_at, delivery.payload.slice_ref(read.event), read.metric.map(str::to_owned))
            }
            // No envelope, no arrival: the bytes themselves are all there is.
            Err(_) => {
                let id = error_id(&[&delivery.position.to_bytes(), &delivery.payload], Stage::Raw);
                (id, Timestamp::default(), delivery.payload.clone(), None)
            }
        };
        Self {
            tenant: delivery.tenant.clone(),
            stage: Stage::Raw,
            class,
            rejection,
            id,
            received_at,
            position: delivery.position,
            metric,
            raw,
        }
    }

    /// Appends this row to `rows`, which are those of `shard` of the stage.
    fn push(&self, rows: &mut Rows, shard: &ShardId, handled_at: Timestamp, hex: &mut String) {
        let head = RowHead {
            timestamp: self.received_at,
            id: self.id,
            // A row is identified by its id alone: the first one stays, whenever it was written.
            content: ContentHash(self.id.0),
            position: self.position,
            ingested_at: self.received_at,
        };
        rows.row(head, "errors");
        rows.cell("stage", self.stage.as_str());
        rows.cell("class", self.class.as_str());
        rows.cell("code", self.rejection.code.as_str());
        rows.cell("message", &self.rejection.message);
        match std::str::from_utf8(&self.raw) {
            Ok(text) => rows.cell("raw", text),
            Err(_) => {
                hex.clear();
                base64(&self.raw, hex);
                rows.cell("raw_bytes", hex);
            }
        }
        if let Some(metric) = &self.metric {
            rows.cell("metric", metric);
        }
        rows.cell("handled_at", &handled_at.to_string());
        rows.cell("build", env!("CARGO_PKG_VERSION"));
        rows.cell("replay_pointer", &replay_pointer(self.stage, shard, self.position));
    }

    /// Whether it counts against the circuit breaker: never a tenant's own fault.
    pub(crate) fn is_ours(&self) -> bool {
        self.class == ErrorClass::Commit || self.rejection.code == Code::Internal
    }
}

/// The rows to write, by tenant. Their shard is `stage.shard`, so that both stages' positions stay apart.
pub(crate) fn rows_of(
    errors: &[ErrorRow],
    stage: Stage,
    shard: &ShardId,
    handled_at: Timestamp,
) -> Vec<(TenantId, Rows)> {
    let rows_shard = error_shard(stage, shard);
    let mut by_tenant: HashMap<&TenantId, Rows> = HashMap::new();
    let mut scratch = String::new();
    for error in errors {
        let rows = by_tenant.entry(&error.tenant).or_insert_with(|| Rows::new(rows_shard.clone()));
        error.push(rows, shard, handled_at, &mut scratch);
    }
    let mut rows: Vec<_> = by_tenant.into_iter().map(|(tenant, rows)| (tenant.clone(), rows)).collect();
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    rows
}

/// The shard that a stage's error rows say they are from.
fn error_shard(stage: Stage, shard: &ShardId) -> ShardId {
    ShardId::new(&format!("{stage}.{shard}")).unwrap_or_else(|_| shard.clone())
}

/// The stage and the shard of its input that [`error_shard`] made `shard` of.
pub(crate) fn stage_of_error_shard(shard: &ShardId) -> Option<(Stage, ShardId)> {
    let (stage, rest) = shard.as_str().split_once('.')?;
    let stage = Stage::ALL.into_iter().find(|known| known.as_str() == stage)?;
    Some((stage, ShardId::new(rest).ok()?))
}

fn base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
}
