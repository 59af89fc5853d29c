//! What an instance holds and how far its stages are, to be shown.

use std::fmt;

use fineo_core::{Durability, Result, on_one_line};
use serde::Serialize;

use crate::{Fineo, Parts};

/// How far an instance has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Each stage on each shard of its stream.
    pub stages: Vec<StageStatus>,
    /// Each tenant with the metrics that it has rows or errors of.
    pub tenants: Vec<TenantStatus>,
    /// How often entries were gone before they were read.
    pub losses: u64,
    /// What of the nearline store is damaged and not written again yet.
    pub damages: Vec<String>,
}

/// How far a stage has come on a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StageStatus {
    /// The stage's name.
    pub stage: String,
    /// The shard's name.
    pub shard: String,
    /// Whether everything in the shard was passed on.
    pub is_caught_up: bool,
    /// Whether what was passed on is durable and archived, too.
    pub is_checkpointed: bool,
    /// Why the stage does not go on.
    pub failure: Option<String>,
}

/// What a tenant has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TenantStatus {
    /// The tenant.
    pub tenant: String,
    /// The version of its schema.
    pub schema_version: u64,
    /// The display names of its metrics.
    pub metrics: Vec<String>,
}

impl Status {
    pub(crate) async fn of(fineo: &Fineo) -> Result<Self> {
        let pipeline = fineo.pipeline.status().await?;
        let stage = |shard: fineo_ingest::ShardStatus| StageStatus {
            stage: shard.stage.to_string(),
            shard: shard.shard.to_string(),
            is_caught_up: shard.tail <= shard.passed,
            is_checkpointed: shard.tail <= shard.checkpoint,
            failure: shard.failure,
        };
        let mut tenants = Vec::new();
        for tenant in fineo.parts.repo.tenants().await? {
            let schema = fineo.schemas.refresh(&tenant).await?;
            tenants.push(TenantStatus {
                schema_version: schema.version().0,
                metrics: schema.metrics().map(|metric| metric.name().to_string()).collect(),
                tenant: tenant.to_string(),
            });
        }
        let damages = pipeline.damages.iter().map(|damage| {
            let (tenant, metric, error) = (&damage.tenant, &damage.metric, &damage.error);
            format!("rows of tenant {tenant}, metric {metric}: {error}")
        });
        let damages = damages.collect();
        Ok(Self { stages: pipeline.shards.into_iter().map(stage).collect(), tenants, losses: pipeline.losses, damages })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            let reach = match (stage.is_caught_up, stage.is_checkpointed) {
                (true, true) => "caught up, checkpointed",
                (true, false) => "caught up, not checkpointed yet",
                (false, true | false) => "behind",
            };
            write!(f, "stage {} shard {}: {reach}", stage.stage, stage.shard)?;
            match &stage.failure {
                Some(failure) => writeln!(f, "; stopped by: {failure}")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "losses: {}", self.losses)?;
        for damage in &self.damages {
            writeln!(f, "damaged, and being written again: {}", on_one_line(damage))?;
        }
        for tenant in &self.tenants {
            let metrics = on_one_line(&tenant.metrics.join(", "));
            writeln!(f, "tenant {}: schema version {}, metrics: {metrics}", tenant.tenant, tenant.schema_version)?;
        }
        Ok(())
    }
}

/// What each store promises, and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// The version of this library.
    pub version: String,
    /// The backends that this build has.
    pub backends: Vec<String>,
    /// Each store: its role, what it is, what done changes survive, and its largest unit.
    pub stores: Vec<StoreCapabilities>,
}

/// What one store promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreCapabilities {
    /// What it is for.
    pub role: String,
    /// What it is.
    pub store: String,
    /// What done changes survive.
    pub survives: String,
    /// The most bytes or rows of one unit.
    pub unit_max: u64,
}

impl Capabilities {
    pub(crate) fn of(parts: &Parts) -> Self {
        let store = |role: &str, store: &dyn fmt::Display, survives: Durability, unit_max: u64| StoreCapabilities {
            role: role.to_owned(),
            store: store.to_string(),
            survives: survives.to_string(),
            unit_max,
        };
        let (raw, staged) = (parts.raw.capabilities(), parts.staged.capabilities());
        let (archive, nearline, repo) =
            (parts.archive.capabilities(), parts.nearline.capabilities(), parts.repo.capabilities());
        let backends =
            [("memory", cfg!(feature = "memory")), ("local", cfg!(feature = "local")), ("aws", cfg!(feature = "aws"))];
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backends: backends.iter().filter(|(_, has)| *has).map(|(name, _)| (*name).to_owned()).collect(),
            stores: vec![
                store("raw stream", &parts.raw, raw.durability, raw.entry_bytes_max as u64),
                store("staged stream", &parts.staged, staged.durability, staged.entry_bytes_max as u64),
                store("archive", &parts.archive, archive.durability, archive.segment_bytes_max),
                store("nearline store", &parts.nearline, nearline.durability, nearline.rows_max as u64),
                store("schema repository", &parts.repo, repo.durability, repo.body_bytes_max as u64),
                store("objects", &parts.objects, parts.objects.durability, u64::MAX),
            ],
        }
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "fineo {} with backends: {}", self.version, self.backends.join(", "))?;
        for store in &self.stores {
            writeln!(f, "{}: {}; a done change survives: {}", store.role, store.store, store.survives)?;
        }
        Ok(())
    }
}
