//! Commands that change or show the session only: transactions, settings, what was prepared.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use pgwire::messages::{PgWireBackendMessage as Say, startup::ParameterStatus};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    super::{command::Command, failure::Failure, prepared::Portal, source::Source},
    PgSession, Stop, Transaction,
};

impl<S: AsyncRead + AsyncWrite + Unpin + Send> PgSession<S> {
    pub(super) fn check_transaction(&self, command: Option<&Command>) -> Result<(), Failure> {
        if self.transaction == Transaction::Failed && !command.is_some_and(Command::ends_transaction) {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Failure::error("25P02", message));
        }
        Ok(())
    }

    pub(super) fn show(&self, command: &Command) -> Result<Source, Failure> {
        let Command::Show(name) = command else { return Err(Failure::error("XX000", "nothing to show")) };
        let schema = Portal::own_schema(command).ok_or_else(|| Failure::error("XX000", "nothing to show"))?;
        let rows: Vec<[String; 3]> = if name == "all" {
            self.settings.all().into_iter().map(|(name, value)| [name, value, String::new()]).collect()
        } else {
            let unknown = || Failure::error("42704", format!("unrecognized configuration parameter {name:?}"));
            vec![[self.settings.value(name).ok_or_else(unknown)?, String::new(), String::new()]]
        };
        let column = |index: usize| {
            let texts: Vec<&str> = rows.iter().map(|row| row[index].as_str()).collect();
            Arc::new(StringArray::from(texts)) as ArrayRef
        };
        let columns = (0..schema.fields().len()).map(column).collect();
        let batch = RecordBatch::try_new(schema.clone(), columns);
        let batch = batch.map_err(|error| Failure::error("XX000", error.to_string()))?;
        Ok(Source::of(schema, vec![batch]))
    }

    /// Does what changes the session only.
    pub(super) fn arrange(&mut self, command: Command) -> Result<(), Stop> {
        let tag = match command {
            Command::Begin(tag) => {
                if self.transaction == Transaction::None {
                    self.transaction = Transaction::Open;
                }
                tag
            }
            Command::Commit | Command::Rollback => {
                let is_undone = command == Command::Rollback || self.transaction == Transaction::Failed;
                self.transaction = Transaction::None;
                self.portals.clear();
                if is_undone { "ROLLBACK" } else { "COMMIT" }
            }
            Command::Savepoint(tag) => {
                if tag == "ROLLBACK" && self.transaction == Transaction::Failed {
                    self.transaction = Transaction::Open;
                }
                tag
            }
            Command::Set { name, value } => {
                let told = self.settings.set(&name, value.as_deref())?;
                self.tell(told);
                "SET"
            }
            Command::Reset(Some(name)) => {
                let told = self.settings.set(&name, None)?;
                self.tell(told);
                "RESET"
            }
            Command::Reset(None) => {
                self.settings.reset();
                "RESET"
            }
            Command::Discard => {
                self.settings.reset();
                self.statements.clear();
                self.portals.clear();
                "DISCARD ALL"
            }
            Command::Deallocate(Some(name)) => {
                let missing = || Failure::error("26000", format!("prepared statement {name:?} does not exist"));
                self.statements.remove(&name).ok_or_else(missing)?;
                "DEALLOCATE"
            }
            Command::Deallocate(None) => {
                self.statements.clear();
                "DEALLOCATE ALL"
            }
            Command::Close(Some(name)) => {
                let missing = || Failure::error("34000", format!("cursor {name:?} does not exist"));
                self.portals.remove(&name).ok_or_else(missing)?;
                "CLOSE CURSOR"
            }
            Command::Close(None) => {
                self.portals.clear();
                "CLOSE CURSOR ALL"
            }
            Command::Unlisten => "UNLISTEN",
            Command::Query | Command::Show(_) | Command::Declare { .. } | Command::Fetch { .. } => "SELECT 0",
        };
        self.complete(tag);
        Ok(())
    }

    pub(super) fn tell(&mut self, told: Option<(&'static str, String)>) {
        if let Some((name, value)) = told {
            self.link.say(Say::ParameterStatus(ParameterStatus::new(name.to_owned(), value)));
        }
    }
}
