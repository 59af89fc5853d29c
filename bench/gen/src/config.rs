//! The shape of a workload, as its config file tells it.

use serde::Deserialize;

/// A whole workload. Unset percentages are zero.
#[derive(Debug, Deserialize, Clone)]
pub struct Config {
    /// `fleet` or `nested`.
    pub kind: String,
    /// Time of the first event, in epoch milliseconds.
    pub start_ms: i64,
    /// Span of the event times.
    pub days: f64,
    /// Mean events per device; the number of devices follows.
    #[serde(default)]
    pub events_per_device: f64,
    /// Whether a device sends every metric in turn, or only one.
    #[serde(default)]
    pub all_metrics_per_device: bool,
    /// Tenants and their share of the devices.
    #[serde(default)]
    pub tenants: Vec<Weighted>,
    /// Further tenants `t00000`…, which together weigh as much as the last listed one.
    #[serde(default)]
    pub extra_tenants: u64,
    /// The JSON keys that hold what every event has.
    pub keys: Option<Keys>,
    /// What device names begin with.
    #[serde(default)]
    pub device_prefix: String,
    /// How unequal the rates of the devices are; 0 is equal.
    #[serde(default)]
    pub skew: f64,
    /// Events that arrive late, and by how much at most.
    #[serde(default)]
    pub late_pct: f64,
    /// Bound of the delay of a late event.
    #[serde(default)]
    pub late_max_s: f64,
    /// Events sent a second time.
    #[serde(default)]
    pub dup_pct: f64,
    /// Events without a time, with an unreadable one or without a metric.
    #[serde(default)]
    pub error_pct: f64,
    /// Lines cut off in the middle; off in every config here, since most loaders give up on them.
    #[serde(default)]
    pub malformed_pct: f64,
    /// The names that nobody declares.
    #[serde(default)]
    pub undeclared: Undeclared,
    /// What the devices measure.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// The nested workload's own part.
    #[serde(default)]
    pub nested: Option<Nested>,
}

/// A name and its weight.
#[derive(Debug, Deserialize, Clone)]
pub struct Weighted {
    /// The name.
    pub id: String,
    /// Its weight among its siblings.
    pub w: f64,
}

/// The JSON keys that hold what every event has.
#[derive(Debug, Deserialize, Clone)]
pub struct Keys {
    /// Key of the tenant.
    pub tenant: String,
    /// Key of the metric's name.
    pub metric: String,
    /// Key of the event's time.
    pub time: String,
    /// Key of the device.
    pub device: String,
}

/// A kind of device and the names it has had.
#[derive(Debug, Deserialize, Clone)]
pub struct Metric {
    /// The canonical name.
    pub id: String,
    /// Weight among the metrics.
    #[serde(default)]
    pub w: f64,
    /// Names as sent; a device's firmware generation picks one.
    pub aliases: Vec<String>,
    /// What it reports.
    pub fields: Vec<Field>,
}

/// One logical field: names, representation and values.
#[derive(Debug, Deserialize, Clone)]
pub struct Field {
    /// The canonical name.
    pub id: String,
    /// Names as sent; a device's firmware generation picks one.
    pub names: Vec<String>,
    /// Representation per generation: `int`, `float` or `string`.
    #[serde(default)]
    pub types: Vec<String>,
    /// Least value.
    #[serde(default)]
    pub lo: f64,
    /// Greatest value.
    #[serde(default)]
    pub hi: f64,
    /// Decimals.
    #[serde(default)]
    pub dec: u32,
    /// Events that leave the field out.
    #[serde(default)]
    pub missing_pct: f64,
    /// Values that no cast accepts, in the string representation only.
    #[serde(default)]
    pub bad_pct: f64,
    /// Values to choose from; the choice is sticky.
    #[serde(default)]
    pub r#enum: Vec<String>,
    /// Constants of a device to choose from.
    #[serde(default)]
    pub tag: Vec<serde_json::Value>,
    /// Number of numbered constants to choose from.
    #[serde(default)]
    pub tag_count: u64,
    /// Constants of one group are chosen together.
    #[serde(default)]
    pub group: u64,
}

/// Names that nobody declares: a skewed vocabulary, and a few with a known range.
#[derive(Debug, Deserialize, Clone, Default)]
pub struct Undeclared {
    /// Size of the vocabulary.
    #[serde(default)]
    pub vocab: u64,
    /// What its names begin with.
    #[serde(default)]
    pub prefix: String,
    /// Mean number of them in an event.
    #[serde(default)]
    pub mean: f64,
    /// Names with a range of their own.
    #[serde(default)]
    pub named: Vec<Named>,
}

/// A never-declared name with a known range.
#[derive(Debug, Deserialize, Clone)]
pub struct Named {
    /// The name as sent.
    pub name: String,
    /// Share of the events that carry it.
    pub p: f64,
    /// Least value.
    pub lo: f64,
    /// Greatest value.
    pub hi: f64,
    /// Decimals.
    #[serde(default)]
    pub dec: u32,
    /// How often the number comes as text.
    #[serde(default)]
    pub string_pct: f64,
}

/// The nested workload's own part.
#[derive(Debug, Deserialize, Clone)]
pub struct Nested {
    /// Kinds of records and their weights.
    pub collections: Vec<Weighted>,
    /// Users per event; fewer than one means that users come back.
    pub users_per_event: f64,
    /// Languages of posts.
    pub langs: Vec<String>,
    /// Words of posts.
    pub words: Vec<String>,
}
