//! Which notices wait, and which were taken a short while ago. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const MICROS_PER_SECOND: i64 = 1_000_000;
/// The same notice is not told again for so long.
const SILENCE_MICROS: i64 = 3600 * MICROS_PER_SECOND;
/// The longest wait between two tries.
const WAIT_SECONDS_MAX: i64 = 3600;
/// The most notices that wait; the oldest give way to new ones.
const PENDING_MAX: usize = 500;

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// Whoever the events are of.
    Tenant,
    /// Whoever runs the instance.
    Operator,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Equal for notices that say the same.
    pub id: String,
    /// Who is told.
    pub to: Recipient,
    /// `schema_news`, `malformed`, `events_failed` or `commit_failed`.
    pub kind: String,
    /// Whose events it is about.
    pub tenant: String,
    /// When it was found, in microseconds since 1970.
    pub at: i64,
    /// What was found.
    pub detail: Value,
    tries: u32,
    next_at: i64,
}

impl Notice {
    /// A notice; two with the same `same` say the same.
    pub fn new(to: Recipient, kind: &str, tenant: &str, same: &Value) -> Self {
        let id = blake3::hash(json!([to, kind, tenant, same]).to_string().as_bytes()).to_hex();
        let (kind, tenant) = (kind.to_owned(), tenant.to_owned());
        Self { id: id[..32].to_owned(), to, kind, tenant, at: 0, detail: Value::Null, tries: 0, next_at: 0 }
    }

    /// With this to be said.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// What a webhook gets.
    pub(super) fn body(&self) -> Value {
        json!({ "id": self.id, "kind": self.kind, "tenant": self.tenant, "at": self.at, "detail": self.detail })
    }
}

/// What waits and what was taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Outbox {
    pending: Vec<Notice>,
    /// Taken notices with the time.
    taken: Vec<(String, i64)>,
}

impl Outbox {
    /// Takes a notice in, unless the same waits or was taken a short while ago.
    pub(super) fn add(&mut self, mut notice: Notice, now: i64) -> bool {
        self.taken.retain(|(_, at)| now.saturating_sub(*at) < SILENCE_MICROS);
        let is_known = self.pending.iter().any(|pending| pending.id == notice.id)
            || self.taken.iter().any(|(taken, _)| *taken == notice.id);
        if is_known {
            return false;
        }
        if self.pending.len() >= PENDING_MAX {
            self.give_up(1);
        }
        (notice.at, notice.next_at) = (now, now);
        self.pending.push(notice);
        true
    }

    /// Gives up those that have waited longest, of so many bytes at least, but for the last one.
    pub(super) fn give_up(&mut self, bytes: usize) {
        let mut given_up = 0;
        while given_up < bytes && self.pending.len() > 1 {
            let oldest = self.pending.remove(0);
            given_up += serde_json::to_vec(&oldest).map_or(0, |written| written.len());
            tracing::error!(kind = %oldest.kind, tenant = %oldest.tenant, "a notice that no webhook took is given up");
        }
    }

    /// What is to be sent at `now`.
    pub(super) fn due(&self, now: i64) -> impl Iterator<Item = &Notice> {
        self.pending.iter().filter(move |notice| notice.next_at <= now)
    }

    /// Notes what became of a notice.
    pub(super) fn answered(&mut self, id: &str, is_taken: bool, now: i64) -> bool {
        let Some(at) = self.pending.iter().position(|notice| notice.id == id) else { return false };
        if is_taken {
            self.pending.remove(at);
            self.taken.push((id.to_owned(), now));
            return true;
        }
        let notice = &mut self.pending[at];
        notice.tries = notice.tries.saturating_add(1);
        let wait = 1_i64.checked_shl(notice.tries).unwrap_or(WAIT_SECONDS_MAX).clamp(1, WAIT_SECONDS_MAX);
        notice.next_at = now.saturating_add(wait * MICROS_PER_SECOND);
        true
    }
}
