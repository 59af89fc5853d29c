//! Whether the server lives, whether it is ready, and what it counts.

use axum::{
    Json,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tracing::Instrument;

use super::{Entrance, Peer, Room, problem::Problem};

/// Says that the process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "the process answers")))]
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Says whether events are taken in and get through.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "ready"), (status = 503, description = "not ready; `reason` says why")))]
pub(super) async fn ready(State(room): State<Room>) -> Response {
    let shared = room.shared();
    let reason = match room.shutdown().is_requested() {
        true => Some("the server is ending".to_owned()),
        false => shared.readiness.hindrance(&shared.fineo, shared.clock.now()).await,
    };
    match reason {
        None => Json(json!({"ready": true})).into_response(),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"ready": false, "reason": reason}))).into_response()
        }
    }
}

/// What the server counts, for Prometheus. Only this machine may ask, unless the configuration says otherwise.
pub(super) async fn metrics(State(room): State<Room>, request: Request) -> Result<Response, Problem> {
    let peer = request.extensions().get::<Peer>().map(|Peer(address)| address.to_canonical());
    let is_near = peer.is_some_and(|address| address.is_loopback());
    if room.entrance() == Entrance::Network && !is_near && !room.limits().are_metrics_public {
        return Err(super::problem::no_such_resource().await);
    }
    metrics::gauge!("fineo_connections_open").set(room.shared().connections.open() as f64);
    if let Ok(status) = room.fineo().pipeline().status().await {
        for shard in &status.shards {
            if let Some(waiting) = shard.waiting {
                let labels = [("stage", shard.stage.to_string()), ("shard", shard.shard.to_string())];
                metrics::gauge!("fineo_stage_lag_positions", &labels).set(waiting as f64);
            }
        }
        metrics::gauge!("fineo_losses").set(status.losses as f64);
    }
    let text = HeaderValue::from_static("text/plain; version=0.0.4");
    Ok(([(header::CONTENT_TYPE, text)], room.metrics().render()).into_response())
}

/// Counts and traces a request by route, so that no caller's text becomes a label.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("http_request", route, status = tracing::field::Empty);
    let response = next.run(request).instrument(span.clone()).await;
    span.record("status", response.status().as_u16());
    let labels = [("route", route), ("status", response.status().as_u16().to_string())];
    metrics::counter!("fineo_http_requests_total", &labels).increment(1);
    response
}
