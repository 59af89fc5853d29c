//! What a pipeline is made of.

use std::{fmt, sync::Arc, time::Duration};

use fineo_core::{Archive, Clock, Entropy, NearlineStore, SchemaRepo, Stores, Stream, archive::Stage};
use fineo_schema::{Discovery, SchemaStore};

use crate::{Counters, FiledEvents, Limits, NoFiles, pipeline::Looks, retry::Retry, stage::raw::RawStage};

/// The stores that a pipeline works on. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct PipelineParts {
    /// The stream of events as they were sent.
    pub raw: Arc<dyn Stream>,
    /// The stream of records.
    pub staged: Arc<dyn Stream>,
    /// Where segments go.
    pub archive: Arc<dyn Archive>,
    /// Where rows go.
    pub nearline: Arc<dyn NearlineStore>,
    /// What files have of the rows.
    pub files: Arc<dyn FiledEvents>,
    /// Where checkpoints and leases are.
    pub repo: Arc<dyn SchemaRepo>,
    /// The tenants' schemas.
    pub schemas: SchemaStore,
    /// The names that tenants' rows bear.
    pub discovery: Discovery,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

impl PipelineParts {
    /// The parts over `stores`, whose repository has the schemas and the names. There are no files.
    pub fn new(stores: Stores, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let Stores { raw, staged, archive, nearline, repo } = stores;
        Self {
            raw,
            staged,
            archive,
            nearline,
            files: Arc::new(NoFiles),
            schemas: SchemaStore::new(Arc::clone(&repo), Arc::clone(&clock)),
            discovery: Discovery::new(Arc::clone(&repo), Arc::clone(&clock)),
            repo,
            clock,
            entropy,
        }
    }
}

/// How a pipeline works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipelineOptions {
    /// The name under which it keeps checkpoints and leases.
    pub name: String,
    /// The name of this process among the pipeline's workers; none for one by chance.
    pub owner: Option<String>,
    /// Whether no other process can work on these stores: leases are then taken over at once.
    pub is_alone: bool,
    /// Whether this process carries the stages; else others do, such as functions of AWS Lambda.
    pub runs_stages: bool,
    /// How long a lease holds that is not renewed.
    pub lease_for: Duration,
    /// A segment is cut when its deliveries have so many bytes.
    pub cut_bytes: usize,
    /// A segment is cut when its first delivery is so old.
    pub cut_after: Duration,
    /// What is behind every checkpoint is let go after this time; none keeps it.
    pub retention: Option<Duration>,
    /// How long a stop waits for what is in the streams.
    pub drain_for: Duration,
    /// How long a worker waits after a failure before it begins again at its checkpoint.
    pub restart_after: Duration,
    /// How often new shards are looked for.
    pub shards_every: Duration,
    /// The limits of what is taken in.
    pub limits: Limits,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            name: "main".to_owned(),
            owner: None,
            is_alone: true,
            runs_stages: true,
            // Another process goes on within ten seconds when one is killed.
            lease_for: Duration::from_secs(6),
            // Two segments of each stage are in memory at a time, packed: one being filled, one being written. Larger
            // ones pack hardly better: four times this is worth half a byte per event.
            cut_bytes: 8 << 20,
            cut_after: Duration::from_secs(10),
            retention: Some(Duration::ZERO),
            drain_for: Duration::from_secs(30),
            restart_after: Duration::from_secs(1),
            shards_every: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

macro_rules! with {
    ($($(#[$doc:meta])* $method:ident($field:ident: $type:ty);)+) => {
        impl PipelineOptions {
            $($(#[$doc])*
            #[must_use]
            pub fn $method(mut self, $field: $type) -> Self {
                self.$field = $field;
                self
            })+
        }
    };
}

with! {
    /// Another name for checkpoints and leases.
    with_name(name: String);
    /// This owner of leases.
    with_owner(owner: Option<String>);
    /// Whether no other process works on these stores.
    with_is_alone(is_alone: bool);
    /// Whether this process carries the stages.
    with_runs_stages(runs_stages: bool);
    /// Another time that a lease holds.
    with_lease_for(lease_for: Duration);
    /// Another size of segments.
    with_cut_bytes(cut_bytes: usize);
    /// Another age of segments.
    with_cut_after(cut_after: Duration);
    /// Another time to keep what was passed on.
    with_retention(retention: Option<Duration>);
    /// Another time for a stop to drain.
    with_drain_for(drain_for: Duration);
    /// Another wait after a failure.
    with_restart_after(restart_after: Duration);
    /// Other limits.
    with_limits(limits: Limits);
}

/// What every worker shares.
pub(crate) struct Shared {
    pub(crate) parts: PipelineParts,
    pub(crate) options: PipelineOptions,
    pub(crate) owner: String,
    pub(crate) counters: Arc<Counters>,
    pub(crate) progress: super::progress::Progress,
    pub(crate) looks: Looks,
    pub(crate) retry: Retry,
}

impl Shared {
    /// The stream that `stage` reads.
    pub(crate) fn source(&self, stage: Stage) -> &Arc<dyn Stream> {
        match stage {
            Stage::Raw => &self.parts.raw,
            Stage::Staged => &self.parts.staged,
        }
    }

    /// A stage raw whose records the staged stream carries.
    pub(crate) fn raw_stage(&self) -> RawStage {
        RawStage::new(self.options.limits.fields_max, self.parts.staged.capabilities().entry_bytes_max)
    }

    /// How often something is due: a cut, or where others wait for the lease, its renewal.
    pub(crate) fn tick(&self) -> Duration {
        let options = &self.options;
        if options.is_alone { options.cut_after } else { options.cut_after.min(options.lease_for / 3) }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("owner", &self.owner).field("options", &self.options).finish_non_exhaustive()
    }
}
