//! The words of `fineo sql` and `fineo errors`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fineo::core::TenantId;

use super::tenant;

const AFTER_HELP: &str = "\
Examples:
  fineo sql --tenant acme 'SELECT * FROM thermostat ORDER BY timestamp DESC LIMIT 10'
  fineo sql --tenant acme 'SELECT avg(CAST(temp AS DOUBLE)) FROM thermostat'
  fineo sql --tenant acme --format csv -f report.sql > report.csv
  fineo sql --tenant acme                    opens a shell; \\? there lists what it knows

A field that was never declared is text: CAST it, or declare it with `fineo schema`. Results alone
go to standard output.";

/// Ask a tenant's data in SQL, or open a shell.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SqlArgs {
    /// The tenant whose data to ask
    #[arg(long, value_parser = tenant, value_name = "T")]
    pub(crate) tenant: TenantId,

    /// Ask as somebody who comes in this role: what is not granted to it is as if it were not there
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<String>,

    /// How to print the results [default: table]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// In csv, put ' before text that a spreadsheet would run as a formula
    #[arg(long)]
    pub(crate) formula_guard: bool,

    /// Read the statements from a file; `-` is standard input
    #[arg(short = 'f', long = "file", value_name = "FILE", conflicts_with = "sql")]
    pub(crate) file: Option<PathBuf>,

    /// One or more statements, separated by `;`
    #[arg(value_name = "SQL", allow_hyphen_values = true)]
    pub(crate) sql: Option<String>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for a person; control characters are escaped
    #[default]
    Table,
    /// RFC 4180 with a header row; NULL is an empty field, the empty string is ""
    Csv,
    /// One array of objects
    Json,
    /// One object on each line
    Ndjson,
    /// A Parquet file
    Parquet,
}

const AFTER_HELP_OF_ERRORS: &str = "\
Examples:
  fineo errors --tenant acme
  fineo errors --tenant acme --code timestamp_unreadable --limit 5
  fineo errors --tenant acme --all --format ndjson > rejected.ndjson

They are also a table:
  fineo sql --tenant acme 'SELECT code, count(*) FROM errors.stream GROUP BY code'
After a change of the schema that repairs them:
  fineo replay --tenant acme --stage raw --errors-only";

/// Show the events that were rejected, and why.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP_OF_ERRORS)]
pub(crate) struct ErrorsArgs {
    /// The tenant whose errors to show
    #[arg(long, value_parser = tenant, value_name = "T")]
    pub(crate) tenant: TenantId,

    /// Only errors with this reason code
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,

    /// Only errors that are not repaired yet
    #[arg(long)]
    pub(crate) open: bool,

    /// At most this many, the latest first
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: u64,

    /// All of them, in no order
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,

    /// How to print them; all but `table` show every column
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}
