//! Reports for people and for programs: `fineo status`, `fineo capabilities`, and what a replay did.

use std::io::{self, Write};

use fineo::core::Error;
use serde::Serialize;

use crate::{
    args::{ReportArgs, SummaryFormat},
    engine::Opener,
    failure::Failure,
    output::screened,
    stop::unless_stopped,
};

/// A report in both forms.
#[derive(Debug)]
pub(crate) struct Report {
    text: String,
    json: String,
}

impl Report {
    /// A report of `value`, which for a person reads as `text`.
    pub(crate) fn new(text: String, value: &impl Serialize) -> Result<Self, Failure> {
        let json = serde_json::to_string(value)
            .map_err(|error| Error::internal("the report cannot be written as JSON").with_source(error))?;
        Ok(Self { text, json })
    }

    /// Prints the report on stdout.
    pub(crate) fn print(&self, format: SummaryFormat) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match format {
            SummaryFormat::Text => {
                for line in self.text.lines() {
                    writeln!(stdout, "{}", screened(line))?;
                }
            }
            SummaryFormat::Json => writeln!(stdout, "{}", self.json)?,
        }
        Ok(stdout.flush()?)
    }
}

/// Shows what is stored and how far the stages have come.
pub(crate) async fn status(args: &ReportArgs, opener: &Opener) -> Result<(), Failure> {
    let engine = opener.open().await?;
    let result = unless_stopped(engine.status()).await;
    engine.finish(result).await?.print(args.output)
}

/// Shows what the program and its stores can do.
pub(crate) async fn capabilities(args: &ReportArgs, opener: &Opener) -> Result<(), Failure> {
    let engine = opener.open().await?;
    let result = unless_stopped(engine.capabilities()).await;
    engine.finish(result).await?.print(args.output)
}
