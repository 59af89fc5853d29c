//! The calls of Flight SQL.

use arrow::{array::RecordBatch, datatypes::Schema, error::ArrowError, ipc::writer::IpcWriteOptions};
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, SchemaAsIpc,
    Ticket,
    decode::FlightRecordBatchStream,
    error::FlightError,
    flight_service_server::FlightService,
    sql::{
        ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
        Any, CommandGetCatalogs, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes,
        CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandStatementIngest,
        CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
        server::{FlightSqlService, PeekableFlightDataStream},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fineo::{Parameter, Session};
use futures::{Stream, StreamExt, TryStreamExt};
use prost::Message;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use super::{
    incoming::Peer,
    ingest::ingest,
    metadata, parameters,
    pump::{Answer, pumped, ready},
    seal::{Handle, Sealer, parameter_field},
    status::status,
};
use crate::{ConnectionSlot, Principal, Scope, Shared, auth::Refusal};

/// How long an answer can be fetched after it was asked for, and a prepared statement be used.
const TICKET_SECONDS: i64 = 600;
const STATEMENT_SECONDS: i64 = 3_600;

type Responded<T> = Result<Response<T>, Status>;

/// The Flight SQL door.
#[derive(Debug)]
pub(super) struct Door {
    shared: Shared,
    sealer: Sealer,
}

/// A caller, and its place among its tenant's calls.
struct Caller {
    principal: Principal,
    slot: ConnectionSlot,
}

impl Door {
    pub(super) fn new(shared: Shared) -> fineo::Result<Self> {
        let sealer = Sealer::new(&*shared.entropy)?;
        Ok(Self { shared, sealer })
    }

    /// Who makes this call, and that it may.
    async fn caller<T>(&self, request: &Request<T>, scope: Scope) -> Result<Caller, Status> {
        let principal = self.principal(request).await?;
        if !principal.scopes().allow(scope) {
            return Err(Status::permission_denied(format!("the token does not allow to {scope}")));
        }
        let slot = self.shared.connections.admit_tenant(principal.tenant());
        let slot = slot.ok_or_else(|| Status::resource_exhausted("the tenant has too many calls at a time"))?;
        Ok(Caller { principal, slot })
    }

    async fn principal<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        let peer = request.extensions().get::<Peer>().ok_or_else(|| Status::internal("a call from nowhere"))?;
        let credentials = &self.shared.credentials;
        let verified = match shown(request.metadata())? {
            Shown::Token(token) => credentials.verify_token(&token, peer.address).await,
            Shown::Password { user, token } => credentials.verify_password(&user, &token, peer.address).await,
        };
        verified.map_err(|refusal| match refusal {
            Refusal::Refused => Status::unauthenticated("the credential does not count"),
            Refusal::Throttled { .. } => Status::resource_exhausted("too many failed attempts from this address"),
            Refusal::Unavailable(_) => Status::unavailable("the credentials cannot be read now"),
        })
    }

    fn session(&self, principal: &Principal) -> Session {
        self.shared.fineo.session(principal.tenant())
    }

    fn seal(&self, handle: Handle, principal: &Principal) -> Result<Bytes, Status> {
        let seconds = if handle.is_prepared { STATEMENT_SECONDS } else { TICKET_SECONDS };
        self.sealer.seal(handle, principal, seconds, &*self.shared.clock, &*self.shared.entropy)
    }

    fn open(&self, handle: &[u8], principal: &Principal, is_prepared: bool) -> Result<Handle, Status> {
        let handle = self.sealer.open(handle, principal, &*self.shared.clock)?;
        if handle.is_prepared == is_prepared {
            Ok(handle)
        } else {
            Err(Status::not_found("no such handle, or no longer"))
        }
    }

    /// How to fetch the answer to `sql`: its columns, and a ticket.
    async fn info(
        &self,
        caller: &Caller,
        sql: String,
        parameters: Option<Vec<u8>>,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        let session = self.session(&caller.principal);
        let described = session.describe(&sql, &[]).await.map_err(|error| status(&error))?;
        let handle = self.seal(Handle { is_prepared: false, sql, parameters }, &caller.principal)?;
        let ticket = TicketStatementQuery { statement_handle: handle }.as_any().encode_to_vec();
        flight_info(&described.schema, ticket, request.into_inner())
    }

    async fn answer(&self, caller: Caller, handle: Handle) -> Responded<Answer> {
        let values: Vec<Parameter> = match &handle.parameters {
            Some(bytes) => parameters::from_bytes(bytes)?,
            None => Vec::new(),
        };
        let result = self.session(&caller.principal).query(&handle.sql, &values).await;
        let result = result.map_err(|error| status(&error))?;
        Ok(Response::new(pumped(result, caller.principal, caller.slot, &self.shared)))
    }
}

/// A credential as a call shows it.
enum Shown {
    Token(String),
    Password { user: String, token: String },
}

fn shown(metadata: &MetadataMap) -> Result<Shown, Status> {
    let missing = || Status::unauthenticated("show a token: authorization: Bearer …");
    let header = metadata.get("authorization").and_then(|header| header.to_str().ok()).ok_or_else(missing)?;
    if let Some(token) = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer ")) {
        return Ok(Shown::Token(token.trim().to_owned()));
    }
    let basic = header.strip_prefix("Basic ").or_else(|| header.strip_prefix("basic ")).ok_or_else(missing)?;
    let text = STANDARD.decode(basic.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(missing)?;
    let (user, token) = text.split_once(':').ok_or_else(missing)?;
    Ok(Shown::Password { user: user.to_owned(), token: token.to_owned() })
}

fn flight_info(schema: &Schema, ticket: Vec<u8>, descriptor: FlightDescriptor) -> Responded<FlightInfo> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo::new().try_with_schema(schema).map_err(unwritable)?;
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(descriptor)))
}

fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().map_err(unwritable)?;
    Ok(bytes)
}

fn unwritable(error: ArrowError) -> Status {
    Status::internal(format!("a schema cannot be written: {error}"))
}

fn one(batch: RecordBatch) -> Responded<Answer> {
    Ok(Response::new(ready(batch.schema(), vec![batch])))
}

const PRIMARY_KEY_COLUMNS: [&str; 5] = ["catalog_name", "db_schema_name", "table_name", "column_name", "key_name"];

#[tonic::async_trait]
impl FlightSqlService for Door {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Responded<std::pin::Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>> {
        self.principal(&request).await?;
        let token = match shown(request.metadata())? {
            Shown::Token(token) | Shown::Password { token, .. } => token,
        };
        let response = HandshakeResponse { protocol_version: 0, payload: Bytes::from(token.clone()) };
        let mut response = Response::new(futures::stream::iter([Ok(response)]).boxed());
        let header = format!("Bearer {token}").parse().map_err(|_| Status::internal("a token is no header"))?;
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        let caller = self.caller(&request, Scope::Query).await?;
        self.info(&caller, query.query, None, request).await
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Responded<Answer> {
        let caller = self.caller(&request, Scope::Query).await?;
        let handle = self.open(&ticket.statement_handle, &caller.principal, false)?;
        self.answer(caller, handle).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let caller = self.caller(&request, Scope::Query).await?;
        let described = self.session(&caller.principal).describe(&query.query, &[]).await;
        let described = described.map_err(|error| status(&error))?;
        let fields = described.parameters.into_iter().enumerate().map(|(index, known)| parameter_field(index, known));
        let parameters = Schema::new(fields.collect::<Vec<_>>());
        let handle = Handle { is_prepared: true, sql: query.query, parameters: None };
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: self.seal(handle, &caller.principal)?,
            dataset_schema: schema_bytes(&described.schema)?,
            parameter_schema: schema_bytes(&parameters)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let caller = self.caller(&request, Scope::Query).await?;
        // Nothing is kept for it.
        self.open(&query.prepared_statement_handle, &caller.principal, true).map(|_| ())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let caller = self.caller(&request, Scope::Query).await?;
        let handle = self.open(&query.prepared_statement_handle, &caller.principal, true)?;
        let data = request.into_inner().map_err(|status| FlightError::Tonic(Box::new(status)));
        let mut batches = FlightRecordBatchStream::new_from_flight_data(data);
        let mut bound = None;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|error| Status::invalid_argument(format!("unreadable parameters: {error}")))?;
            if bound.replace(parameters::to_bytes(&batch)?).is_some() {
                return Err(Status::invalid_argument("parameters are one row"));
            }
        }
        let handle = self.seal(Handle { parameters: bound, ..handle }, &caller.principal)?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        let caller = self.caller(&request, Scope::Query).await?;
        let handle = self.open(&query.prepared_statement_handle, &caller.principal, true)?;
        self.info(&caller, handle.sql, handle.parameters, request).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Responded<Answer> {
        let caller = self.caller(&request, Scope::Query).await?;
        let handle = self.open(&query.prepared_statement_handle, &caller.principal, true)?;
        self.answer(caller, handle).await
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = self.caller(&request, Scope::Ingest).await?;
        let data = request.into_inner().map_err(|status| FlightError::Tonic(Box::new(status)));
        let batches = FlightRecordBatchStream::new_from_flight_data(data);
        ingest(&self.shared, caller.principal.tenant(), &command, batches).await
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        self.caller(&request, Scope::Query).await?;
        let ticket = query.as_any().encode_to_vec();
        flight_info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, request: Request<Ticket>) -> Responded<Answer> {
        self.caller(&request, Scope::Query).await?;
        let mut builder = query.into_builder();
        builder.append(metadata::CATALOG);
        one(builder.build().map_err(Status::from)?)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        self.caller(&request, Scope::Query).await?;
        let ticket = query.as_any().encode_to_vec();
        flight_info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> Responded<Answer> {
        self.caller(&request, Scope::Query).await?;
        one(metadata::schemas(query)?)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        self.caller(&request, Scope::Query).await?;
        let ticket = query.as_any().encode_to_vec();
        flight_info(&metadata::tables_schema(query), ticket, request.into_inner())
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Responded<Answer> {
        let caller = self.caller(&request, Scope::Query).await?;
        one(metadata::tables(query, &self.session(&caller.principal)).await?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        self.caller(&request, Scope::Query).await?;
        let ticket = query.as_any().encode_to_vec();
        flight_info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, request: Request<Ticket>) -> Responded<Answer> {
        self.caller(&request, Scope::Query).await?;
        let mut builder = query.into_builder();
        metadata::TABLE_TYPES.into_iter().for_each(|kind| builder.append(kind));
        one(builder.build().map_err(Status::from)?)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        self.caller(&request, Scope::Query).await?;
        let ticket = query.as_any().encode_to_vec();
        flight_info(&query.into_builder(metadata::sql_info()).schema(), ticket, request.into_inner())
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, request: Request<Ticket>) -> Responded<Answer> {
        self.caller(&request, Scope::Query).await?;
        one(query.into_builder(metadata::sql_info()).build().map_err(Status::from)?)
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        self.caller(&request, Scope::Query).await?;
        let ticket = query.as_any().encode_to_vec();
        flight_info(&query.into_builder(metadata::type_info()).schema(), ticket, request.into_inner())
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<Ticket>,
    ) -> Responded<Answer> {
        self.caller(&request, Scope::Query).await?;
        one(query.into_builder(metadata::type_info()).build().map_err(Status::from)?)
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Responded<FlightInfo> {
        self.caller(&request, Scope::Query).await?;
        let ticket = query.as_any().encode_to_vec();
        let empty = metadata::keys(&PRIMARY_KEY_COLUMNS, &["key_sequence"]);
        flight_info(&empty.schema(), ticket, request.into_inner())
    }

    async fn do_get_primary_keys(&self, _query: CommandGetPrimaryKeys, request: Request<Ticket>) -> Responded<Answer> {
        self.caller(&request, Scope::Query).await?;
        one(metadata::keys(&PRIMARY_KEY_COLUMNS, &["key_sequence"]))
    }

    async fn do_get_fallback(
        &self,
        request: Request<Ticket>,
        message: Any,
    ) -> Responded<<Self as FlightService>::DoGetStream> {
        self.caller(&request, Scope::Query).await?;
        Err(Status::unimplemented(format!(
            "no such ticket: {}",
            message.type_url.chars().take(100).collect::<String>()
        )))
    }

    async fn do_action_fallback(&self, request: Request<Action>) -> Responded<<Self as FlightService>::DoActionStream> {
        self.caller(&request, Scope::Query).await?;
        Err(Status::unimplemented("no such action"))
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
