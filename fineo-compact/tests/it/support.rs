//! Stores that outlive whoever works on them, and what is in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use arrow_array::{Array, RecordBatch, cast::AsArray, types};
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_compact::{CompactOptions, CompactReport, Compactor, CompactorParts};
use fineo_core::{
    Clock, Durability, MetricId, NearlineStore, Position, SchemaRepo, SeededEntropy, ShardId, SystemClock, TenantId,
    nearline::{ScanRequest, SystemColumns},
    repo::Write,
};
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, PipelineParts};
use fineo_schema::{Change, ChangeId, ChangeRequest, Discovery, FieldType, SchemaStore, coerce::text};
use fineo_table::{FileLayout, Objects, Snapshot, Tables};
use futures::TryStreamExt;
use object_store::{ObjectStore, memory::InMemory};
use parquet::arrow::ParquetRecordBatchStreamBuilder;

pub(crate) fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn metric(number: u64) -> MetricId {
    MetricId::numbered(number)
}

/// The cells of a row, and its time as `_time`.
pub(crate) type Row = BTreeMap<String, String>;

/// The stores.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) raw: MemoryStream,
    pub(crate) staged: MemoryStream,
    pub(crate) archive: MemoryArchive,
    pub(crate) nearline: MemoryNearline,
    pub(crate) repo: MemoryRepo,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<SeededEntropy>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            raw: MemoryStream::new("raw", 1),
            staged: MemoryStream::new("staged", 1),
            archive: MemoryArchive::new(),
            nearline: MemoryNearline::new(),
            repo: MemoryRepo::new(),
            objects: Arc::new(InMemory::new()),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SeededEntropy::new(7)),
        }
    }

    /// The same archive and schemas, and no tables yet.
    pub(crate) fn with_fresh_tables(&self) -> Self {
        Self { objects: Arc::new(InMemory::new()), ..self.clone() }
    }

    fn repo(&self) -> Arc<dyn SchemaRepo> {
        Arc::new(self.repo.clone())
    }

    pub(crate) fn schemas(&self) -> SchemaStore {
        SchemaStore::new(self.repo(), Arc::clone(&self.clock))
    }

    pub(crate) fn pipeline_parts(&self) -> PipelineParts {
        PipelineParts {
            raw: Arc::new(self.raw.clone()),
            staged: Arc::new(self.staged.clone()),
            archive: Arc::new(self.archive.clone()),
            nearline: Arc::new(self.nearline.clone()),
            files: Arc::new(NoFiles),
            repo: self.repo(),
            schemas: self.schemas(),
            discovery: Discovery::new(self.repo(), Arc::clone(&self.clock)),
            clock: Arc::clone(&self.clock),
            entropy: self.entropy.clone(),
        }
    }

    /// Sends `body` and returns when it is archived.
    pub(crate) async fn send(&self, tenant: &TenantId, body: &str) {
        send_to(self.pipeline_parts(), tenant, body).await;
    }

    pub(crate) fn parts(&self) -> CompactorParts {
        let objects = Objects {
            store: Arc::clone(&self.objects),
            url: "memory:///".parse().unwrap(),
            durability: Durability::Volatile,
        };
        CompactorParts {
            archive: Arc::new(self.archive.clone()),
            repo: self.repo(),
            schemas: self.schemas(),
            tables: Tables::new(objects, self.repo(), Arc::clone(&self.clock), self.entropy.clone()),
            nearline: Arc::new(self.nearline.clone()),
            notifier: None,
            clock: Arc::clone(&self.clock),
            entropy: self.entropy.clone(),
        }
    }

    pub(crate) async fn compact(&self, options: CompactOptions) -> CompactReport {
        let report = Compactor::new(self.parts(), options).run(&|_| {}).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        report
    }

    pub(crate) async fn change(&self, tenant: &TenantId, changes: Vec<Change>) {
        let mut id = [0; 16];
        fineo_core::Entropy::fill(&*self.entropy, &mut id);
        self.schemas().apply(tenant, ChangeRequest::new(ChangeId::of_bytes(id), changes)).await.unwrap();
    }

    pub(crate) async fn snapshot(&self, tenant: &TenantId, metric: &MetricId) -> Arc<Snapshot> {
        self.parts().tables.snapshot(tenant, metric).await.unwrap()
    }

    /// The rows of all files of a metric, by event id.
    pub(crate) async fn in_files(&self, tenant: &TenantId, metric: &MetricId) -> Vec<(u128, Row)> {
        let tables = self.parts().tables;
        let snapshot = tables.snapshot(tenant, metric).await.unwrap();
        let mut rows = Vec::new();
        for file in &snapshot.files {
            let reader = tables.reader(&snapshot, file).await.unwrap();
            let layout = reader.meta().layout.clone();
            assert_eq!((&layout.tenant, &layout.metric, layout.day), (tenant, metric, file.day));
            let stream = ParquetRecordBatchStreamBuilder::new(reader).await.unwrap().build().unwrap();
            let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
            batches.iter().for_each(|batch| rows.extend(rows_of(&layout, batch)));
        }
        rows
    }

    /// The rows of the nearline store with their shards and positions.
    pub(crate) async fn nearline(&self, tenant: &TenantId, metric: &MetricId) -> Vec<(u128, (ShardId, Position), Row)> {
        let discovery = Discovery::new(self.repo(), Arc::clone(&self.clock));
        discovery.load(tenant).await.unwrap();
        let seen = discovery.seen(tenant, std::slice::from_ref(metric));
        let names: Vec<String> = seen.names().map(|name| name.to_string()).collect();
        let system = SystemColumns { event_id: true, position: true, ..SystemColumns::default() };
        let request = ScanRequest::new(tenant.clone(), metric.clone())
            .with_names(names.iter().map(|name| &**name))
            .with_system(system);
        let batches: Vec<RecordBatch> = self.nearline.scan(request).try_collect().await.unwrap();
        let mut rows = Vec::new();
        for batch in batches {
            let column = |name: &str| batch.column_by_name(name).unwrap();
            let times = column("_fineo_timestamp").as_primitive::<types::TimestampMicrosecondType>();
            let ids = column("_fineo_event_id").as_fixed_size_binary();
            let positions = column("_fineo_position").as_fixed_size_binary();
            let shards = column("_fineo_shard").as_string_view();
            for row in 0..batch.num_rows() {
                let mut cells = Row::from([("_time".to_owned(), times.value(row).to_string())]);
                for name in &names {
                    let texts = column(name).as_string_view();
                    if texts.is_valid(row) {
                        cells.insert(name.clone(), texts.value(row).to_owned());
                    }
                }
                let position = Position::from_bytes(positions.value(row).try_into().unwrap());
                let place = (ShardId::new(shards.value(row)).unwrap(), position);
                rows.push((u128::from_be_bytes(ids.value(row).try_into().unwrap()), place, cells));
            }
        }
        rows
    }

    /// What a query sees: the files, and the nearline rows that they do not cover and do not have.
    pub(crate) async fn answer(&self, tenant: &TenantId, metric: &MetricId) -> Vec<Row> {
        let snapshot = self.snapshot(tenant, metric).await;
        let files = self.in_files(tenant, metric).await;
        let ids: BTreeSet<u128> = files.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids.len(), files.len(), "an event is in files twice");
        let tail = self.nearline(tenant, metric).await.into_iter();
        let is_behind = |(shard, position): &(ShardId, Position)| !snapshot.cover.contains(shard, *position);
        let tail = tail.filter(|(id, place, _)| is_behind(place) && !ids.contains(id));
        let mut rows: Vec<Row> = files.into_iter().map(|(_, row)| row).chain(tail.map(|(.., row)| row)).collect();
        rows.sort();
        rows
    }

    /// Every Parquet file, by path.
    pub(crate) async fn parquet(&self) -> BTreeMap<String, bytes::Bytes> {
        let mut files = BTreeMap::new();
        let listed: Vec<_> = self.objects.list(None).try_collect().await.unwrap();
        for meta in listed.into_iter().filter(|meta| meta.location.as_ref().ends_with(".parquet")) {
            if meta.location.as_ref().contains("_delta_log") {
                continue;
            }
            let got = object_store::ObjectStoreExt::get(&*self.objects, &meta.location).await.unwrap();
            files.insert(meta.location.to_string(), got.bytes().await.unwrap());
        }
        files
    }
}

/// Sends `body` to a pipeline on `parts` and returns when it is archived.
pub(crate) async fn send_to(parts: PipelineParts, tenant: &TenantId, body: &str) {
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    let receipt = pipeline.edge().ingest(tenant, body.to_owned().into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), Duration::from_secs(60)).await.unwrap();
    pipeline.stop().await.unwrap();
}

/// Options with which everything happens at once.
pub(crate) fn at_once() -> CompactOptions {
    CompactOptions::default().with_pin_for(Duration::ZERO).with_retain_for(Duration::ZERO)
}

/// Reads rows by what the layout says, and by nothing else.
fn rows_of(layout: &FileLayout, batch: &RecordBatch) -> Vec<(u128, Row)> {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let times = column("timestamp").as_primitive::<types::TimestampMicrosecondType>();
    let ids = column("_fineo_event_id").as_binary::<i32>();
    let mut rows = Vec::new();
    for row in 0..batch.num_rows() {
        let mut cells = Row::from([("_time".to_owned(), times.value(row).to_string())]);
        let mut add = |name: String, text: String| {
            assert!(cells.insert(name.clone(), text).is_none(), "{name} stands in two places");
        };
        for of_layout in &layout.columns {
            let values = column(&of_layout.column);
            let text = of_layout.text.as_ref().map(|name| column(name).as_string::<i32>());
            let text = match text.filter(|texts| texts.is_valid(row)) {
                Some(texts) => texts.value(row).to_owned(),
                None if values.is_null(row) => continue,
                None => print(values, of_layout.value_type, row),
            };
            let name = match &of_layout.name {
                Some(name) => column(name).as_string::<i32>().value(row).to_owned(),
                None => of_layout.names[0].to_string(),
            };
            assert!(of_layout.names.iter().any(|known| **known == *name));
            add(name, text);
        }
        if !layout.rest_names.is_empty() && column("_fineo_rest").is_valid(row) {
            let rest: BTreeMap<String, String> =
                serde_json::from_str(column("_fineo_rest").as_string::<i32>().value(row)).unwrap();
            for (name, text) in rest {
                assert!(layout.rest_names.iter().any(|known| **known == *name));
                add(name, text);
            }
        }
        rows.push((u128::from_be_bytes(ids.value(row).try_into().unwrap()), cells));
    }
    rows
}

fn print(values: &dyn Array, value_type: FieldType, row: usize) -> String {
    let mut out = String::new();
    match value_type {
        FieldType::String | FieldType::Json => out.push_str(values.as_string::<i32>().value(row)),
        FieldType::Boolean => text::write_boolean(values.as_boolean().value(row), &mut out),
        FieldType::Int => text::write_int(values.as_primitive::<types::Int32Type>().value(row), &mut out),
        FieldType::Long => text::write_long(values.as_primitive::<types::Int64Type>().value(row), &mut out),
        FieldType::Double => text::write_double(values.as_primitive::<types::Float64Type>().value(row), &mut out),
        FieldType::Float | FieldType::Decimal { .. } | FieldType::Timestamp | FieldType::Date | FieldType::Bytes => {
            unreachable!("no test declares such a field")
        }
    }
    out
}

impl World {
    /// Forgets how far compaction was, as if it had never been.
    pub(crate) async fn forget_progress(&self) {
        for owner in [None, Some(acme())] {
            for subject in self.repo.subjects(owner.as_ref(), "").await.unwrap() {
                let name = subject.name();
                if !name.starts_with("compaction/") {
                    continue;
                }
                let found = self.repo.latest(&subject).await.unwrap().unwrap();
                let empty: &[u8] = if name.ends_with("/names") { b"[]" } else { b"{\"cover\":{}}" };
                let write = Write { subject, expected: found.version, body: Some(empty.to_vec().into()) };
                self.repo.append(vec![write], self.clock.now()).await.into_result().unwrap();
            }
        }
    }
}
