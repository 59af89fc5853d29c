//! The nearline store against a map: whatever is written, synced, merged, removed and reopened, both say the same.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array, RecordBatch, StringViewArray, cast::AsArray, types::TimestampMicrosecondType};
use fineo_core::{
    Cover, MetricId, NearlineStore, Outcome, Position, TimeRange,
    nearline::{
        COLUMN_CONTENT, COLUMN_EVENT_ID, COLUMN_POSITION, COLUMN_TIMESTAMP, Latest, Predicate, Rows, ScanRequest,
        SystemColumns, Written,
    },
};
use futures::StreamExt;
use proptest::prelude::*;

use super::fixture::{head, open, s0, tenant};

const NAMES: [&str; 6] = ["temp", "PM2.5", "温度", "a", "rare", "never"];
const TEXTS: [&str; 6] = ["", "21.5", "on", "a text that is longer than twelve bytes", "ünï", "21.50000000000001"];

#[derive(Debug, Clone)]
struct NewRow {
    id: u128,
    content: u128,
    micros: i64,
    cells: Vec<(usize, usize)>,
}

#[derive(Debug, Clone)]
enum Deed {
    Write(Vec<NewRow>),
    /// Many rows at once, so that segments come about.
    WriteMany(u16),
    Sync,
    /// Sync, then die.
    Crash,
    Close,
    /// Remove up to this share, in eighths, of the positions given so far.
    Remove(u64),
    Scan(i64, i64, Option<Predicate>),
}

type Model = BTreeMap<u128, (u128, i64, u64, BTreeMap<String, String>)>;

fn new_row() -> impl Strategy<Value = NewRow> {
    let cells = proptest::collection::btree_map(0..NAMES.len() - 1, 0..TEXTS.len(), 0..4);
    (0..60_u128, 0..2_u128, 0..1000_i64, cells).prop_map(|(id, content, micros, cells)| NewRow {
        id,
        content: id * 10 + content / 2,
        micros,
        cells: cells.into_iter().collect(),
    })
}

fn predicate() -> impl Strategy<Value = Option<Predicate>> {
    let names = || {
        proptest::collection::vec(0..NAMES.len(), 1..3)
            .prop_map(|all| all.into_iter().map(|n| NAMES[n].into()).collect())
    };
    let texts = proptest::collection::vec(0..TEXTS.len(), 1..3)
        .prop_map(|all| all.into_iter().map(|n| TEXTS[n].into()).collect());
    prop_oneof![
        Just(None),
        (names(), texts).prop_map(|(names, texts)| Some(Predicate::AnyText { names, texts })),
        names().prop_map(|names| Some(Predicate::AnyPresent { names })),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => proptest::collection::vec(new_row(), 1..20).prop_map(Deed::Write),
        2 => (1..400_u16).prop_map(Deed::WriteMany),
        2 => Just(Deed::Sync),
        1 => Just(Deed::Crash),
        1 => Just(Deed::Close),
        1 => (0..9_u64).prop_map(Deed::Remove),
        3 => (0..1000_i64, 1..1000_i64, predicate()).prop_map(|(from, len, predicate)| Deed::Scan(from, from + len, predicate)),
    ]
}

fn satisfies(cells: &BTreeMap<String, String>, predicate: &Predicate) -> bool {
    match predicate {
        Predicate::AnyText { names, texts } => {
            names.iter().any(|name| cells.get(&**name).is_some_and(|cell| texts.iter().any(|text| **text == *cell)))
        }
        Predicate::AnyPresent { names } => names.iter().any(|name| cells.contains_key(&**name)),
    }
}

async fn check_scan(store: &Arc<dyn NearlineStore>, model: &Model, time: TimeRange, predicate: Option<&Predicate>) {
    let system = SystemColumns { event_id: true, alias: true, ingested_at: true, position: true, content: true };
    let mut request = ScanRequest::new(tenant("acme"), MetricId::numbered(1)).with_time(time).with_system(system);
    request = request.with_names(NAMES);
    request.batch_rows_max = 100;
    if let Some(predicate) = predicate {
        request = request.with_predicate(predicate.clone());
    }
    let mut found = Model::new();
    let mut batches = store.scan(request);
    while let Some(batch) = batches.next().await {
        for (id, row) in rows_of(&batch.unwrap()) {
            assert!(found.insert(id, row).is_none(), "{id} came twice");
        }
    }
    let wanted: Model = model
        .iter()
        .filter(|(_, row)| time.from <= row.1 && row.1 < time.to)
        .filter(|(_, row)| predicate.is_none_or(|predicate| satisfies(&row.3, predicate)))
        .map(|(id, row)| (*id, row.clone()))
        .collect();
    assert_eq!(found, wanted);
}

/// Who accepts every third row finds of each key the newest of those.
async fn check_latest(store: &Arc<dyn NearlineStore>, model: &Model, time: TimeRange, predicate: Option<&Predicate>) {
    const KEY: [&str; 2] = ["a", "temp"];
    let latest = Arc::new(Latest::by(KEY));
    let system = SystemColumns { event_id: true, content: true, position: true, ..SystemColumns::default() };
    let mut request = ScanRequest::new(tenant("acme"), MetricId::numbered(1)).with_time(time).with_system(system);
    request = request.with_names(NAMES).with_latest(Arc::clone(&latest));
    request.batch_rows_max = 100;
    request = predicate.iter().fold(request, |request, predicate| request.with_predicate((*predicate).clone()));
    let is_accepted = |row: &SeenRow| row.2.is_multiple_of(3);
    let key = |row: &SeenRow| KEY.iter().find_map(|name| row.3.get(*name)).cloned();
    let mut found: BTreeMap<Option<String>, i64> = BTreeMap::new();
    let mut batches = store.scan(request);
    while let Some(batch) = batches.next().await {
        let rows = rows_of(&batch.unwrap());
        for (id, row) in rows.iter().filter(|(_, row)| is_accepted(row)) {
            assert_eq!(&model[id], row);
            let newest = found.entry(key(row)).or_insert(row.1);
            *newest = row.1.max(*newest);
            latest.accept([(key(row).as_deref(), row.1)]);
        }
    }
    let mut wanted: BTreeMap<Option<String>, i64> = BTreeMap::new();
    for row in model.values().filter(|row| time.from <= row.1 && row.1 < time.to && is_accepted(row)) {
        if predicate.is_none_or(|predicate| satisfies(&row.3, predicate)) {
            let newest = wanted.entry(key(row)).or_insert(row.1);
            *newest = row.1.max(*newest);
        }
    }
    assert_eq!(found, wanted);
}

/// Content, timestamp, position and cells of a row.
type SeenRow = (u128, i64, u64, BTreeMap<String, String>);

fn rows_of(batch: &RecordBatch) -> Vec<(u128, SeenRow)> {
    assert!(batch.num_rows() <= 100);
    let sixteen =
        |name: &str, row: usize| u128::from_be_bytes(batch[name].as_fixed_size_binary().value(row).try_into().unwrap());
    let mut rows = Vec::new();
    for row in 0..batch.num_rows() {
        let micros = batch[COLUMN_TIMESTAMP].as_primitive::<TimestampMicrosecondType>().value(row);
        let position = batch[COLUMN_POSITION].as_fixed_size_binary().value(row);
        let position = Position::from_bytes(position.try_into().unwrap()).to_u128().unwrap();
        let mut cells = BTreeMap::new();
        for name in NAMES {
            let column: &StringViewArray = batch[name].as_string_view();
            if column.is_valid(row) {
                cells.insert(name.to_owned(), column.value(row).to_owned());
            }
        }
        let content = sixteen(COLUMN_CONTENT, row);
        rows.push((sixteen(COLUMN_EVENT_ID, row), (content, micros, u64::try_from(position).unwrap(), cells)));
    }
    rows
}

async fn write(store: &Arc<dyn NearlineStore>, model: &mut Model, rows: &[NewRow], position: &mut u64) {
    let mut packed = Rows::new(s0());
    let mut wanted = Vec::new();
    for row in rows {
        *position += 1;
        packed.row(head(row.id, row.content, row.micros, *position), "alias");
        let cells: BTreeMap<String, String> =
            row.cells.iter().map(|(name, text)| (NAMES[*name].to_owned(), TEXTS[*text].to_owned())).collect();
        row.cells.iter().for_each(|(name, text)| packed.cell(NAMES[*name], TEXTS[*text]));
        wanted.push(match model.get(&row.id) {
            None => Written::New,
            Some(known) if known.0 == row.content => Written::Duplicate,
            Some(_) => Written::Conflict,
        });
        model.entry(row.id).or_insert((row.content, row.micros, *position, cells));
    }
    let outcomes = store.write(&tenant("acme"), &MetricId::numbered(1), packed).await;
    let outcomes: Vec<Written> = outcomes.into_iter().map(|outcome| outcome.into_result().unwrap()).collect();
    assert_eq!(outcomes, wanted);
}

async fn run(deeds: &[Deed]) {
    let folder = tempfile::tempdir().unwrap();
    let mut directory = open(folder.path());
    let mut store = directory.nearline();
    let (mut model, mut position, mut id) = (Model::new(), 0, 1_u128 << 64);
    for deed in deeds {
        match deed {
            Deed::Write(rows) => write(&store, &mut model, rows, &mut position).await,
            Deed::WriteMany(count) => {
                let row = |number: u16| NewRow {
                    id: id + u128::from(number) * 0x1_0001_0001_0001,
                    content: id + u128::from(number) * 0x1_0001_0001_0001,
                    micros: i64::from(number) % 1000,
                    cells: vec![(0, usize::from(number) % 6), (3, usize::from(number / 7) % 6)],
                };
                let rows: Vec<NewRow> = (0..*count).map(row).collect();
                write(&store, &mut model, &rows, &mut position).await;
                id += 1 << 80;
            }
            Deed::Sync => store.sync().await.into_result().unwrap(),
            Deed::Crash => {
                store.sync().await.into_result().unwrap();
                drop((store, directory));
                directory = open(folder.path());
                store = directory.nearline();
            }
            Deed::Close => {
                drop(store);
                directory.close().await.unwrap();
                directory = open(folder.path());
                store = directory.nearline();
            }
            Deed::Remove(eighths) => {
                let through = position * eighths / 8;
                let cover: Cover = [(s0(), Position::from(through))].into_iter().collect();
                let before = model.len();
                model.retain(|_, row| row.2 > through);
                let removed = store.remove(&tenant("acme"), &MetricId::numbered(1), &cover).await;
                assert!(matches!(removed, Outcome::Done(count) if count == (before - model.len()) as u64));
            }
            Deed::Scan(from, to, predicate) => {
                let time = TimeRange { from: *from, to: *to };
                check_scan(&store, &model, time, predicate.as_ref()).await;
                check_latest(&store, &model, time, predicate.as_ref()).await;
            }
        }
    }
    check_scan(&store, &model, TimeRange::ALL, None).await;
    check_latest(&store, &model, TimeRange::ALL, None).await;
    let metrics = store.metrics(&tenant("acme")).await.unwrap();
    assert_eq!(metrics.is_empty(), model.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_store_answers_as_a_map_does(deeds in proptest::collection::vec(deed(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(run(&deeds));
    }
}
