//! A pipeline whose schema is changed and whose archive is replayed.

use fineo_core::{Cover, Stream, archive::Stage};
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, ReplayMode, ReplayReport, ReplayRequest};
use fineo_schema::{Change, ChangeId, ChangeRequest, SchemaStore};

use crate::support::{SOON, World, tenant};

/// A pipeline, and the number of its next change.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) pipeline: Pipeline,
    schemas: SchemaStore,
    changes: u8,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        Self::over(World::new(), 0).await
    }

    /// A process over what another one left.
    async fn over(world: World, changes: u8) -> Self {
        let parts = world.parts();
        let schemas = parts.schemas.clone();
        let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
        Self { world, pipeline, schemas, changes }
    }

    /// The process dies, with every row that no disk had, and another one begins.
    pub(crate) async fn killed(self) -> Self {
        let Self { world, pipeline, changes, .. } = self;
        drop(pipeline);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        world.nearline.crash();
        let desk = Self::over(world, changes).await;
        desk.pipeline.drain(SOON).await.unwrap();
        desk
    }

    /// The process ends in good order, and another one begins.
    pub(crate) async fn restarted(self) -> Self {
        let Self { world, pipeline, changes, .. } = self;
        pipeline.stop().await.unwrap();
        Self::over(world, changes).await
    }

    pub(crate) async fn apply(&mut self, change: Change) {
        self.changes += 1;
        let request = ChangeRequest::new(ChangeId::of_bytes([self.changes; 16]), vec![change]);
        self.schemas.apply(&tenant("acme"), request).await.unwrap();
    }

    /// Deletes a metric with all that was accepted.
    pub(crate) async fn delete(&mut self, metric: &str) {
        let through = self.accepted().await;
        self.apply(Change::DeleteMetric { metric: metric.to_owned(), through }).await;
    }

    /// Deletes a field with all that was accepted.
    pub(crate) async fn delete_field(&mut self, metric: &str, field: &str) {
        let through = self.accepted().await;
        self.apply(Change::DeleteField { metric: metric.to_owned(), field: field.to_owned(), through }).await;
    }

    /// Up to where the staged stream has what was accepted.
    async fn accepted(&self) -> Cover {
        self.pipeline.drain(SOON).await.unwrap();
        let mut through = Cover::default();
        for shard in self.world.staged.shards().await.unwrap() {
            let tail = self.world.staged.tail(&shard.id).await.unwrap();
            if let Some(tail) = tail {
                through.advance(&shard.id, tail);
            }
        }
        through
    }

    pub(crate) async fn ingest(&self, events: &str) {
        let receipt = self.pipeline.edge().ingest(&tenant("acme"), events.to_owned().into()).await.unwrap();
        self.pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    }

    /// Replays everything in both modes; answers how many rows are new.
    pub(crate) async fn replay(&self) -> u64 {
        let mut rows = 0;
        for mode in [ReplayMode::ReDerive, ReplayMode::AsRecorded] {
            rows += self.replay_of(ReplayRequest::new(Stage::Raw, tenant("acme")).with_mode(mode)).await.rows;
        }
        rows
    }

    pub(crate) async fn replay_of(&self, request: ReplayRequest) -> ReplayReport {
        self.pipeline.replay(request, &NoFiles).await.unwrap()
    }

    /// The names of the metrics there are.
    pub(crate) async fn metrics(&self) -> Vec<String> {
        let schema = self.schemas.refresh(&tenant("acme")).await.unwrap();
        schema.metrics().map(|metric| metric.name().to_string()).collect()
    }
}
