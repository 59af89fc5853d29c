//! The words of `fineo ingest`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use fineo::core::TenantId;

use super::tenant;

const AFTER_HELP: &str = "\
Examples:
  fineo ingest --tenant acme events.ndjson more.json.gz readings.csv.zst
  gunzip -c old.json.gz | fineo ingest --tenant acme -
  fineo ingest --tenant acme --metric air_quality AirQuality.csv
  fineo ingest --tenant-field customer mixed.ndjson
  fineo ingest --tenant acme s3://acme-drops/2026/01/ s3://acme-drops/extra.csv.gz

An event is a JSON object, such as {\"metrictype\":\"thermostat\",\"timestamp\":1700000000000,\"temp\":21},
or a row of a CSV file with a header row. Nothing need be declared. Rejected events do not fail the
import: they are counted, and `fineo errors --tenant T` shows them. Taking in a file again adds
nothing: its events are known.";

/// Take in events from files or standard input.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, group = ArgGroup::new("whose").required(true))]
pub(crate) struct IngestArgs {
    /// The tenant whose events these are
    #[arg(long, group = "whose", value_parser = tenant, value_name = "T")]
    pub(crate) tenant: Option<TenantId>,

    /// The key of each event that names its tenant; it is then not a field
    #[arg(long, group = "whose", value_name = "KEY")]
    pub(crate) tenant_field: Option<String>,

    /// What the files hold [default: csv for *.csv, else json]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<EventFormat>,

    /// The metric of the events that name none
    #[arg(long, value_name = "M")]
    pub(crate) metric: Option<String>,

    /// How to print the summary
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: SummaryFormat,

    /// Files, plain or compressed with gzip or zstd; `-` or none is standard input; s3://BUCKET/KEY is an object or a
    /// folder of objects, where AWS is compiled in
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormat {
    /// Objects, arrays of objects, or objects that follow one another
    Json,
    /// Rows below a header row
    Csv,
}

/// How the summary is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SummaryFormat {
    /// For a person
    #[default]
    Text,
    /// One JSON object on one line
    Json,
}
