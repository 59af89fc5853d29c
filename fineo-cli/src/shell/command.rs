//! The shell's own commands, which begin with a backslash.

use super::{Next, Shell, say, say_error};
use crate::{
    args::Format,
    catalog::MetricEntry,
    failure::Failure,
    listing::{Listing, cell},
    sql,
};

const HELP: &str = "  \\d               tables            \\d NAME          a table's fields, types, aliases
  \\errors          what was rejected, the latest first
  \\format FORMAT   table, csv, json or ndjson
  \\timing          show times, or no longer
  \\q               leave (or Ctrl-D)

  Tab completes tables, fields and aliases. Ctrl-C cancels a statement that runs.
  A field that was never declared is text: CAST(temp AS DOUBLE) fails on what does not parse, TRY_CAST gives NULL.";

const ERRORS: &str = "SELECT received_at, stage, code, metric, message, raw FROM errors.stream \
    ORDER BY received_at DESC LIMIT 20";

impl Shell<'_> {
    /// Does what a line that begins with a backslash says.
    pub(super) async fn command(&mut self, line: &str) -> Next {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim().trim_end_matches(';').trim();
        let result = match word.trim_end_matches(';') {
            "\\q" | "\\quit" | "\\exit" => return Next::Quit,
            "\\?" | "\\h" | "\\help" => {
                say(HELP);
                Ok(())
            }
            "\\timing" => {
                self.is_timed = !self.is_timed;
                say(if self.is_timed { "timing is on" } else { "timing is off" });
                Ok(())
            }
            "\\format" => {
                self.set_format(rest);
                Ok(())
            }
            "\\errors" => {
                sql::print_one(self.engine, self.tenant.into(), ERRORS, self.style, self.is_timed).await.map(drop)
            }
            "\\d" | "\\dt" => self.describe(rest).await,
            other => {
                say(&format!("{} is no command; \\? lists them", crate::output::screened(other)));
                Ok(())
            }
        };
        match result {
            Ok(()) => {}
            Err(Failure::Failed(error)) => say_error(&error),
            Err(Failure::Stopped) => say("cancelled"),
            Err(Failure::Io(error)) => say(&format!("fineo: {error}")),
            Err(Failure::Misuse(message)) => say(&format!("fineo: {message}")),
        }
        Next::Read
    }

    async fn describe(&self, name: &str) -> Result<(), Failure> {
        let catalog = self.engine.catalog(self.tenant).await?;
        if name.is_empty() {
            return list_metrics(&catalog.metrics, self.style.format);
        }
        match catalog.metric(name.trim_matches('"')) {
            Some(metric) => list_fields(metric, self.style.format),
            None => {
                say(&format!("no table {}; \\d lists them", crate::output::screened(name)));
                Ok(())
            }
        }
    }
}

/// Prints the metrics of a tenant.
pub(crate) fn list_metrics(metrics: &[MetricEntry], format: Format) -> Result<(), Failure> {
    let mut listing = Listing::new(&["metric", "aliases", "state", "declared", "undeclared"]);
    for metric in metrics {
        let undeclared = metric.fields.iter().filter(|field| field.field_type.is_none()).count();
        listing.push([
            cell(&metric.name),
            cell(metric.aliases.join(", ")),
            cell(&metric.state),
            cell(metric.fields.len() - undeclared),
            cell(undeclared),
        ]);
    }
    listing.print(format)
}

/// Prints the fields of a metric.
pub(crate) fn list_fields(metric: &MetricEntry, format: Format) -> Result<(), Failure> {
    let mut listing = Listing::new(&["field", "type", "unit", "aliases", "state"]);
    listing.push([cell("timestamp"), cell("timestamp"), None, cell(""), cell("always")]);
    for field in &metric.fields {
        listing.push([
            cell(&field.name),
            cell(field.field_type.as_deref().unwrap_or("text")),
            field.unit.clone(),
            cell(field.aliases.join(", ")),
            cell(&field.state),
        ]);
    }
    listing.print(format)
}
