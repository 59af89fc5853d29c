//! The messages that prepare, bind, describe and execute, one by one.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use pgwire::{
    api::Type,
    messages::{
        PgWireBackendMessage as Say,
        data::ParameterDescription,
        extendedquery::{BindComplete, ParseComplete},
    },
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    super::{
        command::Command,
        failure::Failure,
        prepared::{Formats, Portal, Prepared, Progress},
        request::{Bind, Target},
    },
    PORTALS_MAX, PgSession, STATEMENT_BYTES_MAX, STATEMENTS_MAX, Stop,
};

impl<S: AsyncRead + AsyncWrite + Unpin + Send> PgSession<S> {
    pub(super) fn parse(&mut self, name: String, sql: String, types: Vec<u32>) -> Result<(), Stop> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(Failure::error("42P05", format!("prepared statement {name:?} already exists")).into());
        }
        self.check_length(&sql)?;
        self.statements.remove(&name);
        let others: usize = self.statements.iter().map(|(name, prepared)| name.len() + prepared.bytes()).sum();
        let bytes = name.len() + sql.len() + size_of_val(&*types);
        if self.statements.len() >= STATEMENTS_MAX || others + bytes > STATEMENT_BYTES_MAX {
            return Err(Failure::error("53400", "too many prepared statements")
                .with_hint("close some, or DEALLOCATE ALL")
                .into());
        }
        let prepared = Prepared::new(sql, types)?;
        self.check_transaction(prepared.command.as_ref())?;
        self.statements.insert(name, Arc::new(prepared));
        self.link.say(Say::ParseComplete(ParseComplete::new()));
        Ok(())
    }

    pub(super) fn statement(&self, name: &str) -> Result<Arc<Prepared>, Failure> {
        let found = self.statements.get(name).cloned();
        found.ok_or_else(|| Failure::error("26000", format!("prepared statement {name:?} does not exist")))
    }

    pub(super) async fn bind(&mut self, bind: Bind) -> Result<(), Stop> {
        let prepared = self.statement(&bind.statement)?;
        let name = bind.portal.clone();
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(Failure::error("42P03", format!("cursor {name:?} already exists")).into());
        }
        self.portals.remove(&name);
        if self.portals.len() >= PORTALS_MAX {
            return Err(Failure::error("53400", "too many portals").with_hint("close some").into());
        }
        self.check_transaction(prepared.command.as_ref())?;
        self.begin();
        let answerer = self.answerer.clone();
        let types = self.watched(prepared.parameter_types(&answerer)).await?;
        let portal = Portal::new(prepared, &types, bind)?;
        self.check_room(&name, &portal)?;
        self.portals.insert(name, portal);
        self.link.say(Say::BindComplete(BindComplete::new()));
        Ok(())
    }

    pub(super) async fn describe(&mut self, target: Target) -> Result<(), Stop> {
        self.begin();
        let answerer = self.answerer.clone();
        match target {
            Target::Statement(name) => {
                let prepared = self.statement(&name)?;
                let parameters = self.watched(prepared.parameter_types(&answerer)).await?;
                let oids = parameters.iter().map(postgres_oid).collect();
                let description = ParameterDescription::new(oids);
                let schema = self.columns(&prepared).await?;
                self.link.say(Say::ParameterDescription(description));
                self.say_columns(schema, &Formats::default());
            }
            Target::Portal(name) => {
                let Some(mut portal) = self.portals.remove(&name) else { return Err(no_portal(&name).into()) };
                self.open(&mut portal).await?;
                let schema = match &portal.progress {
                    Progress::Open(source) => Some(source.schema.clone()),
                    Progress::Ready | Progress::Done => self.columns(&portal.prepared.clone()).await?,
                };
                self.say_columns(schema, &portal.formats);
                self.portals.insert(name, portal);
            }
        }
        Ok(())
    }

    /// The columns that `prepared` gives; none where it gives no rows.
    pub(super) async fn columns(&mut self, prepared: &Arc<Prepared>) -> Result<Option<SchemaRef>, Stop> {
        match &prepared.command {
            Some(Command::Query) => {
                let answerer = self.answerer.clone();
                Ok(Some(self.watched(prepared.described(&answerer)).await?.schema.clone()))
            }
            Some(Command::Fetch { name, .. }) => Ok(self.portals.get(name).and_then(|cursor| match &cursor.progress {
                Progress::Open(source) => Some(source.schema.clone()),
                Progress::Ready | Progress::Done => cursor.prepared.promised().cloned(),
            })),
            Some(command) => Ok(Portal::own_schema(command)),
            None => Ok(None),
        }
    }

    pub(super) async fn execute(&mut self, name: &str, rows_max: Option<usize>) -> Result<(), Stop> {
        let Some(portal) = self.portals.remove(name) else { return Err(no_portal(name).into()) };
        if let Some(portal) = self.run_portal(portal, rows_max, false).await? {
            self.portals.insert(name.to_owned(), portal);
        }
        Ok(())
    }
}

fn postgres_oid(of: &Type) -> u32 {
    of.oid()
}

fn no_portal(name: &str) -> Failure {
    Failure::error("34000", format!("portal {name:?} does not exist"))
}
