//! The words of `fineo schema set`.

use clap::{Args, ValueEnum};
use fineo::schema::RetainDays;

const AFTER_HELP: &str = "\
Examples:
  fineo schema --tenant acme set --metric-keys metrictype,type
  fineo schema --tenant acme set --timestamp-formats '%d/%m/%Y %H:%M:%S @ Europe/Rome' --timestamp-formats epoch_s
  fineo schema --tenant acme set --missing-timestamp arrival
  fineo schema --tenant acme set --metric thermostat --timestamp-aliases when,time
  fineo schema --tenant acme set --retain-days 400
  fineo schema --tenant acme set --metric thermostat --retain-days forever

A list replaces the one before; an empty one ('') takes it away.
Named formats: iso_date_time iso_instant rfc_1123 epoch_s epoch_ms epoch_us epoch_ns; else a pattern like
'%Y-%m-%d %H:%M:%S', and after ' @ ' the zone of values that carry none.";

/// Say how events are read, for the tenant or for one metric.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SetArgs {
    /// For this metric; else for the tenant
    #[arg(long, value_name = "M")]
    pub(crate) metric: Option<String>,

    /// The keys that name an event's metric, in order
    #[arg(long, value_delimiter = ',', value_name = "A,B", conflicts_with = "metric")]
    pub(crate) metric_keys: Option<Vec<String>>,

    /// How times are written; again for a second format
    #[arg(long, value_name = "F")]
    pub(crate) timestamp_formats: Option<Vec<String>>,

    /// The keys that give an event's time, in order, before `timestamp`
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub(crate) timestamp_aliases: Option<Vec<String>>,

    /// What becomes of an event whose metric is not known
    #[arg(long, value_enum, value_name = "POLICY", conflicts_with = "metric")]
    pub(crate) unknown_metric: Option<UnknownMetricName>,

    /// What becomes of an event without a time
    #[arg(long, value_enum, value_name = "POLICY")]
    pub(crate) missing_timestamp: Option<MissingTimestampName>,

    /// What makes two deliveries the same event; counts for later arrivals
    #[arg(long, value_enum, value_name = "POLICY")]
    pub(crate) identity: Option<IdentityName>,

    /// For how many days rows are kept after the day of their time, or `forever`; compaction lets older ones go, and
    /// archives keep them
    #[arg(long, value_name = "DAYS")]
    pub(crate) retain_days: Option<RetainDays>,
}

impl SetArgs {
    /// Whether nothing is to be set.
    pub(crate) fn is_empty(&self) -> bool {
        self.metric_keys.is_none()
            && self.timestamp_formats.is_none()
            && self.timestamp_aliases.is_none()
            && self.unknown_metric.is_none()
            && self.missing_timestamp.is_none()
            && self.identity.is_none()
            && self.retain_days.is_none()
    }
}

/// What becomes of an event whose metric is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnknownMetricName {
    /// The metric is created and the event accepted
    Discover,
    /// The event is rejected
    Reject,
}

/// What becomes of an event without a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissingTimestampName {
    /// It is rejected
    Reject,
    /// Its time is when it arrived
    Arrival,
}

/// What makes two deliveries the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IdentityName {
    /// The same names and values
    Content,
    /// The same key in `event_id`
    Key,
    /// Nothing: each arrival is an event
    Arrival,
}
