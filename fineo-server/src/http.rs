//! The HTTP door: events in, SQL out, and the schema between, for whoever can speak HTTP.

pub(crate) mod answer;
mod batches;
mod body;
mod caller;
mod connection;
mod csv;
mod events;
mod framing;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod health;
mod manifests;
mod media;
mod openapi;
pub mod operator;
mod packing;
pub(crate) mod problem;
mod query;
pub mod replay;
pub mod resource;
pub mod roles;
mod room;
pub mod schema;
mod slices;
mod step;
mod strict;
mod taken;
mod unread;

pub(crate) use connection::{Peer, accept_loop};
pub use openapi::openapi;
pub(crate) use room::{Entrance, Room};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use fineo::Result;
use tokio::net::TcpListener;

use crate::{Shared, Shutdown};

/// Serves HTTP/1.1 and HTTP/2 on `listener` until `shutdown` is requested and what was under way has been answered.
///
/// # Errors
///
/// When the certificate cannot be used.
pub async fn serve(listener: TcpListener, shared: Shared, shutdown: Shutdown) -> Result<()> {
    let tls = shared.tls.as_ref().map(|tls| tls.acceptor(&["h2", "http/1.1"])).transpose()?;
    let room = Room::new(shared, Entrance::Network, shutdown.clone());
    let router = router(room.clone());
    accept_loop(listener, tls, router, &room, shutdown).await;
    Ok(())
}

/// Every route. What only the operator may do answers on its socket alone.
pub(crate) fn router(room: Room) -> Router {
    let public = Router::new()
        .route("/healthz", get(health::health))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/v1/openapi.json", get(openapi::served))
        .route("/v1/events", post(events::send))
        .route("/v1/batches", post(batches::send))
        .route("/v1/batches/{id}", get(batches::look))
        .route("/v1/query", post(query::ask))
        .route("/v1/errors", get(query::errors))
        .route("/v1/replay", post(replay::replay))
        .route("/v1/tenant", get(schema::tenant))
        .route("/v1/metrics", get(schema::metrics))
        .route("/v1/metrics/{metric}", get(schema::metric))
        .route("/v1/metrics/{metric}/fields", get(schema::fields))
        .route("/v1/schema", get(schema::export).put(schema::declare))
        .route("/v1/schema/plan", post(schema::plan))
        .route("/v1/schema/changes", post(schema::change))
        .route("/v1/schema/history", get(schema::history))
        .route("/v1/schema/history/{change}/undo", post(schema::undo))
        .route("/v1/schema/roles", get(roles::list))
        .route("/v1/schema/discovered", get(schema::discovered))
        .route("/v1/schema/suggestions", get(schema::suggestions))
        .route("/v1/schema/suggestions/{suggestion}/apply", post(schema::apply_suggestion));
    let routes = match room.entrance() {
        Entrance::Network => public,
        Entrance::Socket => public.merge(operator::routes()),
    };
    let entrance = room.entrance();
    routes
        .fallback(problem::no_such_resource)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(middleware::from_fn(move |request, next| problem::show(entrance, request, next)))
        .layer(middleware::from_fn(health::observe))
        .with_state(room)
}
