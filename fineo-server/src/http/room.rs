//! What every handler works on.

use std::sync::Arc;

use fineo::Fineo;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{DoorLimits, Shared, Shutdown, telemetry};

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// From anywhere, with a token.
    Network,
    /// Through the socket that the operator alone can open.
    Socket,
}

/// What every handler works on. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Room {
    shared: Shared,
    entrance: Entrance,
    shutdown: Shutdown,
    metrics: PrometheusHandle,
}

impl Room {
    pub(crate) fn new(shared: Shared, entrance: Entrance, shutdown: Shutdown) -> Self {
        Self { shared, entrance, shutdown, metrics: telemetry::metrics() }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn fineo(&self) -> &Arc<Fineo> {
        &self.shared.fineo
    }

    pub(crate) fn limits(&self) -> &DoorLimits {
        &self.shared.limits
    }

    pub(crate) fn entrance(&self) -> Entrance {
        self.entrance
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    pub(crate) fn metrics(&self) -> &PrometheusHandle {
        &self.metrics
    }
}
