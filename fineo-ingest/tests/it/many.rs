//! Many tenants at a time do not wait for each other's calls of the repository.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use fineo_backend_memory::MemoryRepo;
use fineo_core::{
    Outcome, Result, SchemaRepo, TenantId, Timestamp,
    repo::{Compared, RepoCapabilities, Subject, Version, Versioned, Write},
};
use fineo_ingest::{Pipeline, PipelineOptions};
use fineo_schema::{Discovery, SchemaStore};
use tokio::sync::Barrier;

use crate::support::{SOON, World, tenant};

/// So many tenants come in one batch.
const TENANTS: usize = 32;

/// Answers calls about tenants' schemas and names when as many are asked as there are tenants.
#[derive(Debug)]
struct Together {
    inner: MemoryRepo,
    reads: Barrier,
    changes: Barrier,
    names: Barrier,
}

impl fmt::Display for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("together")
    }
}

#[async_trait]
impl SchemaRepo for Together {
    fn capabilities(&self) -> RepoCapabilities {
        self.inner.capabilities()
    }

    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        if subject.name() == "schema/tenant" {
            self.reads.wait().await;
        }
        self.inner.latest(subject).await
    }

    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        self.inner.history(subject, first, count_max).await
    }

    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared> {
        if writes.iter().any(|write| write.subject.name() == "schema/tenant") {
            self.changes.wait().await;
        }
        self.inner.append(writes, now).await
    }

    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        if prefix.starts_with("discovery/") {
            self.names.wait().await;
        }
        self.inner.subjects(owner, prefix).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        self.inner.tenants().await
    }
}

#[tokio::test]
async fn schemas_metrics_and_names_of_many_new_tenants_are_asked_for_at_the_same_time() {
    let world = World::new();
    let options = PipelineOptions::default();
    // What came before the stages began is one batch.
    let of_idle = options.clone().with_runs_stages(false).with_drain_for(Duration::ZERO);
    let idle = Pipeline::start(world.parts(), of_idle).await.unwrap();
    let tenants: Vec<TenantId> = (0..TENANTS).map(|number| tenant(&format!("t{number}"))).collect();
    let mut receipts = Vec::new();
    for (number, tenant) in tenants.iter().enumerate() {
        let event = format!(r#"{{"metrictype":"m{number}","timestamp":{number},"v":1}}"#);
        receipts.push(idle.edge().ingest(tenant, event.into()).await.unwrap());
    }
    idle.stop().await.unwrap();

    let barrier = || Barrier::new(TENANTS);
    let repo = Together { inner: world.repo.clone(), reads: barrier(), changes: barrier(), names: barrier() };
    let repo: Arc<dyn SchemaRepo> = Arc::new(repo);
    let mut parts = world.parts();
    parts.schemas = SchemaStore::new(Arc::clone(&repo), Arc::clone(&parts.clock));
    parts.discovery = Discovery::new(repo, Arc::clone(&parts.clock));
    let pipeline = Pipeline::start(parts, options).await.unwrap();
    for receipt in receipts {
        pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    }
    for (number, tenant) in tenants.iter().enumerate() {
        assert_eq!(world.rows(tenant.as_str(), "n1", &["v"]).await, [format!("{} m{number} v=1", number * 1000)]);
    }
    pipeline.stop().await.unwrap();
}
