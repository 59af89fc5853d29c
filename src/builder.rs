//! Puts parts together: which stores, which clock, which limits.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

#[cfg(feature = "local")]
use fineo_backend_local::{LocalDirectory, LocalOptions};
use fineo_compact::FiledRows;
use fineo_core::{
    Archive, Clock, Durability, Entropy, Error, NearlineStore, Result, SchemaRepo, Stream, SystemClock, SystemEntropy,
};
use fineo_ingest::{Limits, Pipeline, PipelineOptions, PipelineParts};
use fineo_query::{Engine, EngineParts, QueryLimits};
use fineo_schema::{Discovery, SchemaStore};
use fineo_table::{Objects, Tables};
use url::Url;

use crate::{Fineo, instance::Directory};

/// The stores of an instance.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Takes events from the edge.
    pub raw: Arc<dyn Stream>,
    /// Takes records from stage raw.
    pub staged: Arc<dyn Stream>,
    /// Keeps what the stages received.
    pub archive: Arc<dyn Archive>,
    /// Holds recent rows.
    pub nearline: Arc<dyn NearlineStore>,
    /// Holds schemas, checkpoints and leases.
    pub repo: Arc<dyn SchemaRepo>,
    /// Holds columnar files.
    pub objects: Objects,
}

/// Where the parts come from.
#[derive(Debug, Clone)]
enum Place {
    Memory,
    Local(PathBuf),
    Parts(Parts),
    #[cfg(feature = "aws")]
    Aws(Box<fineo_backend_aws::AwsOptions>),
}

/// How an instance is opened.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    place: Place,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    limits: Limits,
    pipeline: PipelineOptions,
    query: QueryLimits,
    /// Whether the directory may be one that is being restored.
    is_restoring: bool,
    creates_missing: bool,
}

impl Builder {
    fn new(place: Place) -> Self {
        Self {
            place,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
            limits: Limits::default(),
            pipeline: PipelineOptions::default(),
            query: QueryLimits::default(),
            is_restoring: false,
            creates_missing: true,
        }
    }

    /// Opens a directory that is being restored, too.
    #[cfg(feature = "local")]
    pub(crate) fn restoring(mut self) -> Self {
        self.is_restoring = true;
        self
    }

    pub(crate) fn memory() -> Self {
        Self::new(Place::Memory)
    }

    pub(crate) fn local(directory: &Path) -> Self {
        Self::new(Place::Local(directory.to_owned()))
    }

    #[cfg(feature = "aws")]
    pub(crate) fn aws(options: fineo_backend_aws::AwsOptions) -> Self {
        Self::new(Place::Aws(Box::new(options)))
    }

    pub(crate) fn parts(parts: Parts) -> Self {
        Self::new(Place::Parts(parts))
    }

    /// The directory of the instance, if it is in one.
    #[cfg(feature = "local")]
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Local(path) => Some(path),
            Place::Memory | Place::Parts(_) => None,
            #[cfg(feature = "aws")]
            Place::Aws(_) => None,
        }
    }

    /// Another source of time.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another source of chance.
    pub fn with_entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Other limits of what is taken in.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Other settings of the stages.
    pub fn with_pipeline(mut self, pipeline: PipelineOptions) -> Self {
        self.pipeline = pipeline;
        self
    }

    /// Other limits of each query.
    pub fn with_query_limits(mut self, query: QueryLimits) -> Self {
        self.query = query;
        self
    }

    /// Whether a directory in which there is no store becomes one, as it does unless this says otherwise.
    pub fn with_creates_missing(mut self, creates: bool) -> Self {
        self.creates_missing = creates;
        self
    }

    /// Opens the stores and starts the stages where they left off. After a crash, queries see all that an earlier process had
    /// accepted once [`Pipeline::wait_until_caught_up`](fineo_ingest::Pipeline::wait_until_caught_up) says so.
    ///
    /// # Errors
    ///
    /// `Unavailable` when another process has the directory (the message names it), `NotFound` when there is no store in it and none
    /// is to be made, `Invalid` when it was not restored to the end, `Corrupt` when damage keeps it from being opened,
    /// `Unsupported` when the backend is not compiled in, or a failure of a store.
    #[cfg_attr(
        not(feature = "aws"),
        expect(unused_mut, reason = "only what others share changes how the pipeline works")
    )]
    pub async fn open(mut self) -> Result<Fineo> {
        let (parts, directory, query) = match self.place {
            Place::Parts(parts) => (parts, Directory::None, self.query),
            Place::Memory => (memory_parts()?, Directory::None, self.query),
            Place::Local(path) => {
                let spill = path.join("spill");
                #[cfg(feature = "local")]
                if !self.is_restoring {
                    crate::backup::Unfinished::check(&path)?;
                }
                let (parts, directory) = local_parts(path, self.creates_missing).await?;
                let query = if self.query.spill_directory.is_none() {
                    self.query.with_spill_directory(spill)
                } else {
                    self.query
                };
                (parts, directory, query)
            }
            #[cfg(feature = "aws")]
            Place::Aws(options) => {
                let options = options.with_clock(Arc::clone(&self.clock)).with_entropy(Arc::clone(&self.entropy));
                // Other processes may work on the same streams: leases say whose shard it is.
                self.pipeline = self.pipeline.with_is_alone(false);
                // All calls of the SDK that there are to make: too much for the stack of everyone who opens an instance.
                (Box::pin(aws_parts(options)).await?, Directory::None, self.query)
            }
        };
        let limits = self.limits.carried_by([&*parts.raw, &*parts.staged]);
        let schemas = SchemaStore::new(Arc::clone(&parts.repo), Arc::clone(&self.clock));
        let discovery = if self.pipeline.is_alone { Discovery::new } else { Discovery::beside_others };
        let discovery = discovery(Arc::clone(&parts.repo), Arc::clone(&self.clock));
        let tables = Tables::new(
            parts.objects.clone(),
            Arc::clone(&parts.repo),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
        );
        let engine = Engine::new(
            EngineParts {
                nearline: Arc::clone(&parts.nearline),
                schemas: schemas.clone(),
                discovery: Arc::new(discovery.clone()),
                tables: Some(tables.clone()),
                clock: Arc::clone(&self.clock),
            },
            query,
        );
        let pipeline_parts = PipelineParts {
            raw: Arc::clone(&parts.raw),
            staged: Arc::clone(&parts.staged),
            archive: Arc::clone(&parts.archive),
            nearline: Arc::clone(&parts.nearline),
            files: Arc::new(FiledRows(tables.clone())),
            repo: Arc::clone(&parts.repo),
            schemas: schemas.clone(),
            discovery: discovery.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        };
        let pipeline = Pipeline::start(pipeline_parts, self.pipeline.with_limits(limits)).await?;
        Ok(Fineo {
            parts,
            schemas,
            discovery,
            tables,
            engine,
            pipeline,
            directory,
            clock: self.clock,
            entropy: self.entropy,
        })
    }
}

#[cfg(feature = "aws")]
async fn aws_parts(options: fineo_backend_aws::AwsOptions) -> Result<Parts> {
    let aws = fineo_backend_aws::Aws::open(options).await?;
    let (store, url) = aws.bucket().tables();
    let url = Url::parse(&url).map_err(|source| Error::internal("no URL").with_source(source))?;
    let fineo_core::Stores { raw, staged, archive, nearline, repo } = aws.stores();
    Ok(Parts {
        raw,
        staged,
        archive,
        nearline,
        repo,
        objects: Objects { store, url, durability: Durability::ZoneLoss },
    })
}

#[cfg(feature = "memory")]
fn memory_parts() -> Result<Parts> {
    use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryObjects, MemoryRepo, MemoryStream};
    let url = Url::parse("memory:///").map_err(|source| Error::internal("no URL").with_source(source))?;
    Ok(Parts {
        raw: Arc::new(MemoryStream::new("raw", 1)),
        staged: Arc::new(MemoryStream::new("staged", 1)),
        archive: Arc::new(MemoryArchive::new()),
        nearline: Arc::new(MemoryNearline::new()),
        repo: Arc::new(MemoryRepo::new()),
        objects: Objects { store: Arc::new(MemoryObjects::new()), url, durability: Durability::Volatile },
    })
}

#[cfg(not(feature = "memory"))]
fn memory_parts() -> Result<Parts> {
    Err(compiled_out("memory"))
}

#[cfg(feature = "local")]
async fn local_parts(path: PathBuf, creates_missing: bool) -> Result<(Parts, Directory)> {
    let options = LocalOptions::default().with_creates_missing(creates_missing);
    let (parts, directory) = local_parts_with(path, options).await?;
    Ok((parts, Directory::Local(directory)))
}

/// The parts of a directory that is opened with `options`.
#[cfg(feature = "local")]
pub(crate) async fn local_parts_with(path: PathBuf, options: LocalOptions) -> Result<(Parts, LocalDirectory)> {
    let open = move || {
        let directory = LocalDirectory::open(path, options)?;
        let folder = std::path::absolute(directory.objects_folder());
        let url = folder.ok().and_then(|folder| Url::from_directory_path(folder).ok());
        let url = url.ok_or_else(|| Error::invalid("the directory's path has no URL"))?;
        let parts = Parts {
            raw: directory.stream("raw", 1)?,
            staged: directory.stream("staged", 1)?,
            archive: directory.archive(),
            nearline: directory.nearline(),
            repo: directory.repo(),
            objects: Objects { store: directory.objects(), url, durability: directory.durability() },
        };
        Ok((parts, directory))
    };
    let opened = tokio::task::spawn_blocking(open).await;
    opened.map_err(|source| Error::internal("opening the directory broke off").with_source(source))?
}

#[cfg(not(feature = "local"))]
async fn local_parts(_path: PathBuf, _creates_missing: bool) -> Result<(Parts, Directory)> {
    Err(compiled_out("local"))
}

#[cfg(not(all(feature = "memory", feature = "local")))]
fn compiled_out(backend: &str) -> Error {
    Error::new(
        fineo_core::ErrorKind::Unsupported,
        "this build has no such backend: add it to the features of the crate fineo",
    )
    .with("backend", backend)
}
