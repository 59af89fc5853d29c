//! The words of `fineo replay`.

use clap::{Args, ValueEnum};
use fineo::core::{TenantId, Timestamp};

use super::tenant;
use crate::instant::instant;

const AFTER_HELP: &str = "\
Examples:
  fineo replay --tenant acme --stage raw                     everything, under today's schema
  fineo replay --tenant acme --stage raw --errors-only       only what was rejected, after a change that repairs it
  fineo replay --tenant acme --stage staged --metric thermostat --from 2026-01-01 --to 2026-02-01

Replay reads the archives. Events that are stored already make no second row.";

/// Send archived events through a stage again.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ReplayArgs {
    /// The tenant whose events to replay
    #[arg(long, value_parser = tenant, value_name = "T")]
    pub(crate) tenant: TenantId,

    /// The stage to run again
    #[arg(long, value_enum, value_name = "STAGE")]
    pub(crate) stage: StageName,

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

    /// How to print the summary
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: super::SummaryFormat,
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
