//! Stores with events in them, and engines that see some of them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_compact::{CompactOptions, Compactor, CompactorParts, FiledRows};
use fineo_conformance::fault::{Faults, FaultyArchive, FaultyNearline, FaultyObjects, FaultyRepo, FaultyStream};
use fineo_core::{
    Clock, Durability, Entropy, Result, SchemaRepo, SeededEntropy, SystemClock, TenantId, archive::Stage,
};
use fineo_ingest::{Pipeline, PipelineOptions, PipelineParts, ReplayMode, ReplayRequest};
use fineo_query::{Engine, EngineParts, QueryLimits};
use fineo_schema::{Change, ChangeId, ChangeRequest, Discovery, SchemaStore};
use fineo_table::{Objects, Tables};
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, memory::InMemory, path::Path,
};

pub(crate) fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// The stores of an instance, and who looks at them.
#[derive(Clone)]
pub(crate) struct World {
    raw: MemoryStream,
    staged: MemoryStream,
    archive: MemoryArchive,
    nearline: MemoryNearline,
    repo: MemoryRepo,
    pub(crate) objects: Arc<CountedObjects>,
    pub(crate) tables: Tables,
    clock: Arc<dyn Clock>,
    entropy: Arc<SeededEntropy>,
}

impl World {
    pub(crate) fn new() -> Self {
        let repo = MemoryRepo::new();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy = Arc::new(SeededEntropy::new(11));
        let objects = Arc::new(CountedObjects::default());
        let tables = tables(&objects, &repo, &clock, &entropy);
        Self {
            raw: MemoryStream::new("raw", 1),
            staged: MemoryStream::new("staged", 1),
            archive: MemoryArchive::new(),
            nearline: MemoryNearline::new(),
            repo,
            objects,
            tables,
            clock,
            entropy,
        }
    }

    /// The same stores with nothing cached.
    pub(crate) fn reopened(&self) -> Self {
        let tables = tables(&self.objects, &self.repo, &self.clock, &self.entropy);
        Self { tables, ..self.clone() }
    }

    fn repo(&self) -> Arc<dyn SchemaRepo> {
        Arc::new(self.repo.clone())
    }

    fn schemas(&self) -> SchemaStore {
        SchemaStore::new(self.repo(), Arc::clone(&self.clock))
    }

    fn discovery(&self) -> Discovery {
        Discovery::new(self.repo(), Arc::clone(&self.clock))
    }

    /// The stores of a pipeline, which fail as `faults` say.
    fn pipeline_parts(&self, faults: &Faults) -> PipelineParts {
        let repo: Arc<dyn SchemaRepo> = Arc::new(FaultyRepo::new(self.repo(), faults));
        let clock = || Arc::clone(&self.clock);
        PipelineParts {
            raw: Arc::new(FaultyStream::new(Arc::new(self.raw.clone()), faults)),
            staged: Arc::new(FaultyStream::new(Arc::new(self.staged.clone()), faults)),
            archive: Arc::new(FaultyArchive::new(Arc::new(self.archive.clone()), faults)),
            nearline: Arc::new(FaultyNearline::new(Arc::new(self.nearline.clone()), faults)),
            files: Arc::new(FiledRows(self.tables.clone())),
            schemas: SchemaStore::new(Arc::clone(&repo), clock()),
            discovery: Discovery::new(Arc::clone(&repo), clock()),
            repo,
            clock: clock(),
            entropy: self.entropy.clone(),
        }
    }

    /// Sends `body` again and again through a pipeline whose stores fail, until it is acknowledged or `tries` are over, and
    /// kills it at whatever point it has come to.
    pub(crate) async fn send_under(&self, faults: &Faults, body: &str, tries: usize, kill_after: Duration) {
        let begun = Pipeline::start(self.pipeline_parts(faults), PipelineOptions::default()).await;
        // A process that cannot begin is killed, too.
        let Ok(pipeline) = begun else { return };
        for _ in 0..tries {
            if pipeline.edge().ingest(&acme(), body.to_owned().into()).await.is_ok() {
                break;
            }
        }
        let _ = tokio::time::timeout(kill_after, pipeline.stop()).await;
    }

    /// Sends `body`; when it returns, the events are answered and archived.
    pub(crate) async fn send(&self, body: &str) {
        let parts = self.pipeline_parts(&Faults::none());
        let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
        let receipt = pipeline.edge().ingest(&acme(), body.to_owned().into()).await.unwrap();
        pipeline.wait_until_queryable(receipt.token(), Duration::from_secs(60)).await.unwrap();
        pipeline.stop().await.unwrap();
    }

    /// Replays everything from the raw archive; answers how many rows are new.
    pub(crate) async fn replay(&self, mode: ReplayMode) -> u64 {
        let pipeline = Pipeline::start(self.pipeline_parts(&Faults::none()), PipelineOptions::default()).await.unwrap();
        let request = ReplayRequest::new(Stage::Raw, acme()).with_mode(mode);
        let report = pipeline.replay(request, &FiledRows(self.tables.clone())).await.unwrap();
        pipeline.stop().await.unwrap();
        report.rows
    }

    /// The same archive and schemas, with no rows and no files.
    pub(crate) fn emptied(&self) -> Self {
        let objects = Arc::new(CountedObjects::default());
        let nearline = MemoryNearline::new();
        let tables = tables(&objects, &self.repo, &self.clock, &self.entropy);
        Self { objects, tables, nearline, ..self.clone() }
    }

    /// Compacts what was sent; compacted rows stay nearline, too, unless they are to go.
    pub(crate) async fn compact(&self, rows: Compacted) {
        let options = CompactOptions::default();
        let options = match rows {
            Compacted::Stay => options,
            Compacted::Go => options.with_pin_for(Duration::ZERO).with_retain_for(Duration::ZERO),
        };
        let parts = CompactorParts {
            archive: Arc::new(self.archive.clone()),
            repo: self.repo(),
            schemas: self.schemas(),
            tables: self.tables.clone(),
            nearline: Arc::new(self.nearline.clone()),
            notifier: None,
            clock: Arc::clone(&self.clock),
            entropy: self.entropy.clone(),
        };
        let report = Compactor::new(parts, options).run(&|_| {}).await.unwrap();
        assert!(report.failed.is_empty() && report.busy.is_empty(), "{report:?}");
    }

    /// A compactor of another process, for whom the stores fail as `faults` say.
    pub(crate) fn compactor(&self, faults: &Faults, options: CompactOptions) -> Compactor {
        let repo: Arc<dyn SchemaRepo> = Arc::new(FaultyRepo::new(self.repo(), faults));
        let store = Arc::new(FaultyObjects::new(self.objects.clone(), faults));
        let objects = Objects { store, url: "memory:///".parse().unwrap(), durability: Durability::Volatile };
        let (clock, entropy) = (Arc::clone(&self.clock), self.entropy.clone());
        let parts = CompactorParts {
            archive: Arc::new(FaultyArchive::new(Arc::new(self.archive.clone()), faults)),
            schemas: SchemaStore::new(Arc::clone(&repo), Arc::clone(&clock)),
            tables: Tables::new(objects, Arc::clone(&repo), Arc::clone(&clock), entropy.clone()),
            repo,
            nearline: Arc::new(FaultyNearline::new(Arc::new(self.nearline.clone()), faults)),
            notifier: None,
            clock,
            entropy,
        };
        Compactor::new(parts, options)
    }

    fn change_id(&self) -> ChangeId {
        let mut id = [0; 16];
        self.entropy.fill(&mut id);
        ChangeId::of_bytes(id)
    }

    pub(crate) async fn change(&self, changes: Vec<Change>) -> ChangeId {
        let id = self.change_id();
        self.schemas().apply(&acme(), ChangeRequest::new(id, changes)).await.unwrap();
        id
    }

    pub(crate) async fn undo(&self, change: ChangeId) {
        self.schemas().undo(&acme(), &change, self.change_id(), None).await.unwrap();
    }

    /// Declares fields of a metric: name, type, aliases.
    pub(crate) async fn declare(&self, metric: &str, fields: &[(&str, &str, &[&str])]) {
        let changes = fields.iter().map(|(name, field_type, aliases)| Change::AddField {
            metric: metric.to_owned(),
            name: (*name).to_owned(),
            field_type: (*field_type).to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            unit: None,
        });
        self.change(changes.collect()).await;
    }

    /// An engine; without files it sees nearline rows only.
    pub(crate) fn engine(&self, sees: Sees, tasks: usize) -> Engine {
        let parts = EngineParts {
            nearline: Arc::new(self.nearline.clone()),
            schemas: self.schemas(),
            discovery: Arc::new(self.discovery()),
            tables: match sees {
                Sees::Everything => Some(self.tables.clone()),
                Sees::Nearline => None,
            },
            clock: Arc::clone(&self.clock),
        };
        Engine::new(parts, QueryLimits::default().with_parallelism(tasks))
    }

    /// Whether some metric has files.
    pub(crate) async fn files(&self) -> usize {
        let mut files = 0;
        for metric in self.tables.metrics(&acme()).await.unwrap() {
            files += self.tables.snapshot(&acme(), &metric).await.unwrap().files.len();
        }
        files
    }
}

fn tables(
    objects: &Arc<CountedObjects>,
    repo: &MemoryRepo,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<SeededEntropy>,
) -> Tables {
    let places =
        Objects { store: objects.clone(), url: "memory:///".parse().unwrap(), durability: Durability::Volatile };
    Tables::new(places, Arc::new(repo.clone()), Arc::clone(clock), entropy.clone())
}

/// What becomes of rows that were compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compacted {
    Stay,
    Go,
}

/// What an engine looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sees {
    Everything,
    Nearline,
}

/// The header and the rows in order, or the code of the refusal.
pub(crate) async fn ask(engine: &Engine, sql: &str) -> String {
    match try_ask(engine, sql).await {
        Ok(lines) => lines.join("\n"),
        Err(error) => {
            let code = error.context().iter().find(|(name, _)| *name == "code").map(|(_, code)| code.clone());
            format!("error {}", code.unwrap_or_else(|| format!("{error:?}")))
        }
    }
}

pub(crate) async fn try_ask(engine: &Engine, sql: &str) -> Result<Vec<String>> {
    let stream = engine.session(&acme()).query(sql, &[]).await?;
    let header: Vec<String> =
        stream.schema().fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect();
    let mut lines = Vec::new();
    for batch in stream.collect().await? {
        for row in 0..batch.num_rows() {
            let options = FormatOptions::default().with_null("-");
            let shown = batch.columns().iter();
            let shown = shown.map(|column| ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string());
            lines.push(shown.collect::<Vec<_>>().join("|"));
        }
    }
    lines.sort();
    lines.insert(0, header.join("|"));
    Ok(lines)
}

/// An object store in memory that counts what is put into it.
#[derive(Debug, Default)]
pub(crate) struct CountedObjects {
    inner: InMemory,
    puts: AtomicU64,
}

impl CountedObjects {
    /// The store itself, to do it harm.
    pub(crate) fn inner(&self) -> &InMemory {
        &self.inner
    }

    pub(crate) fn puts(&self) -> u64 {
        self.puts.load(Ordering::Relaxed)
    }
}

impl fmt::Display for CountedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("counted objects")
    }
}

#[async_trait]
impl ObjectStore for CountedObjects {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.inner.put_opts(at, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
