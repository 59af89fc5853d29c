//! The words of `fineo backup` and `fineo restore`.

use std::path::PathBuf;

use clap::Args;

use super::SummaryFormat;

/// Copy everything that was accepted so far into a new folder: archives, schemas, tables, errors.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fineo backup --to /backups/2026-11-25
  fineo backup --to /backups/2026-11-25 --output json

Others may go on working meanwhile. A folder without `backup.json`, which is written last, is no backup.")]
pub(crate) struct BackupArgs {
    /// The folder, which is new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,

    /// How to print what was done
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: SummaryFormat,
}

/// Make a data directory out of a backup; every file is compared with its checksum first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fineo restore --from /backups/2026-11-25 --data-dir ./restored

The data directory is new or empty. When it fails, remove the directory and begin again.")]
pub(crate) struct RestoreArgs {
    /// The folder that `fineo backup` made
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,

    /// How to print what was done
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: SummaryFormat,
}
