//! A nearline store against a map of rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fineo_core::{
    Cover, Position, Result, TimeRange,
    nearline::{Predicate, Pushdown, ScanRequest, Written},
};

use super::{STEPS, Trace, seeds};
use crate::{
    Case, Place, Restart, Verdict,
    case::cases,
    rows::{Table, TestRow},
    support::shard,
};

pub(crate) const CASES: &[Case] = cases! { Nearline:
    0 "random operations agree with a model" agrees,
};

const NAMES: [&str; 5] = ["a", "b", "PM2.5", "温度", "select"];
const TEXTS: [&str; 5] = ["", "1", "2", "a text that is longer than twelve bytes", "温"];

#[derive(Default)]
struct Model {
    rows: BTreeMap<u128, TestRow>,
    /// The ids of rows that a crash must leave.
    synced: BTreeSet<u128>,
    /// What was there at any time since the last sync: a crash may bring back what was removed after it.
    ghosts: Vec<TestRow>,
}

#[derive(Debug)]
enum Operation {
    Write(Vec<TestRow>),
    Sync,
    Scan(ScanRequest),
    Remove(Cover),
    Restart(Restart),
}

async fn agrees(mut place: Box<dyn Place>) -> Result<Verdict> {
    let mut model = Model::default();
    for seed in seeds() {
        let mut trace = Trace::new(seed);
        for _ in 0..STEPS {
            let table = Table::new(place.nearline().await?);
            let operation = choose(&mut trace, &table);
            trace.say(&operation);
            match operation {
                Operation::Write(rows) => write_both(&mut model, &table, &rows).await?,
                Operation::Sync => {
                    table.store.sync().await.into_result()?;
                    model.synced = model.rows.keys().copied().collect();
                    model.ghosts = model.rows.values().cloned().collect();
                }
                Operation::Scan(request) => scan_both(&model, &table, request).await?,
                Operation::Remove(cover) => remove_both(&mut model, &table, &cover).await?,
                Operation::Restart(how) => {
                    drop(table);
                    if place.restart(how).await? {
                        restarted(&mut model, &Table::new(place.nearline().await?), how).await?;
                    }
                }
            }
        }
        trace.done();
    }
    Ok(Verdict::Passed)
}

fn choose(trace: &mut Trace, table: &Table) -> Operation {
    match trace.below(20) {
        0..8 => {
            let shard = ["s0", "s1"][trace.index(2)];
            let count = 1 + trace.below(6);
            Operation::Write((0..count).map(|_| random_row(trace, shard)).collect())
        }
        8..10 => Operation::Sync,
        10..17 => Operation::Scan(random_request(trace, table)),
        17 => {
            let parts = ["s0", "s1"].map(|name| (shard(name), Position::from(trace.below(60))));
            Operation::Remove(parts.into_iter().skip(trace.index(2)).collect())
        }
        18 => Operation::Restart(Restart::Clean),
        _ => Operation::Restart(Restart::Crash),
    }
}

fn random_row(trace: &mut Trace, shard: &str) -> TestRow {
    let id = trace.below(80);
    let mut row = TestRow::new(id).with_position(shard, trace.below(100));
    row.time = (trace.below(9).cast_signed() - 3) * 1_800_000_000;
    if trace.one_in(5) {
        row.content += 1000;
    }
    for name in NAMES {
        if trace.one_in(2) {
            row = row.with_cell(name, TEXTS[trace.index(TEXTS.len())]);
        }
    }
    row
}

fn random_request(trace: &mut Trace, table: &Table) -> ScanRequest {
    let mut request = table.request().with_names(NAMES);
    request.batch_rows_max = 1 + trace.index(40);
    if trace.one_in(2) {
        let [from, to] = [0, 0].map(|_| (trace.below(11).cast_signed() - 4) * 1_800_000_000);
        request.time = TimeRange { from, to };
    }
    if trace.one_in(3) {
        request.beyond = [(crate::support::shard("s0"), Position::from(trace.below(100)))].into_iter().collect();
    }
    if trace.one_in(2) {
        let middle = trace.index(NAMES.len());
        request = request.with_ranked(vec![0..middle, middle..NAMES.len()]);
    }
    let arcs = |texts: &[&str]| texts.iter().map(|text| Arc::from(*text)).collect();
    while trace.one_in(2) {
        let names = arcs(&NAMES[trace.index(5)..]);
        let texts = arcs(&TEXTS[trace.index(5)..]);
        let is_presence = trace.one_in(2);
        let predicate = if is_presence { Predicate::AnyPresent { names } } else { Predicate::AnyText { names, texts } };
        request = request.with_predicate(predicate);
    }
    request
}

async fn write_both(model: &mut Model, table: &Table, rows: &[TestRow]) -> Result<()> {
    let written = table.write(rows).await?;
    for (row, written) in rows.iter().zip(written) {
        let expected = match model.rows.get(&row.id) {
            None => Written::New,
            Some(there) if there.content == row.content => Written::Duplicate,
            Some(_) => Written::Conflict,
        };
        assert_eq!(written, expected, "{row:?}");
        if expected == Written::New {
            model.rows.insert(row.id, row.clone());
            model.ghosts.push(row.clone());
        }
    }
    Ok(())
}

async fn scan_both(model: &Model, table: &Table, request: ScanRequest) -> Result<()> {
    let mut found = table.scan(request.clone()).await?;
    if !request.ranked.is_empty() {
        found = found.into_iter().map(|row| row.ranked(&request)).collect();
        found.sort();
    }
    let exact = |predicate: &&Predicate| table.store.pushdown(predicate) == Pushdown::Exact;
    let in_time = |row: &&TestRow| request.time.from <= row.time && row.time < request.time.to;
    let mut at_least: Vec<TestRow> = Vec::new();
    let mut at_most: Vec<TestRow> = Vec::new();
    let is_beyond = |row: &&TestRow| !request.beyond.contains(&crate::support::shard(&row.shard), row.position);
    for row in model.rows.values().filter(in_time).filter(is_beyond) {
        if request.predicates.iter().all(|predicate| holds(predicate, row)) {
            at_least.push(row.clone().ranked(&request));
        }
        if request.predicates.iter().filter(exact).all(|predicate| holds(predicate, row)) {
            at_most.push(row.clone().ranked(&request));
        }
    }
    at_least.sort();
    at_most.sort();
    if at_least == at_most {
        assert_eq!(found, at_least);
    }
    assert!(at_least.iter().all(|row| found.contains(row)), "a row is missing");
    assert!(found.iter().all(|row| at_most.contains(row)), "a row is there that was excluded");
    assert!(found.is_sorted_by(|left, right| left < right), "a row was answered twice");
    Ok(())
}

fn holds(predicate: &Predicate, row: &TestRow) -> bool {
    match predicate {
        Predicate::AnyPresent { names } => names.iter().any(|name| row.cell(name).is_some()),
        Predicate::AnyText { names, texts } => {
            names.iter().filter_map(|name| row.cell(name)).any(|cell| texts.iter().any(|text| **text == *cell))
        }
    }
}

async fn remove_both(model: &mut Model, table: &Table, cover: &Cover) -> Result<()> {
    let before = model.rows.len();
    model.rows.retain(|_, row| !cover.contains(&shard(&row.shard), row.position));
    let rows = &model.rows;
    model.synced.retain(|id| rows.contains_key(id));
    let removed = table.store.remove(&table.tenant, &table.metric, cover).await.into_result()?;
    assert_eq!(removed, (before - model.rows.len()) as u64);
    Ok(())
}

async fn restarted(model: &mut Model, table: &Table, how: Restart) -> Result<()> {
    let found = table.read(&NAMES).await?;
    match how {
        Restart::Clean => {
            let mut expected: Vec<TestRow> = model.rows.values().cloned().collect();
            expected.sort();
            assert_eq!(found, expected);
        }
        Restart::Crash => {
            let synced = model.synced.iter().map(|id| &model.rows[id]);
            for row in synced {
                assert!(found.contains(row), "a synced row is missing after the crash: {row:?}");
            }
            assert!(found.iter().all(|row| model.ghosts.contains(row)), "a row was made up in the crash");
            model.synced = found.iter().map(|row| row.id).collect();
            model.ghosts.clone_from(&found);
            model.rows = found.into_iter().map(|row| (row.id, row)).collect();
        }
    }
    Ok(())
}
