//! What an event costs on one core, over the in-memory stores:
//! `cargo run --release -p fineo-ingest --example ingest_bench [events]`.

use std::{sync::Arc, time::Duration};

use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_core::{Clock, SchemaRepo, SystemClock, SystemEntropy, TenantId};
use fineo_ingest::{ImportOptions, ImportSource, Pipeline, PipelineOptions, PipelineParts, Routing};
use fineo_schema::{Discovery, SchemaStore};

fn event(number: u64) -> String {
    let device = number % 1000;
    let timestamp = 1_700_000_000_000 + number * 10;
    let value = number % 977;
    format!(
        "{{\"metrictype\":\"thermostat\",\"timestamp\":{timestamp},\"device\":\"dev-{device:05}\",\"temp\":{}.{},\"humidity\":{},\"battery\":3.{},\"firmware\":\"2.4.1\",\"site\":\"berlin-3\",\"state\":\"heating\",\"setpoint\":21.5,\"rssi\":-{},\"seq\":{number}}}\n",
        value % 40,
        value % 10,
        value % 100,
        value % 9,
        value % 90
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> fineo_core::Result<()> {
    let count: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(500_000);
    let body: String = (0..count).map(event).collect();
    println!("{count} events, {} bytes each", body.len() as u64 / count.max(1));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let repo: Arc<dyn SchemaRepo> = Arc::new(MemoryRepo::new());
    let parts = PipelineParts {
        raw: Arc::new(MemoryStream::new("raw", 1)),
        staged: Arc::new(MemoryStream::new("staged", 1)),
        archive: Arc::new(MemoryArchive::new()),
        nearline: Arc::new(MemoryNearline::new()),
        schemas: SchemaStore::new(Arc::clone(&repo), Arc::clone(&clock)),
        discovery: Discovery::new(Arc::clone(&repo), Arc::clone(&clock)),
        repo,
        clock: Arc::clone(&clock),
        entropy: Arc::new(SystemEntropy::new()),
    };
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await?;
    let options = ImportOptions::new(Routing::Tenant(TenantId::new("acme")?));
    let begun = clock.now();
    let report = pipeline.edge().import(ImportSource::Bytes(body.into()), options, |_| {}).await?;
    let imported = clock.now();
    pipeline.wait_until_queryable(&report.token, Duration::from_secs(600)).await?;
    let queryable = clock.now();
    pipeline.stop().await?;
    let stopped = clock.now();
    let nanos = |from: fineo_core::Timestamp, to: fineo_core::Timestamp| {
        u64::try_from(to.micros() - from.micros()).unwrap_or(0) * 1000 / count.max(1)
    };
    println!(
        "imported {} ns/event, queryable {}, archived {}",
        nanos(begun, imported),
        nanos(begun, queryable),
        nanos(begun, stopped)
    );
    Ok(())
}
