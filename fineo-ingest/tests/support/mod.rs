//! A pipeline over in-memory stores that outlive it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "shared by several tests, each of which uses a part"
)]

use std::{sync::Arc, time::Duration};

use arrow_array::{Array, cast::AsArray, types::TimestampMicrosecondType};
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_core::{
    Archive, MetricId, NearlineStore, SeededEntropy, SystemClock, TenantId, TimeRange,
    archive::{SegmentKind, SegmentQuery, Stage},
    nearline::{ScanRequest, SystemColumns},
};
use fineo_ingest::{Pipeline, PipelineOptions, PipelineParts, SegmentReader};
use fineo_schema::{Discovery, SchemaStore};
use futures::{StreamExt, TryStreamExt};

pub const SOON: Duration = Duration::from_secs(10);

pub fn tenant(text: &str) -> TenantId {
    TenantId::new(text).unwrap()
}

/// The stores.
#[derive(Clone)]
pub struct World {
    pub raw: MemoryStream,
    pub staged: MemoryStream,
    pub archive: MemoryArchive,
    pub nearline: MemoryNearline,
    pub repo: MemoryRepo,
}

impl World {
    pub fn new() -> Self {
        Self {
            raw: MemoryStream::new("raw", 1),
            staged: MemoryStream::new("staged", 1),
            archive: MemoryArchive::new(),
            nearline: MemoryNearline::new(),
            repo: MemoryRepo::new(),
        }
    }

    pub fn parts(&self) -> PipelineParts {
        let clock: Arc<dyn fineo_core::Clock> = Arc::new(SystemClock);
        let repo: Arc<dyn fineo_core::SchemaRepo> = Arc::new(self.repo.clone());
        PipelineParts {
            raw: Arc::new(self.raw.clone()),
            staged: Arc::new(self.staged.clone()),
            archive: Arc::new(self.archive.clone()),
            nearline: Arc::new(self.nearline.clone()),
            schemas: SchemaStore::new(Arc::clone(&repo), Arc::clone(&clock)),
            discovery: Discovery::new(Arc::clone(&repo), Arc::clone(&clock)),
            repo,
            clock,
            entropy: Arc::new(SeededEntropy::new(7)),
        }
    }

    pub async fn start(&self) -> Pipeline {
        Pipeline::start(self.parts(), PipelineOptions::default()).await.unwrap()
    }

    /// The rows of a metric, in order of time and text.
    pub async fn rows(&self, of: &str, metric: &str, names: &[&str]) -> Vec<String> {
        let request = ScanRequest::new(tenant(of), MetricId::new(metric).unwrap())
            .with_names(names.iter().copied())
            .with_system(SystemColumns { alias: true, ..SystemColumns::default() });
        let batches: Vec<_> = self.nearline.scan(request).try_collect().await.unwrap();
        let mut rows = Vec::new();
        for batch in batches {
            let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
            for row in 0..batch.num_rows() {
                let mut line = format!("{} {}", times.value(row), batch.column(1).as_string_view().value(row));
                for (index, name) in names.iter().enumerate() {
                    let cells = batch.column(2 + index).as_string_view();
                    if cells.is_valid(row) {
                        line.push_str(&format!(" {name}={}", cells.value(row)));
                    }
                }
                rows.push(line);
            }
        }
        rows.sort();
        rows
    }

    /// How many deliveries the archive holds of each stage.
    pub async fn archived(&self, of: &str) -> (usize, usize) {
        (self.archived_by(of, Stage::Raw).await, self.archived_by(of, Stage::Staged).await)
    }

    async fn archived_by(&self, of: &str, stage: Stage) -> usize {
        let mut positions = std::collections::BTreeSet::new();
        let mut segments = self.archive.segments(SegmentQuery { stage, kind: SegmentKind::Received });
        while let Some(info) = segments.next().await {
            let info = info.unwrap();
            let reader = SegmentReader::open(&self.archive, &info).await.unwrap();
            for record in reader.read(&self.archive, &tenant(of), TimeRange::ALL).await.unwrap() {
                positions.insert((info.name.shard.clone(), record.delivery.position));
            }
        }
        positions.len()
    }
}
