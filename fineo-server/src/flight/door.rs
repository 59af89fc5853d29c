//! Who calls, what its handles stand for, and how answers are told.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::Schema, error::ArrowError, ipc::writer::IpcWriteOptions};
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket,
    sql::{ProstMessageExt, TicketStatementQuery},
};
use bytes::Bytes;
use fineo::{Parameter, Session};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{
    credential::{Shown, shown},
    incoming::Peer,
    parameters,
    pump::{Answer, pumped, ready},
    seal::{Handle, Sealer},
    status::status,
    unpacking::Unpacking,
};
use crate::{ConnectionSlot, Principal, Scope, Shared, auth::Refusal, paging};

/// How long an answer can be fetched after it was asked for, and a prepared statement be used.
const TICKET_SECONDS: i64 = 600;

const STATEMENT_SECONDS: i64 = 3_600;

pub(super) type Responded<T> = Result<Response<T>, Status>;

/// The Flight SQL door.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) shared: Shared,
    pub(super) unpacking: Unpacking,
    sealer: Sealer,
}

/// A caller, and its place among its tenant's calls.
pub(super) struct Caller {
    pub(super) principal: Principal,
    slot: ConnectionSlot,
}

impl Door {
    pub(super) fn new(shared: Shared) -> fineo::Result<Self> {
        let sealer = Sealer::new(&*shared.entropy)?;
        // The door is as patient with a client as clients are to be with each other.
        let unpacking = Unpacking::new(Arc::clone(&shared.clock), shared.limits.stall_max);
        Ok(Self { shared, unpacking, sealer })
    }

    /// Who makes this call, and that it may.
    pub(super) async fn caller<T>(&self, request: &Request<T>, scope: Scope) -> Result<Caller, Status> {
        let principal = self.principal(request).await?;
        if !principal.scopes().allow(scope) {
            return Err(Status::permission_denied(format!("the token does not allow to {scope}")));
        }
        let slot = self.shared.connections.admit_tenant(principal.tenant());
        let slot = slot.ok_or_else(|| Status::resource_exhausted("the tenant has too many calls at a time"))?;
        Ok(Caller { principal, slot })
    }

    pub(super) async fn principal<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        let peer = request.extensions().get::<Peer>().ok_or_else(|| Status::internal("a call from nowhere"))?;
        let credentials = &self.shared.credentials;
        let verified = match shown(request.metadata())? {
            Shown::Token(token) => credentials.verify_token(&token, peer.address).await,
            Shown::Password { user, token } => credentials.verify_password(&user, &token, peer.address).await,
        };
        if verified.is_ok() {
            drop(peer.activity.begin());
        }
        verified.map_err(|refusal| match refusal {
            Refusal::Refused => Status::unauthenticated("the credential does not count"),
            Refusal::Throttled { .. } => Status::resource_exhausted("too many failed attempts from this address"),
            Refusal::Unavailable(error) => {
                tracing::error!(error = ?error, "the credentials cannot be read");
                Status::unavailable("the credentials cannot be read now")
            }
        })
    }

    pub(super) fn session(&self, principal: &Principal) -> Session {
        principal.session(&self.shared.fineo)
    }

    pub(super) fn seal(&self, handle: Handle, principal: &Principal) -> Result<Bytes, Status> {
        let seconds = if handle.is_prepared { STATEMENT_SECONDS } else { TICKET_SECONDS };
        self.sealer.seal(handle, principal, seconds, &*self.shared.clock, &*self.shared.entropy)
    }

    pub(super) fn open(&self, handle: &[u8], principal: &Principal, is_prepared: bool) -> Result<Handle, Status> {
        let handle = self.sealer.open(handle, principal, &*self.shared.clock)?;
        if handle.is_prepared == is_prepared {
            Ok(handle)
        } else {
            Err(Status::not_found("no such handle, or no longer"))
        }
    }

    /// How to fetch the answer to `sql`: its columns, and a ticket.
    pub(super) async fn info(
        &self,
        caller: &Caller,
        sql: String,
        parameters: Option<Vec<u8>>,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        let session = self.session(&caller.principal);
        let schema = match &parameters {
            // Values have types of their own, and what is answered depends on them: it is planned as it will be.
            Some(bytes) => {
                let values = parameters::from_bytes(bytes)?;
                session.check_count(&sql, values.len()).map_err(|error| status(&error))?;
                let planned = session.query(&sql, &values).await;
                Arc::clone(planned.map_err(|error| status(&error))?.schema())
            }
            None => session.describe(&sql, &paging::types(&sql, &[])).await.map_err(|error| status(&error))?.schema,
        };
        let handle = self.seal(Handle { is_prepared: false, sql, parameters }, &caller.principal)?;
        let ticket = TicketStatementQuery { statement_handle: handle }.as_any().encode_to_vec();
        flight_info(&schema, ticket, request.into_inner())
    }

    pub(super) async fn answer(&self, caller: Caller, handle: Handle) -> Responded<Answer> {
        let values: Vec<Parameter> = match &handle.parameters {
            Some(bytes) => parameters::from_bytes(bytes)?,
            None => Vec::new(),
        };
        let session = self.session(&caller.principal);
        if handle.parameters.is_some() {
            session.check_count(&handle.sql, values.len()).map_err(|error| status(&error))?;
        }
        let result = session.query(&handle.sql, &values).await;
        let result = result.map_err(|error| status(&error))?;
        Ok(Response::new(pumped(result, caller.principal, caller.slot, &self.shared)))
    }
}

pub(super) fn flight_info(schema: &Schema, ticket: Vec<u8>, descriptor: FlightDescriptor) -> Responded<FlightInfo> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo::new().try_with_schema(schema).map_err(unwritable)?;
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(descriptor)))
}

pub(super) fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().map_err(unwritable)?;
    Ok(bytes)
}

fn unwritable(error: ArrowError) -> Status {
    Status::internal(format!("a schema cannot be written: {error}"))
}

pub(super) fn one(batch: RecordBatch) -> Responded<Answer> {
    Ok(Response::new(ready(batch.schema(), vec![batch])))
}
