//! Running a portal: rows go out as fast as the client takes them, until somebody or something stops them.

use std::{future::Future, sync::Arc};

use arrow::datatypes::SchemaRef;
use pgwire::messages::{
    PgWireBackendMessage as Say,
    data::NoData,
    extendedquery::PortalSuspended,
    response::{CommandComplete, EmptyQueryResponse},
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    super::{
        command::Command,
        failure::Failure,
        link::OUTPUT_BYTES,
        prepared::{Formats, Portal, Prepared, Progress},
        source::Source,
        types,
        values::Given,
    },
    PORTALS_MAX, PgSession, Stop, ended, server_ends,
};

impl<S: AsyncRead + AsyncWrite + Unpin + Send> PgSession<S> {
    pub(super) fn say_columns(&mut self, schema: Option<SchemaRef>, formats: &Formats) {
        self.link.say(match schema {
            Some(schema) => Say::RowDescription(types::row_description(&schema, |index| formats.of(index))),
            None => Say::NoData(NoData::new()),
        });
    }

    /// Plans what `portal` asks, where it asks anything and was not begun.
    pub(super) async fn open(&mut self, portal: &mut Portal) -> Result<(), Stop> {
        if !matches!(portal.progress, Progress::Ready) || portal.prepared.command != Some(Command::Query) {
            return Ok(());
        }
        let answerer = self.answerer.clone();
        let values = portal.values.clone();
        let prepared = Arc::clone(&portal.prepared);
        let mut source = self.watched(answerer.query(&prepared.sql, prepared.given(), values)).await?;
        if let Some(promised) = prepared.promised().filter(|promised| !is_alike(promised, &source.schema)).cloned() {
            source = self.open_as_told(&prepared, portal.values.clone(), &promised).await?;
        }
        portal.formats.check(source.schema.fields().len())?;
        portal.progress = Progress::Open(Box::new(source));
        // It was checked under its name when it was bound.
        Ok(self.check_room("", portal)?)
    }

    /// Plans what `prepared` asks with `values` of just the types that the client was told, where those that they have by
    /// themselves are wider and lead to other columns than were `promised`.
    async fn open_as_told(
        &mut self,
        prepared: &Arc<Prepared>,
        values: Vec<Given>,
        promised: &SchemaRef,
    ) -> Result<Source, Stop> {
        let changed = || {
            Failure::error("0A000", "cached plan must not change result type")
                .with_hint("the schema changed: prepare the statement again")
        };
        let answerer = self.answerer.clone();
        let told = self.watched(prepared.parameter_types(&answerer)).await?;
        let sql = types::as_told(&prepared.sql, &told).ok_or_else(changed)?;
        let mut source = self.watched(answerer.query(&sql, prepared.given(), values)).await?;
        if oids(promised) != oids(&source.schema) {
            return Err(changed().into());
        }
        // A cast may have given a column another name.
        source.schema = Arc::clone(promised);
        Ok(source)
    }

    /// Executes a portal, wholly or for `rows_max` rows. Gives back what can be executed further.
    pub(super) async fn run_portal(
        &mut self,
        mut portal: Portal,
        rows_max: Option<usize>,
        is_simple: bool,
    ) -> Result<Option<Portal>, Stop> {
        self.begin();
        let Some(command) = portal.prepared.command.clone() else {
            self.link.say(Say::EmptyQueryResponse(EmptyQueryResponse::new()));
            return Ok(Some(portal));
        };
        self.check_transaction(Some(&command))?;
        match command {
            Command::Query => {
                self.open(&mut portal).await?;
                let formats = portal.formats.clone();
                let Progress::Open(source) = &mut portal.progress else {
                    self.complete("SELECT 0");
                    return Ok(Some(portal));
                };
                if is_simple {
                    let schema = source.schema.clone();
                    self.say_columns(Some(schema), &formats);
                }
                source.resume()?;
                let (rows, is_done) = self.send(source, &formats, rows_max).await?;
                if is_done {
                    portal.progress = Progress::Done;
                    self.complete(&format!("SELECT {rows}"));
                } else {
                    self.link.say(Say::PortalSuspended(PortalSuspended::new()));
                }
            }
            Command::Declare { name, query, .. } => {
                let answerer = self.answerer.clone();
                let source =
                    self.watched(answerer.query(&query, portal.prepared.given(), portal.values.clone())).await?;
                if self.portals.len() >= PORTALS_MAX {
                    return Err(Failure::error("53400", "too many cursors").with_hint("close some").into());
                }
                let cursor = Portal::cursor(Arc::clone(&portal.prepared), source);
                self.check_room(&name, &cursor)?;
                self.portals.insert(name, cursor);
                self.complete("DECLARE CURSOR");
            }
            Command::Fetch { name, rows_max } => self.fetch(&name, rows_max, &portal.formats, is_simple).await?,
            Command::Show(_) => {
                let source = self.show(&command)?;
                if is_simple {
                    self.say_columns(Some(source.schema.clone()), &portal.formats);
                }
                let mut source = source;
                self.send(&mut source, &portal.formats.clone(), None).await?;
                self.complete("SHOW");
            }
            other => self.arrange(other)?,
        }
        Ok(Some(portal))
    }

    pub(super) async fn fetch(
        &mut self,
        name: &str,
        rows_max: Option<usize>,
        formats: &Formats,
        is_simple: bool,
    ) -> Result<(), Stop> {
        let missing = || Failure::error("34000", format!("cursor {name:?} does not exist"));
        let mut cursor = self.portals.remove(name).ok_or_else(missing)?;
        let mut rows = 0;
        if let Progress::Open(source) = &mut cursor.progress {
            if is_simple {
                let schema = source.schema.clone();
                self.say_columns(Some(schema), formats);
            }
            source.resume()?;
            (rows, _) = self.send(source, formats, rows_max).await?;
        }
        self.portals.insert(name.to_owned(), cursor);
        self.complete(&format!("FETCH {rows}"));
        Ok(())
    }

    /// Sends rows of `source`: at most `rows_max`. Says how many, and whether there are no more.
    pub(super) async fn send(
        &mut self,
        source: &mut Source,
        formats: &Formats,
        rows_max: Option<usize>,
    ) -> Result<(usize, bool), Stop> {
        let mut rows = 0;
        loop {
            while rows_max.is_none_or(|max| rows < max) && source.write(&mut self.link.output)? {
                rows += 1;
                if self.link.output.len() >= OUTPUT_BYTES {
                    self.relieve().await?;
                }
            }
            if rows_max.is_some_and(|max| rows >= max) {
                return Ok((rows, false));
            }
            if !self.watched(source.advance(|index| formats.of(index))).await? {
                return Ok((rows, true));
            }
        }
    }

    /// Sends the output, as fast as the client takes it.
    pub(super) async fn relieve(&mut self) -> Result<(), Stop> {
        let stop = self.stop.clone();
        let clock = Arc::clone(&self.shared.clock);
        tokio::select! {
            flushed = self.link.flush() => Ok(flushed?),
            () = stop.cancelled() => Err(Failure::canceled().into()),
            () = self.principal.ended(&*clock) => Err(ended().into()),
            () = &mut self.deadline => Err(timed_out().into()),
            () = &mut self.overdue => Err(server_ends().into()),
        }
    }

    /// Begins work that can be cancelled, and that has so much time.
    pub(super) fn begin(&mut self) {
        self.stop = self.cancelable.begin();
        self.deadline = match self.settings.statement_timeout() {
            Some(timeout) => self.shared.clock.sleep(timeout),
            None => Box::pin(std::future::pending()),
        };
    }

    /// Waits for `work`, unless it is cancelled, takes too long, or nobody waits for it any more.
    pub(super) async fn watched<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Stop> {
        let stop = self.stop.clone();
        let clock = Arc::clone(&self.shared.clock);
        tokio::select! {
            outcome = work => Ok(outcome?),
            () = stop.cancelled() => Err(Failure::canceled().into()),
            gone = self.link.gone() => Err(gone.into()),
            () = self.principal.ended(&*clock) => Err(ended().into()),
            () = &mut self.deadline => Err(timed_out().into()),
            () = &mut self.overdue => Err(server_ends().into()),
        }
    }

    pub(super) fn complete(&mut self, tag: &str) {
        self.link.say(Say::CommandComplete(CommandComplete::new(tag.to_owned())));
    }
}

/// Whether two answers have columns of the same names and types.
fn is_alike(one: &SchemaRef, other: &SchemaRef) -> bool {
    let names = |schema: &SchemaRef| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    names(one) == names(other) && oids(one) == oids(other)
}

/// The types of the columns of an answer.
fn oids(schema: &SchemaRef) -> Vec<u32> {
    schema.fields().iter().map(|field| types::of_field(field).oid()).collect()
}

fn timed_out() -> Failure {
    Failure::error("57014", "canceling statement due to statement timeout")
}
