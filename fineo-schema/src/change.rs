//! What can be changed in a schema, who did, and what became of it.

use std::{fmt, str::FromStr, sync::Arc};

use fineo_core::{Cover, Entropy, Error, EventId, Result, Timestamp, repo::Version};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Identity, MissingTimestamp, RetainDays, TenantSchema, UnknownMetric, document::Positions};

/// Which change it is: chosen by whoever asks for it, so that asking again has no second effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId([u8; 16]);

impl ChangeId {
    /// A new id.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(entropy.id())
    }

    /// The id with these bytes.
    pub const fn of_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", EventId(self.0))
    }
}

impl FromStr for ChangeId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let id = text.parse::<EventId>();
        id.map(|id| Self(id.0)).map_err(|_| Error::invalid("not a change id of 32 hexadecimal digits").with("id", text))
    }
}

/// Values in another unit, or under an affine conversion, within a scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatedConversion {
    /// The unit that the values are in; else `scale` and `offset` say what is done with them.
    pub unit: Option<String>,
    /// What values are multiplied with, where no unit is given.
    pub scale: f64,
    /// What is then added, where no unit is given.
    pub offset: f64,
    /// Only values sent under this name of the field.
    pub name: Option<Arc<str>>,
    /// Only rows whose metric's name as sent is this.
    pub metric_name: Option<Arc<str>>,
    /// Only rows whose time is not before this.
    #[serde(with = "micros")]
    pub from: Option<Timestamp>,
    /// Only rows whose time is before this.
    #[serde(with = "micros")]
    pub to: Option<Timestamp>,
}

impl Default for StatedConversion {
    fn default() -> Self {
        Self { unit: None, scale: 1.0, offset: 0.0, name: None, metric_name: None, from: None, to: None }
    }
}

/// One step of a change. Metrics and fields are named by any of their names, exactly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names of the parts say it; the variants are documented")]
pub enum Change {
    /// Declares a metric; one that events brought in is declared as it is.
    CreateMetric { name: String, aliases: Vec<String> },
    /// Gives a metric another display name; the old one becomes its first alias.
    RenameMetric { metric: String, to: String },
    /// Adds a name that events and queries may use.
    AddMetricAlias { metric: String, alias: String },
    /// Takes an alias away.
    RemoveMetricAlias { metric: String, alias: String },
    /// Lets `from`'s names and rows answer under `into`.
    MergeMetric { from: String, into: String },
    /// Makes rows up to some staged positions unreadable for ever.
    DeleteMetric {
        metric: String,
        #[serde(with = "positions")]
        through: Cover,
    },
    /// Takes a declaration back: the metric stays as one that events brought in.
    UndeclareMetric { metric: String },
    /// Makes events of an undeclared metric malformed.
    RuleOutMetric { metric: String },
    /// Takes that back.
    RuleInMetric { metric: String },
    /// Declares a field.
    AddField { metric: String, name: String, field_type: String, aliases: Vec<String>, unit: Option<String> },
    /// Gives a field another display name; the old one becomes its first alias.
    RenameField { metric: String, field: String, to: String },
    /// Adds a name that answers for the field.
    AddFieldAlias { metric: String, field: String, alias: String },
    /// Takes an alias away.
    RemoveFieldAlias { metric: String, field: String, alias: String },
    /// Ranks aliases of a field as they are listed, in the places that they have among its names; others keep theirs.
    RankFieldAliases { metric: String, field: String, aliases: Vec<String> },
    /// Reads the values of a field as another type.
    RetypeField { metric: String, field: String, field_type: String },
    /// Says what a field is measured in; none takes that back.
    SetUnit { metric: String, field: String, unit: Option<String> },
    /// States values to be in another unit, or to be converted; the one stated last goes first.
    AddConversion { metric: String, field: String, conversion: StatedConversion },
    /// Takes every conversion of a field back.
    RemoveConversions { metric: String, field: String },
    /// Makes every value of a field unreadable until it is unhidden.
    HideField { metric: String, field: String },
    /// Takes that back.
    UnhideField { metric: String, field: String },
    /// Takes a declaration back: the values become undeclared text again.
    UndeclareField { metric: String, field: String },
    /// Makes a field's values up to some staged positions unreadable for ever.
    DeleteField {
        metric: String,
        field: String,
        #[serde(with = "positions")]
        through: Cover,
    },
    /// Makes events that bear an undeclared field malformed.
    RuleOutField { metric: String, field: String },
    /// Takes that back.
    RuleInField { metric: String, field: String },
    /// Says which keys of an event may name its metric.
    SetMetricKeys { keys: Vec<String> },
    /// Says how times are read, by one metric or by all.
    SetTimestampFormats { metric: Option<String>, formats: Vec<String> },
    /// Says which keys of an event may bear its time, for one metric or for all.
    SetTimestampAliases { metric: Option<String>, aliases: Vec<String> },
    /// Says what becomes of events of unknown metrics.
    SetUnknownMetric { policy: UnknownMetric },
    /// Says what becomes of events without a time; for a metric, none means as the tenant says.
    SetMissingTimestamp { metric: Option<String>, policy: Option<MissingTimestamp> },
    /// Says what makes later events the same; for a metric, none means as the tenant says.
    SetIdentity { metric: Option<String>, identity: Option<Identity> },
    /// Says for how long rows are kept; for a metric, none means as the tenant says.
    SetRetainDays { metric: Option<String>, days: Option<RetainDays> },
    /// Makes a role, which may read nothing yet.
    CreateRole { role: String },
    /// Takes a role away: who comes in it may read nothing.
    DeleteRole { role: String },
    /// Lets a role read fields of a metric, `*` for all, or all of the metric `*`, or `errors.stream`. With `*`, `later` says
    /// whether undeclared fields and what comes later are meant too.
    GrantRead { role: String, metric: String, fields: Vec<String>, later: Option<bool> },
    /// Takes that back, for some fields or, where none is named, for the whole metric.
    RevokeRead { role: String, metric: String, fields: Vec<String> },
    /// Brings in metrics that events named.
    DiscoverMetrics { names: Vec<Arc<str>> },
    /// Makes the inverse of an earlier change.
    Undo {
        #[serde(with = "change_id")]
        change: ChangeId,
    },
}

impl Change {
    /// Whether it changes what roles may read, and not what anything means.
    pub fn is_of_roles(&self) -> bool {
        matches!(
            self,
            Self::CreateRole { .. } | Self::DeleteRole { .. } | Self::GrantRead { .. } | Self::RevokeRead { .. }
        )
    }

    /// Whether `other` asks for the same. How far a deletion reaches is no part of what is asked for: it is filled in.
    pub fn asks_for_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::DeleteMetric { metric, .. }, Self::DeleteMetric { metric: other, .. }) => metric == other,
            (Self::DeleteField { metric, field, .. }, Self::DeleteField { metric: other, field: other_field, .. }) => {
                (metric, field) == (other, other_field)
            }
            _ => self == other,
        }
    }
}

/// A change as somebody asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeRequest {
    /// Which change it is.
    pub id: ChangeId,
    /// The version that it was thought out on; if that is not the latest, the change is refused.
    pub base: Option<Version>,
    /// What is done, all or nothing, in order.
    pub changes: Vec<Change>,
    /// Who asks for it.
    pub author: Option<String>,
}

impl ChangeRequest {
    /// Asks for `changes` on whatever version is the latest.
    pub fn new(id: ChangeId, changes: Vec<Change>) -> Self {
        Self { id, base: None, changes, author: None }
    }

    /// Only if `base` is still the latest version.
    #[must_use]
    pub fn with_base(mut self, base: Version) -> Self {
        self.base = Some(base);
        self
    }

    /// In the name of `author`.
    #[must_use]
    pub fn with_author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }
}

/// What became of a change.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Which change it is.
    pub id: ChangeId,
    /// The version that it made; of a change that changed nothing, the one that it met.
    pub version: Version,
    /// What was asked for when it was made.
    pub changes: Vec<Change>,
    /// What was done, one line per step, take-overs and warnings among them.
    pub summary: Vec<String>,
    /// Whether it had happened before: nothing was done now.
    pub is_repeated: bool,
    /// The schema with it.
    pub schema: Arc<TenantSchema>,
}

/// A change that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// The version that it made.
    pub version: Version,
    /// Which change it was.
    pub id: ChangeId,
    /// When it was made, by the clock of whoever made it.
    pub at: Timestamp,
    /// Who asked for it.
    pub author: Option<String>,
    /// What was asked for.
    pub changes: Vec<Change>,
    /// What was done, one line per step.
    pub summary: Vec<String>,
    pub(crate) deltas: Vec<crate::undo::Delta>,
}

mod micros {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp};

    pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Timestamp::micros).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(Timestamp::saturating_from_micros))
    }
}

mod positions {
    use super::{Cover, Deserialize, Deserializer, Positions, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(cover: &Cover, serializer: S) -> Result<S::Ok, S::Error> {
        Positions(cover.clone()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cover, D::Error> {
        Ok(Positions::deserialize(deserializer)?.0)
    }
}

mod change_id {
    use serde::de::Error as _;

    use super::{ChangeId, Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &ChangeId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ChangeId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
