//! A desk with tables in memory, and small files to put into them.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use fineo_backend_memory::MemoryRepo;
use fineo_core::{
    Clock, Cover, Durability, MetricId, Outcome, Position, SeededEntropy, ShardId, SystemClock, TenantId, Timestamp,
    repo::Version,
};
use fineo_schema::FieldType;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use parquet::{
    arrow::ArrowWriter,
    file::{metadata::KeyValue, properties::WriterProperties},
};
use url::Url;

use crate::{
    COLUMN_TIMESTAMP, Change, ColumnLayout, Committed, FileLayout, FileSums, NewFile, Objects, Snapshot, Tables,
    TablesOptions,
};

/// 2026-11-22.
pub(super) const DAY: i32 = 20_779;
const DAY_MICROS: i64 = 86_400_000_000;

/// Tables over a store in memory.
pub(super) struct Desk {
    pub(super) store: Arc<InMemory>,
    pub(super) tables: Tables,
    pub(super) tenant: TenantId,
    pub(super) metric: MetricId,
    pub(super) repo: Arc<MemoryRepo>,
}

impl Desk {
    pub(super) fn new() -> Self {
        let (store, repo) = (Arc::new(InMemory::new()), Arc::new(MemoryRepo::new()));
        let tables = open(Arc::clone(&store) as Arc<dyn ObjectStore>, &repo, 1);
        Self { store, tables, tenant: TenantId::new("acme").unwrap(), metric: MetricId::numbered(1), repo }
    }

    /// Another process on the same store, with nothing in memory.
    pub(super) fn reopened(&self) -> Tables {
        open(Arc::clone(&self.store) as Arc<dyn ObjectStore>, &self.repo, 2)
    }

    /// The same tables through another store.
    pub(super) fn through(&self, store: Arc<dyn ObjectStore>) -> Tables {
        open(store, &self.repo, 3)
    }

    /// Another process whose time is another.
    pub(super) fn at(&self, clock: Arc<dyn Clock>) -> Tables {
        Tables::with_options(objects(Arc::clone(&self.store) as _), self.repo(), clock, entropy(4), options())
    }

    /// Another process that deletes so many objects at once.
    pub(super) fn deleting(&self, deletes_max: usize) -> Tables {
        let options = TablesOptions { deletes_max, ..options() };
        Tables::with_options(
            objects(Arc::clone(&self.store) as _),
            self.repo(),
            Arc::new(SystemClock),
            entropy(5),
            options,
        )
    }

    fn repo(&self) -> Arc<MemoryRepo> {
        Arc::clone(&self.repo)
    }

    pub(super) async fn latest(&self) -> Arc<Snapshot> {
        self.tables.snapshot(&self.tenant, &self.metric).await.unwrap()
    }

    pub(super) fn layout(&self) -> FileLayout {
        FileLayout {
            format: FileLayout::FORMAT,
            tenant: self.tenant.clone(),
            metric: self.metric.clone(),
            day: DAY,
            schema_version: Version(1),
            columns: vec![column("temp", FieldType::Double)],
            rest_names: Vec::new(),
        }
    }

    /// Puts a file of `rows` rows to where a commit on `base` takes it from; it has positions up to `last`.
    pub(super) async fn file(&self, base: &Snapshot, hash: &str, rows: usize, last: u64) -> NewFile {
        let bytes = parquet(&self.layout(), rows);
        self.put(base, hash, bytes, last).await
    }

    pub(super) async fn put(&self, base: &Snapshot, hash: &str, bytes: Vec<u8>, last: u64) -> NewFile {
        let path = base.new_path(DAY, hash).unwrap();
        let sums = FileSums::of(&bytes);
        let object = self.tables.object_path(&self.tenant, &self.metric, &path);
        self.store.put(&object, bytes.into()).await.unwrap();
        NewFile { path, positions: cover(last), is_part: false, sums }
    }

    /// Commits one more file of three rows, and takes away what `remove` names.
    pub(super) async fn commit(&self, hash: &str, last: u64, remove: Vec<Arc<str>>) -> Arc<Snapshot> {
        let base = self.latest().await;
        let add = vec![self.file(&base, hash, 3, last).await];
        done(self.tables.commit(&base, Change { add, remove, cover: cover(last), generation: None }).await)
    }

    /// Every object below the table, relative to it.
    pub(super) async fn objects(&self) -> Vec<String> {
        let root = format!("{}/{}/", self.tenant, self.metric);
        let prefix = Path::from(root.trim_end_matches('/'));
        let listed: Vec<_> = futures::TryStreamExt::try_collect(self.store.list(Some(&prefix))).await.unwrap();
        let mut names: Vec<String> = listed
            .iter()
            .map(|meta: &object_store::ObjectMeta| meta.location.as_ref().replacen(&root, "", 1))
            .collect();
        names.sort();
        names
    }

    pub(super) async fn read(&self, relative: &str) -> Vec<u8> {
        let path = self.tables.object_path(&self.tenant, &self.metric, relative);
        self.store.get(&path).await.unwrap().bytes().await.unwrap().to_vec()
    }

    pub(super) async fn write(&self, relative: &str, bytes: Vec<u8>) {
        let path = self.tables.object_path(&self.tenant, &self.metric, relative);
        self.store.put(&path, bytes.into()).await.unwrap();
    }

    pub(super) async fn delete(&self, relative: &str) {
        let path = self.tables.object_path(&self.tenant, &self.metric, relative);
        self.store.delete(&path).await.unwrap();
    }
}

fn open(store: Arc<dyn ObjectStore>, repo: &Arc<MemoryRepo>, seed: u64) -> Tables {
    Tables::with_options(objects(store), Arc::clone(repo) as _, Arc::new(SystemClock), entropy(seed), options())
}

fn objects(store: Arc<dyn ObjectStore>) -> Objects {
    Objects { store, url: Url::parse("memory:///").unwrap(), durability: Durability::Volatile }
}

fn entropy(seed: u64) -> Arc<SeededEntropy> {
    Arc::new(SeededEntropy::new(seed))
}

fn options() -> TablesOptions {
    TablesOptions { commits_per_checkpoint: 3, ..TablesOptions::default() }
}

pub(super) fn done(outcome: Outcome<Committed>) -> Arc<Snapshot> {
    match outcome.into_result().unwrap() {
        Committed::Done(snapshot) => snapshot,
        Committed::Conflict(_) => panic!("a conflict"),
    }
}

pub(super) fn cover(last: u64) -> Cover {
    [(ShardId::new("s0").unwrap(), Position::from(last))].into_iter().collect()
}

pub(super) fn column(name: &str, value_type: FieldType) -> ColumnLayout {
    ColumnLayout { column: name.into(), field: None, value_type, text: None, names: vec![name.into()], name: None }
}

/// A file of `layout` with rows a minute apart, from midnight on.
pub(super) fn parquet(layout: &FileLayout, rows: usize) -> Vec<u8> {
    let midnight = i64::from(layout.day) * DAY_MICROS;
    let times = (0..rows as i64).map(|row| midnight + row * 60_000_000);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let ids: Vec<[u8; 16]> = (0..rows).map(|row| (row as u128 + 1).to_be_bytes()).collect();
    let ids = BinaryArray::from_iter_values(ids);
    let mut columns: Vec<(&str, ArrayRef, bool)> =
        vec![(COLUMN_TIMESTAMP, Arc::new(times), false), ("_fineo_event_id", Arc::new(ids), false)];
    for layout in &layout.columns {
        let values: ArrayRef = match layout.value_type {
            FieldType::Double => Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 + 0.5))),
            _ => Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("text {row}")))),
        };
        columns.push((&layout.column, values, true));
    }
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let pairs = vec![KeyValue::new(FileLayout::KEY.to_owned(), layout.to_json().unwrap())];
    let properties = WriterProperties::builder().set_key_value_metadata(Some(pairs)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// The instant, `seconds` from now.
pub(super) fn from_now(seconds: i64) -> Timestamp {
    fineo_core::Clock::now(&SystemClock).plus_micros(seconds * 1_000_000)
}
