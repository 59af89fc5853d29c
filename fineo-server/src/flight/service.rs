//! The calls of Flight SQL.

use arrow::datatypes::Schema;
use arrow_flight::{
    Action, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, Ticket,
    flight_service_server::FlightService,
    sql::{
        ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
        Any, CommandGetCatalogs, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes,
        CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate,
        CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult,
        ProstMessageExt, SqlInfo, TicketStatementQuery,
        server::{FlightSqlService, PeekableFlightDataStream},
    },
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::{
    credential::{Shown, shown},
    door::{Door, Responded, flight_info, one, schema_bytes},
    ingest::ingest,
    metadata, parameters,
    pump::Answer,
    received::batches,
    seal::{Handle, parameter_field},
    status::status,
};
use crate::{Scope, paging};

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
        let described = self.session(&caller.principal).describe(&query.query, &paging::types(&query.query, &[])).await;
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
        let mut rows = batches(request.into_inner(), &self.unpacking, caller.principal.tenant());
        let mut bound = None;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if bound.replace(parameters::to_bytes(&batch)?).is_some() {
                return Err(Status::invalid_argument("parameters are one row: ask once for each"));
            }
        }
        let handle = self.seal(Handle { parameters: bound, ..handle }, &caller.principal)?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) })
    }

    async fn do_put_prepared_statement_update(
        &self,
        _query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.caller(&request, Scope::Query).await?;
        Err(no_update())
    }

    async fn do_put_statement_update(
        &self,
        _query: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.caller(&request, Scope::Query).await?;
        Err(no_update())
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
        let rows = batches(request.into_inner(), &self.unpacking, caller.principal.tenant());
        ingest(&self.shared, &caller.principal, &command, rows).await
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

/// The answer to a statement that is to change something, as drivers send it for `executemany` and for ingest without a table.
fn no_update() -> Status {
    Status::unimplemented(
        "statements only read here, each asked for its rows with at most one row of parameters (no executemany, no \
         executeUpdate): events come in by bulk ingest, which names its table, the metric",
    )
}
