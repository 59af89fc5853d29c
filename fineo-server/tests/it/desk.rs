//! Doors on loopback, in front of two tenants in memory.

use std::{net::SocketAddr, sync::Arc};

use fineo::{
    Fineo, TenantId,
    core::{SystemClock, SystemEntropy},
    schema::Change,
};
use fineo_server::{
    Credentials, DoorLimits, Scope, Scopes, Shared, Shutdown,
    auth::{TokenId, TokenRequest},
    flight, pg,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// The doors, and who may come in.
pub(crate) struct Desk {
    pub(crate) pg: SocketAddr,
    pub(crate) flight: SocketAddr,
    /// Of `acme`, who may query and ingest.
    pub(crate) token: String,
    pub(crate) token_id: TokenId,
    /// Of `rival`.
    pub(crate) rival: String,
    pub(crate) shared: Shared,
    /// Held, so that the doors stay open.
    pub(crate) shutdown: Shutdown,
    pub(crate) doors: JoinHandle<()>,
}

const THERMOSTAT: &str = r#"{"metrictype":"thermostat","timestamp":"2026-01-05T08:00:00Z","device":"t-01","temp":20.5,"price":"1.10","on":true,"raw":"{\"a\":1}","n":7,"day":"2026-02-28","blob":"AQID"}
{"metrictype":"thermostat","timestamp":"2026-01-05T08:30:00.123456Z","device":"t-02","temp":21.5,"on":false,"n":8}
{"metrictype":"thermostat","timestamp":"2026-01-05T09:00:00Z","device":"t-03"}"#;
const CANARY: &str = r#"{"metrictype":"canary","timestamp":"2026-01-05T08:00:00Z","secret":"tweet"}"#;

impl Desk {
    pub(crate) async fn open() -> Self {
        Self::with_limits(DoorLimits::default()).await
    }

    pub(crate) async fn with_limits(limits: DoorLimits) -> Self {
        Self::over(Fineo::memory().open().await.unwrap(), limits).await
    }

    /// Doors over `fineo`, which knows no tenant yet.
    pub(crate) async fn over(fineo: Fineo, limits: DoorLimits) -> Self {
        let [acme, rival] = ["acme", "rival"].map(|name| TenantId::new(name).unwrap());
        for (tenant, events) in [(&acme, THERMOSTAT), (&rival, CANARY)] {
            let receipt = fineo.ingest(tenant, events).await.unwrap();
            assert!(receipt.rejected().is_empty(), "{:?}", receipt.rejected());
            fineo.wait_until_queryable(&receipt).await.unwrap();
        }
        let types = [
            ("temp", "double"),
            ("price", "decimal(10,2)"),
            ("on", "boolean"),
            ("raw", "json"),
            ("n", "long"),
            ("day", "date"),
            ("blob", "bytes"),
        ];
        let field = |(name, field_type): (&str, &str)| Change::AddField {
            metric: "thermostat".to_owned(),
            name: name.to_owned(),
            field_type: field_type.to_owned(),
            aliases: Vec::new(),
            unit: None,
        };
        fineo.schema(&acme).apply(types.map(field).into()).await.unwrap();
        let repo = Arc::clone(&fineo.parts().repo);
        let credentials = Credentials::open(repo, Arc::new(SystemClock), Arc::new(SystemEntropy::new())).await.unwrap();
        let token = async |tenant: &TenantId| {
            let scopes = Scopes::from_iter([Scope::Query, Scope::Ingest]);
            let request =
                TokenRequest { tenant: tenant.clone(), scopes, role: None, expires_at: None, note: String::new() };
            credentials.create(request).await.unwrap().0
        };
        let [acme, rival] = [token(&acme).await, token(&rival).await];
        let shared = Shared::new(Arc::new(fineo), Arc::new(credentials), limits, None);
        let shutdown = Shutdown::new();
        let listeners =
            [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let [pg, flight] = [listeners[0].local_addr().unwrap(), listeners[1].local_addr().unwrap()];
        let [pg_listener, flight_listener] = listeners;
        let doors = tokio::spawn({
            let (shared, shutdown) = (shared.clone(), shutdown.clone());
            async move {
                let doors = tokio::join!(
                    pg::serve(pg_listener, shared.clone(), shutdown.clone()),
                    flight::serve(flight_listener, shared, shutdown),
                );
                doors.0.unwrap();
                doors.1.unwrap();
            }
        });
        let (token, token_id) = (acme.reveal().to_owned(), acme.id().clone());
        Self { pg, flight, token, token_id, rival: rival.reveal().to_owned(), shared, shutdown, doors }
    }
}
