//! Puts doors on an instance that a program already has: a Postgres door in front of events in memory.
//!
//! `cargo run -p fineo-server --example doors -- 127.0.0.1:5433` prints what to connect with and serves until it is
//! interrupted.

#![allow(clippy::unwrap_used, reason = "an example that cannot go on has failed")]

use std::sync::Arc;

use fineo::{
    Fineo, TenantId,
    core::{SystemClock, SystemEntropy},
    schema::Change,
};
use fineo_server::{Credentials, DoorLimits, Scope, Scopes, Shared, Shutdown, auth::TokenRequest, flight, pg};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> fineo::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5433".to_owned());
    let fineo = Fineo::memory().open().await?;
    let tenant = TenantId::new("acme")?;
    let mut events = String::new();
    for minute in 0..2_000 {
        let device = minute % 7;
        let temp = 20.0 + f64::from(minute % 13) / 4.0;
        events.push_str(&format!(
            "{{\"metrictype\":\"thermostat\",\"timestamp\":{},\"device\":\"d{device}\",\"temp\":{temp},\"on\":true}}\n",
            1_767_225_600_000_i64 + i64::from(minute) * 60_000
        ));
    }
    let receipt = fineo.ingest(&tenant, events).await?;
    fineo.wait_until_queryable(&receipt).await?;
    let field = |name: &str, field_type: &str| Change::AddField {
        metric: "thermostat".to_owned(),
        name: name.to_owned(),
        field_type: field_type.to_owned(),
        aliases: Vec::new(),
        unit: None,
    };
    fineo.schema(&tenant).apply(vec![field("temp", "double"), field("on", "boolean")]).await?;

    let repo = Arc::clone(&fineo.parts().repo);
    let credentials = Credentials::open(repo, Arc::new(SystemClock), Arc::new(SystemEntropy::new())).await?;
    let request = TokenRequest {
        tenant,
        scopes: Scopes::from_iter([Scope::Query, Scope::Ingest]),
        role: None,
        expires_at: None,
        note: "an example".to_owned(),
    };
    let (token, _) = credentials.create(request).await?;
    let shared = Shared::new(Arc::new(fineo), Arc::new(credentials), DoorLimits::default(), None);
    let listener = TcpListener::bind(&address).await.unwrap();
    println!("psql 'postgresql://acme:{}@{address}/fineo'", token.reveal());
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        tokio::signal::ctrl_c().await.unwrap();
        stop.request();
    });
    let flight_address = std::env::args().nth(2).unwrap_or_else(|| "127.0.0.1:50051".to_owned());
    let flight_listener = TcpListener::bind(&flight_address).await.unwrap();
    println!("grpc://{flight_address}");
    let doors = tokio::join!(
        pg::serve(listener, shared.clone(), shutdown.clone()),
        flight::serve(flight_listener, shared, shutdown),
    );
    doors.0.and(doors.1)
}
