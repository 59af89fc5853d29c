//! The words of the command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use fineo::core::TenantId;

use crate::place::{AwsNames, Place};

mod backup;
mod compact;
mod ingest;
mod replay;
mod schema;
mod serve;
mod set;
pub(crate) mod slip;
mod sql;
mod token;

pub(crate) use backup::{BackupArgs, RestoreArgs};
pub(crate) use compact::CompactArgs;
pub(crate) use ingest::{EventFormat, IngestArgs, SummaryFormat};
pub(crate) use replay::{Mode, ReplayArgs, SpeedName, StageName, TierName};
pub(crate) use schema::{ApplyArgs, FieldVerb, MetricVerb, RoleVerb, SchemaArgs, SchemaVerb, UnitArgs};
pub(crate) use serve::ServeArgs;
pub(crate) use set::{IdentityName, MissingTimestampName, SetArgs, UnknownMetricName};
pub(crate) use sql::{ErrorsArgs, Format, SqlArgs};
pub(crate) use token::{TokenArgs, TokenVerb};

const AFTER_HELP: &str = "\
Start here:
  fineo demo                                               see what is special, in under a minute
  fineo ingest --tenant acme events.ndjson                 take in a file
  fineo sql --tenant acme 'SELECT * FROM thermostat'       ask
  fineo sql --tenant acme                                  ask in a shell

The exit code is 0 only when the thing was done, 1 for a failure and 2 for misuse.
RUST_LOG=fineo=debug shows on stderr what happens inside.";

/// Take in events from any fleet of devices without a schema, keep them safe, ask anything in SQL at once.
#[derive(Debug, Parser)]
#[command(name = "fineo", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// The directory that holds everything [env: FINEO_DATA_DIR] [default: ./fineo-data]
    ///
    /// What takes events in, declares something, makes a token or serves makes it when it is not there; nothing else does. One
    /// process at a time may hold it; while `fineo serve` does, the other verbs ask it.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Where it is kept: in a directory, or on AWS by the SDK's own configuration and credentials
    #[arg(long, global = true, value_enum, default_value_t, env = "FINEO_BACKEND", value_name = "BACKEND")]
    pub(crate) backend: BackendName,

    /// On AWS: what the names of streams and tables begin with
    #[arg(long, global = true, default_value = "fineo", env = "FINEO_AWS_PREFIX", value_name = "PREFIX")]
    pub(crate) aws_prefix: String,

    /// On AWS: the bucket [default: the prefix]
    #[arg(long, global = true, env = "FINEO_AWS_BUCKET", value_name = "BUCKET")]
    pub(crate) aws_bucket: Option<String>,

    /// On AWS: the delivery stream of Firehose that writes the archive [default: it is written directly]
    #[arg(long, global = true, env = "FINEO_AWS_DELIVERY", value_name = "NAME")]
    pub(crate) aws_delivery: Option<String>,

    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Where everything is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendName {
    /// One directory
    #[default]
    Local,
    /// Kinesis, DynamoDB and S3
    Aws,
}

impl Arguments {
    /// The directory that was asked for, by the option or the environment.
    pub(crate) fn chosen_directory(&self) -> Option<PathBuf> {
        let from_environment = || std::env::var_os("FINEO_DATA_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        self.data_dir.clone().or_else(from_environment)
    }

    /// Where the store is.
    pub(crate) fn place(&self) -> Place {
        match self.backend {
            BackendName::Local => Place::Directory(self.directory()),
            BackendName::Aws => Place::Aws(AwsNames {
                prefix: self.aws_prefix.clone(),
                bucket: self.aws_bucket.clone(),
                delivery: self.aws_delivery.clone().filter(|name| !name.is_empty()),
            }),
        }
    }

    /// The directory to work in.
    pub(crate) fn directory(&self) -> PathBuf {
        self.chosen_directory().unwrap_or_else(|| Path::new("fineo-data").to_owned())
    }
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Take in events from files or standard input; returns when all that was accepted can be queried
    Ingest(IngestArgs),
    /// Ask a tenant's data in SQL, or open a shell
    Sql(SqlArgs),
    /// Look at and change what a tenant's data means; nothing stored is ever rewritten
    Schema(SchemaArgs),
    /// Show the events that were rejected, and why
    Errors(ErrorsArgs),
    /// Send archived events through a stage again; never makes a second row
    Replay(ReplayArgs),
    /// Make columnar files of what was archived: answers stay, and come faster
    Compact(CompactArgs),
    /// Show a tenant's columnar tables: where other programs find them, and how large they are
    Tables(TablesArgs),
    /// Serve events in and SQL out over the network: HTTP, Postgres, Flight SQL
    Serve(ServeArgs),
    /// Make, list and revoke the tokens that open a tenant's data to the network
    Token(TokenArgs),
    /// Copy everything that was accepted so far into a new folder
    Backup(BackupArgs),
    /// Make a data directory out of a backup
    Restore(RestoreArgs),
    /// Show what is stored, and how far each stage has come
    Status(ReportArgs),
    /// Show what this program and its stores can do
    Capabilities(ReportArgs),
    /// Make the streams, tables and the bucket that --backend aws needs, where they are missing
    Bootstrap(BootstrapArgs),
    /// Look at permissions, limits and clocks of --backend aws, and say what to fix
    #[command(after_help = "Examples:\n  fineo doctor --backend aws --aws-prefix acme --aws-bucket acme-events")]
    Doctor,
    /// Make a small drifting fleet, ask it the questions that show what is special
    #[command(after_help = "Examples:\n  fineo demo\n  fineo demo --data-dir ./demo")]
    Demo,
}

impl Verb {
    /// Whether a directory in which there is no store becomes one; what only works with what is there makes none.
    pub(crate) fn creates_missing(&self) -> bool {
        match self {
            Self::Ingest(_) | Self::Serve(_) | Self::Restore(_) | Self::Bootstrap(_) | Self::Demo => true,
            Self::Schema(args) => args.verb.creates_missing(),
            Self::Token(args) => matches!(args.verb, TokenVerb::Create { .. }),
            Self::Sql(_) | Self::Errors(_) | Self::Tables(_) | Self::Status(_) | Self::Capabilities(_) => false,
            Self::Replay(_) | Self::Compact(_) | Self::Backup(_) | Self::Doctor => false,
        }
    }
}

/// Options of `fineo bootstrap`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fineo bootstrap --backend aws --aws-prefix acme --aws-bucket acme-events
  fineo bootstrap --backend aws --aws-prefix acme --aws-bucket acme-events --shards 4 --read-units 100 --write-units 2000
  fineo bootstrap --backend aws --aws-prefix acme --aws-bucket acme-events --cold-after-days 90 --cold-class GLACIER")]
pub(crate) struct BootstrapArgs {
    /// How many shards a stream gets that is made [default: capacity on demand]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) shards: Option<u32>,

    /// How many read units the table of rows gets, if it is made [default: charged by request]
    #[arg(long, value_name = "N", requires = "write_units", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) read_units: Option<u32>,

    /// How many write units it gets; a row takes four at least
    #[arg(long, value_name = "N", requires = "read_units", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) write_units: Option<u32>,

    /// After how many days archived segments move to a colder storage class [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(30..=36_500))]
    pub(crate) cold_after_days: Option<u32>,

    /// To which one: STANDARD_IA, INTELLIGENT_TIERING, GLACIER_IR, GLACIER or DEEP_ARCHIVE. Segments in the last two have to be
    /// restored before a replay reads them: fineo replay … --restore DAYS
    #[arg(long, value_name = "CLASS", default_value = "GLACIER_IR", requires = "cold_after_days")]
    pub(crate) cold_class: String,
}

/// Options of the verbs that report.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fineo status\n  fineo capabilities --output json")]
pub(crate) struct ReportArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: SummaryFormat,
}

/// Options of `fineo tables`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fineo tables --tenant acme\n  fineo tables --tenant acme --output json")]
pub(crate) struct TablesArgs {
    /// Whose tables
    #[arg(long, value_name = "T", value_parser = tenant)]
    pub(crate) tenant: TenantId,
    /// How to print them
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: SummaryFormat,
}

/// Checks a tenant id where it is typed.
fn tenant(text: &str) -> Result<TenantId, String> {
    TenantId::new(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
