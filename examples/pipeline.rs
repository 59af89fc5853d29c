//! A pipeline wired by hand, with a stage of one's own beside it: `cargo run --example pipeline`.
//!
//! Every part is chosen here: replace any of the memory stores by another implementation of its trait.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fineo::{
    NearlineStore, SchemaRepo, Stage, Stream, TenantId,
    core::{SystemClock, SystemEntropy},
    ingest::{NoFiles, Pipeline, PipelineOptions, PipelineParts},
    memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream},
    query::{Engine, EngineParts, QueryLimits},
    schema::{Discovery, SchemaStore},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Arc::new(SystemClock);
    let repo: Arc<dyn SchemaRepo> = Arc::new(MemoryRepo::new());
    let nearline: Arc<dyn NearlineStore> = Arc::new(MemoryNearline::new());
    let raw: Arc<dyn Stream> = Arc::new(MemoryStream::new("raw", 2));
    let schemas = SchemaStore::new(Arc::clone(&repo), clock.clone());
    let discovery = Discovery::new(Arc::clone(&repo), clock.clone());

    // The two stages, with a worker for each shard, and the edge in front of them.
    let parts = PipelineParts {
        raw: Arc::clone(&raw),
        staged: Arc::new(MemoryStream::new("staged", 2)),
        archive: Arc::new(MemoryArchive::new()),
        nearline: Arc::clone(&nearline),
        files: Arc::new(NoFiles),
        repo,
        schemas: schemas.clone(),
        discovery: discovery.clone(),
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy::new()),
    };
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await?;

    // A stage of our own taps the raw stream: it has positions of its own and delays nobody.
    let mut taps = Vec::new();
    for shard in raw.shards().await? {
        taps.push(pipeline.tap(Stage::Raw, &shard.id, "volume").await?);
    }

    let tenants = [TenantId::new("acme")?, TenantId::new("globex")?];
    for (number, tenant) in tenants.iter().enumerate() {
        let event = |n: usize| format!("{{\"metrictype\": \"pump\", \"timestamp\": {n}, \"pressure\": {n}}}\n");
        let body: String = (0..10 * (number + 1)).map(event).collect();
        let receipt = pipeline.edge().ingest(tenant, body.into()).await?;
        pipeline.wait_until_queryable(receipt.token(), Duration::from_secs(10)).await?;
    }

    let mut bytes: BTreeMap<TenantId, usize> = BTreeMap::new();
    let mut seen = 0;
    for tap in &mut taps {
        // Each shard is read to its present end.
        while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), tap.next()).await {
            let Some(batch) = batch? else { break };
            for delivery in &batch {
                *bytes.entry(delivery.tenant.clone()).or_default() += delivery.payload.len();
                seen += 1;
            }
            if let Some(last) = batch.last() {
                tap.commit(last.position).await?;
            }
        }
    }
    println!("{seen} events passed: {bytes:?}");
    assert_eq!(seen, 30);

    let engine = Engine::new(
        EngineParts { nearline, schemas, discovery: Arc::new(discovery), tables: None, clock },
        QueryLimits::default(),
    );
    for (tenant, expected) in tenants.iter().zip(["n,total\n10,45\n", "n,total\n20,190\n"]) {
        let asked = "SELECT count(*) AS n, sum(CAST(pressure AS INT)) AS total FROM pump";
        let answer = engine.session(tenant).query(asked, &[]).await?.to_csv().await?;
        print!("{tenant}: {answer}");
        assert_eq!(answer, expected);
    }
    pipeline.stop().await?;
    Ok(())
}
