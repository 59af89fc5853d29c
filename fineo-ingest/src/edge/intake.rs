//! Takes in the events of a body while it still comes.

use fineo_core::{Code, Rejection, Result, TenantId};

use super::{
    Edge, Receipt,
    import::{Cutter, ImportOptions, Routing},
};

/// The most events that are stored at once.
const EVENTS_AT_ONCE: usize = 1 << 14;

/// Takes in the JSON events of one body, some at a time: what one receipt tells of is durable before the next events are
/// looked at. It holds what was added and not stored yet, and no more.
#[derive(Debug)]
pub struct Intake {
    edge: Edge,
    tenant: TenantId,
    cutter: Cutter,
    events_max: u64,
    /// How many events were dealt with.
    events: u64,
    is_blank: bool,
}

impl Edge {
    /// Begins to take in a body of at most `events_max` events for `tenant`, under the metric and the origin of `options`.
    ///
    /// # Errors
    ///
    /// `Invalid` when the metric of `options` cannot be the name of one.
    pub fn intake(&self, tenant: &TenantId, options: ImportOptions, events_max: u64) -> Result<Intake> {
        if let Some(metric) = &options.metric {
            fineo_schema::name::check_metric(metric)?;
        }
        let options = ImportOptions { routing: Routing::Tenant(tenant.clone()), ..options };
        let cutter = Cutter::new(&options, false, self.0.limits)?;
        Ok(Intake { edge: self.clone(), tenant: tenant.clone(), cutter, events_max, events: 0, is_blank: true })
    }
}

impl Intake {
    /// Adds what came next of the body.
    pub fn add(&mut self, bytes: &[u8]) {
        self.cutter.add(bytes);
    }

    /// Stores the next events that are complete and says what became of them; none when more of the body has to come, or,
    /// where this `is_end`, nothing is left. A rejection is one of all that was added and not stored, as a whole.
    ///
    /// # Errors
    ///
    /// As [`Edge::ingest`].
    pub async fn store(&mut self, is_end: bool) -> Result<Result<Option<Receipt>, Rejection>> {
        let left = usize::try_from(self.events_max - self.events).unwrap_or(usize::MAX);
        // One more than may be tells that there are too many, before any of them is stored.
        self.cutter.set_events_max(left.saturating_add(1).min(EVENTS_AT_ONCE));
        let piece = self.cutter.cut_added(is_end);
        self.is_blank = self.is_blank && piece.is_blank();
        let total = piece.len();
        if total > left {
            let message = format!("the request has more than {} events", self.events_max);
            return Ok(Err(self.reject(Code::TooManyEvents, &message)));
        }
        if total == 0 {
            let is_empty = is_end && self.is_blank;
            return Ok(if is_empty { Err(self.reject(Code::Empty, "the request has no event")) } else { Ok(None) });
        }
        let outcomes = self.edge.append(piece.batch(), &self.edge.0.retry).await?;
        let receipt = self.edge.receipt(outcomes, piece.into_rejected(self.events), total);
        self.events += total as u64;
        self.edge.count(&self.tenant, &receipt);
        Ok(Ok(Some(receipt)))
    }

    fn reject(&self, code: Code, message: &str) -> Rejection {
        self.edge.0.counters.reject(Some(&self.tenant), code);
        Rejection::new(code, message)
    }
}
