//! Scanning for the newest rows of each key.

use std::{collections::BTreeMap, sync::Arc};

use fineo_core::{
    Cover, Position, Result, TimeRange,
    nearline::{Latest, Predicate},
};
use futures::StreamExt;

use crate::{
    Case, Place, Verdict,
    case::cases,
    rows::{Table, TestRow, unpack},
    support::shard,
};

pub(in crate::cases) const CASES: &[Case] = cases! { Nearline:
    13 "the newest rows of each key that its reader accepts are answered, all of one instant" newest,
};

/// The names of a row's key, best first.
const KEY: [&str; 2] = ["device", "dev"];

fn rows() -> Vec<TestRow> {
    let row = |id: u64| {
        // Times go forth and back, some are equal, and some keys are seldom.
        let mut row = TestRow::new(id).with_time(((id * 37) % 251).cast_signed() - 40);
        let key = if id.is_multiple_of(97) { "rare".to_owned() } else { format!("device {}", id * id % 11) };
        match id % 5 {
            0 => row = row.with_cell(KEY[1], &key),
            1 => row = row.with_cell(KEY[0], &key).with_cell(KEY[1], "another"),
            2 => {}
            _ => row = row.with_cell(KEY[0], &key),
        }
        if id.is_multiple_of(3) { row.with_cell("value", &(id % 7).to_string()) } else { row }
    };
    (0..700).map(row).collect()
}

fn key(row: &TestRow) -> Option<&str> {
    KEY.iter().find_map(|name| row.cell(name))
}

/// What a reader of `table` who accepts what `accepts` says finds to be the newest of each key.
async fn read(
    table: &Table,
    (time, beyond, rows_max): (TimeRange, &Cover, usize),
    accepts: impl Fn(&TestRow) -> bool,
) -> Result<(BTreeMap<Option<String>, i64>, Vec<TestRow>)> {
    let latest = Arc::new(Latest::by(KEY));
    let mut request = table.request().with_names(["device", "dev", "value"]).with_time(time).beyond(beyond.clone());
    request.batch_rows_max = rows_max;
    request = request.with_predicate(Predicate::AnyPresent { names: vec!["value".into(), "dev".into()] });
    request = request.with_latest(Arc::clone(&latest));
    let (mut newest, mut all) = (BTreeMap::new(), Vec::new());
    let mut batches = table.store.scan(request.clone());
    while let Some(batch) = batches.next().await {
        let rows = unpack(&request, &batch?)?;
        let accepted: Vec<&TestRow> = rows.iter().filter(|row| accepts(row)).collect();
        latest.accept(accepted.iter().map(|row| (key(row), row.time)));
        for row in accepted {
            let known = newest.entry(key(row).map(str::to_owned)).or_insert(row.time);
            *known = row.time.max(*known);
        }
        all.extend(rows);
    }
    Ok((newest, all))
}

async fn newest(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let rows = rows();
    for (part, some) in rows.chunks(200).enumerate() {
        table.write(some).await?;
        if part < 2 {
            table.store.sync().await.into_result()?;
        }
    }
    let beyond: Cover = [(shard("s0"), Position::from(90))].into_iter().collect();
    let tests: [fn(&TestRow) -> bool; 3] =
        [|_| true, |row| row.cell("value").is_some(), |row| row.id.is_multiple_of(50)];
    for time in [TimeRange::ALL, TimeRange { from: -3, to: 120 }] {
        for (beyond, rows_max) in [(&Cover::default(), 5), (&beyond, 64), (&beyond, 8192)] {
            let is_asked = |row: &&TestRow| {
                time.from <= row.time
                    && row.time < time.to
                    && !beyond.contains(&shard(&row.shard), row.position)
                    && (row.cell("value").is_some() || row.cell("dev").is_some())
            };
            for accepts in tests {
                let mut expected: BTreeMap<Option<String>, i64> = BTreeMap::new();
                for row in rows.iter().filter(is_asked).filter(|row| accepts(row)) {
                    let known = expected.entry(key(row).map(str::to_owned)).or_insert(row.time);
                    *known = row.time.max(*known);
                }
                // A store may leave the test of a predicate to the reader.
                let accepts = |row: &TestRow| is_asked(&row) && accepts(row);
                let is_newest = |row: &&TestRow| {
                    accepts(row) && expected.get(&key(row).map(str::to_owned)).is_some_and(|newest| *newest == row.time)
                };
                let (found, mut all) = read(&table, (time, beyond, rows_max), accepts).await?;
                assert_eq!(found, expected, "{time:?}, beyond {beyond:?}, at most {rows_max} rows");
                assert!(
                    rows.iter().filter(is_newest).all(|row| all.contains(row)),
                    "a row of the newest instant is missing"
                );
                assert!(all.iter().all(|row| rows.contains(row)), "a row was answered that was not written");
                all.sort();
                assert!(all.is_sorted_by(|left, right| left < right), "a row was answered twice");
            }
        }
    }
    Ok(Verdict::Passed)
}
