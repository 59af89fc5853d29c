//! The words of `fineo replay`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fineo::core::{TenantId, Timestamp};

use super::tenant;
use crate::instant::instant;

const AFTER_HELP: &str = "\
Examples:
  fineo replay --tenant acme --stage raw                     everything, under today's schema
  fineo replay --tenant acme --stage raw --errors-only       only what was rejected, after a change that repairs it
  fineo replay --tenant acme --stage raw --errors-only --where \"code = 'timestamp_unreadable'\"
  fineo replay --tenant acme --stage staged --metric thermostat --from 2026-01-01 --to 2026-02-01
  fineo replay --tenant acme --stage staged --fresh --metric thermostat      repairs a table whose files are damaged
  fineo replay --tenant acme --into ./copy --speed recorded  to another directory, as fast as they came
  fineo replay --tenant acme --stage raw --restore 7         after archived segments are back from a cold storage class

Replay reads the archives. Events that are stored already make no second row.";

/// Send archived events through a stage again.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ReplayArgs {
    /// The tenant whose events to replay
    #[arg(long, value_parser = tenant, value_name = "T")]
    pub(crate) tenant: TenantId,

    /// The stage to run again
    #[arg(long, value_enum, value_name = "STAGE", required_unless_present = "into")]
    pub(crate) stage: Option<StageName>,

    /// Make the metric's table, or all of them, anew out of the archive; it takes the place of the former at once
    #[arg(long, requires = "stage", conflicts_with_all = ["mode", "from", "to", "errors_only", "into"])]
    pub(crate) fresh: bool,

    /// Send what was received to the instance in this directory instead, in its order
    #[arg(long, value_name = "DIR", conflicts_with_all = ["stage", "mode", "metric", "errors_only"])]
    pub(crate) into: Option<PathBuf>,

    /// How fast that goes
    #[arg(long, value_enum, default_value_t, value_name = "SPEED", requires = "into", conflicts_with = "stage")]
    pub(crate) speed: SpeedName,

    /// Which schema to read the events with
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub(crate) mode: Mode,

    /// Only events of this metric
    #[arg(long, value_name = "M")]
    pub(crate) metric: Option<String>,

    /// Only events that arrived at this time or later
    #[arg(long, value_parser = instant, allow_hyphen_values = true, value_name = "T")]
    pub(crate) from: Option<Timestamp>,

    /// Only events that arrived before this time
    #[arg(long, value_parser = instant, allow_hyphen_values = true, value_name = "T")]
    pub(crate) to: Option<Timestamp>,

    /// Only events that have an error which is not repaired
    #[arg(long)]
    pub(crate) errors_only: bool,

    /// Of those only the ones for which this condition over the columns of errors.stream holds
    #[arg(long = "where", value_name = "SQL", requires = "errors_only")]
    pub(crate) predicate: Option<String>,

    /// Have the store restore what is in a cold storage class, for so many days, and wait for it, which takes hours
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub(crate) restore: Option<u32>,

    /// At which pace it comes back
    #[arg(long, value_enum, default_value_t, value_name = "TIER", requires = "restore")]
    pub(crate) restore_tier: TierName,

    /// How to print the summary
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: super::SummaryFormat,
}

/// How fast archived events are sent to another instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpeedName {
    /// As fast as it takes them
    #[default]
    Fastest,
    /// As they arrived
    Recorded,
}

/// At which pace cold segments come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TierName {
    /// Within hours
    #[default]
    Standard,
    /// Within half a day or two days, for the least money
    Bulk,
    /// Within minutes; not from the deepest class
    Expedited,
}

/// A stage of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StageName {
    /// Events as sent become records
    Raw,
    /// Records become rows
    Staged,
}

/// Which schema a replay uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// The schema of today
    #[default]
    ReDerive,
    /// The schema versions that were recorded then
    AsRecorded,
}
