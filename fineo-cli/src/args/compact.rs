//! The words of `fineo compact`.

use std::num::{NonZeroU32, NonZeroUsize};

use clap::Args;
use fineo::core::TenantId;

use super::{SummaryFormat, tenant};

const AFTER_HELP: &str = "\
Examples:
  fineo compact                                every tenant's new records
  fineo compact --tenant acme --output json
  fineo compact --watch --every 60             again every minute, until it is stopped
  fineo compact --rewrite                      days of an earlier schema, too

Running it again is always safe. Rows stay nearline for a day, so that what is sent again is recognised.";

/// Make columnar files of what was archived.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CompactArgs {
    /// Only this tenant's records
    #[arg(long, value_parser = tenant, value_name = "T")]
    pub(crate) tenant: Option<TenantId>,

    /// Go on until stopped
    #[arg(long)]
    pub(crate) watch: bool,

    /// How many seconds lie between two runs of --watch
    #[arg(long, default_value_t = 60, value_name = "SECONDS", requires = "watch")]
    pub(crate) every: u64,

    /// Write days anew whose files are of an earlier schema
    #[arg(long)]
    pub(crate) rewrite: bool,

    /// So many megabytes of records are held in memory [default: 128]
    #[arg(long, value_name = "MB")]
    pub(crate) memory: Option<NonZeroUsize>,

    /// The level of zstd [default: 3]
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=22))]
    pub(crate) zstd_level: Option<i32>,

    /// So many hours rows stay in the nearline store after they were compacted [default: 24]
    #[arg(long, value_name = "HOURS")]
    pub(crate) keep_nearline: Option<u32>,

    /// So many days the archive keeps what the stages received, where files have it [default: for ever]
    #[arg(long, value_name = "DAYS", conflicts_with = "tenant")]
    pub(crate) archive_retain: Option<NonZeroU32>,

    /// How to print what was done
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: SummaryFormat,
}
