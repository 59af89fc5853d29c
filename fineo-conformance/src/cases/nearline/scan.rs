//! Scanning: ranges, predicates, snapshots.

use std::{collections::BTreeSet, sync::Arc};

use fineo_core::{
    Cover, Position, Result, TimeRange,
    nearline::{Predicate, Pushdown},
};
use futures::StreamExt;

use crate::{
    Case, Place, Verdict,
    case::cases,
    rows::{Table, TestRow, unpack},
    support::{AWKWARD, CANCEL_POLLS_MAX, cancelled_at, shard},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Nearline:
    7 "a scan answers exactly the rows of its time range" ranges,
    7 "two neighbouring ranges answer what their union does" neighbours,
    7 "no batch has more rows than asked for" batches,
    8 "a predicate on texts is applied as far as declared" texts,
    8 "a predicate on presence is applied as far as declared" presence,
    8 "all predicates of a request hold together" together,
    9 "a scan sees each row once while others write and sync" snapshot,
    9 "a dropped scan leaves the store working" dropped,
    12 "a scan answers exactly the rows beyond a cover" beyond,
};

async fn ranges(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let hour = 3_600_000_000;
    let times = [-100 * hour, -hour, -1, 0, 1, 999, 1000, 1001, hour, 25 * hour, 9000 * hour];
    let rows: Vec<TestRow> = (0..).zip(times).map(|(id, time)| TestRow::new(id).with_time(time)).collect();
    table.write(&rows).await?;
    let mut bounds = vec![i64::MIN, i64::MAX, hour + 1, 25 * hour - 1];
    bounds.extend(times);
    for from in &bounds {
        for to in &bounds {
            let time = TimeRange { from: *from, to: *to };
            let found = table.scan(table.request().with_time(time)).await?;
            let expected: Vec<TestRow> =
                rows.iter().filter(|row| *from <= row.time && row.time < *to).cloned().collect();
            assert_eq!(found, expected, "{time:?}");
        }
    }
    Ok(Verdict::Passed)
}

async fn neighbours(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let rows: Vec<TestRow> = (0..60).map(|id| TestRow::new(id).with_time((id as i64 * 37) % 20)).collect();
    table.write(&rows).await?;
    let scan = |from, to| table.scan(table.request().with_time(TimeRange { from, to }));
    let all = scan(0, 20).await?;
    assert_eq!(all.len(), 60);
    for middle in 0..=20 {
        assert_eq!([scan(0, middle).await?, scan(middle, 20).await?].concat(), all, "cut at {middle}");
    }
    Ok(Verdict::Passed)
}

async fn batches(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let rows: Vec<TestRow> = (0..1000).map(|id| TestRow::new(id).with_cell("a", &id.to_string())).collect();
    table.write(&rows).await?;
    for rows_max in [1, 7, 999, 1000, 1001, 100_000] {
        let mut request = table.request().with_names(["a"]);
        request.batch_rows_max = rows_max;
        // Reading the batches checks their sizes.
        assert_eq!(table.scan(request).await?, rows, "at most {rows_max} rows a batch");
    }
    Ok(Verdict::Passed)
}

/// Checks that a scan with `predicates` answers what `holds` says, as far as the store declares.
async fn check(
    table: &Table,
    rows: &[TestRow],
    predicates: Vec<Predicate>,
    holds: impl Fn(&TestRow) -> bool,
) -> Result<()> {
    let mut request = table.request().with_names(["a", "b"]);
    request.predicates = predicates;
    let is_exact = |predicate: &Predicate| match table.store.pushdown(predicate) {
        Pushdown::Exact => true,
        Pushdown::Inexact | Pushdown::Unsupported => false,
    };
    let all_exact = request.predicates.iter().all(is_exact);
    let found = table.scan(request.clone()).await?;
    let expected: Vec<TestRow> = rows.iter().filter(|row| holds(row)).cloned().collect();
    if all_exact {
        assert_eq!(found, expected, "{:?}", request.predicates);
    }
    let distinct: BTreeSet<&TestRow> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "a row was answered twice: {:?}", request.predicates);
    assert!(expected.iter().all(|row| distinct.contains(row)), "a row is missing: {:?}", request.predicates);
    assert!(found.iter().all(|row| rows.contains(row)), "a row was made up: {:?}", request.predicates);
    Ok(())
}

fn arcs(texts: &[&str]) -> Vec<Arc<str>> {
    texts.iter().map(|text| Arc::from(*text)).collect()
}

/// Rows whose cells `a` and `b` have every awkward text, the empty one, one that begins like another, and none.
async fn filled(table: &Table) -> Result<Vec<TestRow>> {
    let texts: Vec<&str> = AWKWARD.into_iter().chain(["", "sel", "1", "01", "1.0"]).collect();
    let mut rows = Vec::new();
    for (id, text) in (0..).zip(&texts) {
        let other = texts[(id as usize + 3) % texts.len()];
        rows.push(TestRow::new(4 * id).with_cell("a", text));
        rows.push(TestRow::new(4 * id + 1).with_cell("b", text));
        rows.push(TestRow::new(4 * id + 2).with_cell("a", text).with_cell("b", other));
        rows.push(TestRow::new(4 * id + 3));
    }
    table.write(&rows).await?;
    Ok(rows)
}

async fn texts(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let rows = filled(&table).await?;
    let mut sets: Vec<Vec<&str>> = AWKWARD.iter().map(|text| vec![*text]).collect();
    sets.extend([vec![""], vec!["1"], vec!["select", "温度"], vec!["absent"], vec![]]);
    for names in [vec!["a"], vec!["b"], vec!["a", "b"], vec!["absent"], vec!["absent", "a"], vec![]] {
        for set in &sets {
            let predicate = Predicate::AnyText { names: arcs(&names), texts: arcs(set) };
            let holds = |row: &TestRow| names.iter().any(|name| row.cell(name).is_some_and(|text| set.contains(&text)));
            check(&table, &rows, vec![predicate], holds).await?;
        }
    }
    Ok(Verdict::Passed)
}

async fn presence(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let rows = filled(&table).await?;
    for names in [vec!["a"], vec!["b"], vec!["a", "b"], vec!["absent"], vec!["absent", "b"], vec![]] {
        let predicate = Predicate::AnyPresent { names: arcs(&names) };
        let holds = |row: &TestRow| names.iter().any(|name| row.cell(name).is_some());
        check(&table, &rows, vec![predicate], holds).await?;
    }
    Ok(Verdict::Passed)
}

async fn together(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let rows = filled(&table).await?;
    let predicates = vec![
        Predicate::AnyPresent { names: arcs(&["b"]) },
        Predicate::AnyText { names: arcs(&["a"]), texts: arcs(&["select", "", "BB"]) },
    ];
    let wanted = ["select", "", "BB"];
    let holds = |row: &TestRow| row.cell("b").is_some() && row.cell("a").is_some_and(|text| wanted.contains(&text));
    check(&table, &rows, predicates, holds).await?;
    Ok(Verdict::Passed)
}

async fn snapshot(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let before: Vec<TestRow> = (0..500).map(|id| TestRow::new(2 * id).with_cell("a", "before")).collect();
    for chunk in before.chunks(50) {
        table.write(chunk).await?;
    }
    let mut request = table.request().with_names(["a"]);
    request.batch_rows_max = 16;
    let mut batches = table.store.scan(request.clone());
    let mut found = Vec::new();
    let mut late = 0;
    while let Some(batch) = batches.next().await {
        found.extend(unpack(&request, &batch?)?);
        // Between any two rows, in the past and in the future of the scan.
        let rows: Vec<TestRow> = (late..late + 20).map(|id| TestRow::new(2 * id + 1).with_cell("a", "late")).collect();
        late += 20;
        table.write(&rows).await?;
        table.write(&before[..20]).await?;
        table.store.sync().await.into_result()?;
    }
    let distinct: BTreeSet<&TestRow> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "a row was seen twice");
    assert!(before.iter().all(|row| distinct.contains(row)), "a row was missed");
    assert_eq!(table.read(&[]).await?.len() as u64, 500 + late);
    Ok(Verdict::Passed)
}

async fn dropped(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let rows: Vec<TestRow> = (0..100).map(TestRow::new).collect();
    table.write(&rows).await?;
    let mut request = table.request();
    request.batch_rows_max = 3;
    for poll in 0..CANCEL_POLLS_MAX {
        cancelled_at(poll, table.store.scan(request.clone()).next()).await;
        cancelled_at(poll, table.store.sync()).await;
        let mut batches = table.store.scan(request.clone());
        batches.next().await.transpose()?;
    }
    assert_eq!(table.scan(request).await?, rows);
    Ok(Verdict::Passed)
}

async fn beyond(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let mut rows: Vec<TestRow> = Vec::new();
    for (index, name) in ["s0", "s1", "s2"].into_iter().enumerate() {
        let id = |number: u64| number * 3 + index as u64;
        // Positions do not follow time, as for late events.
        let of_shard = (0..40).map(|number| {
            TestRow::new(id(number)).with_position(name, (number * 7) % 40).with_cell("a", &(number % 4).to_string())
        });
        let of_shard: Vec<TestRow> = of_shard.collect();
        table.write(&of_shard).await?;
        if index == 1 {
            table.store.sync().await.into_result()?;
        }
        rows.extend(of_shard);
    }
    rows.sort();
    for (first, second) in
        [(None, None), (Some(0), None), (Some(17), Some(39)), (Some(39), Some(5)), (Some(99), Some(99))]
    {
        let lasts = [("s0", first), ("s1", second), ("s9", Some(50))];
        let lasts = lasts.into_iter().filter_map(|(name, last)| Some((shard(name), Position::from(last?))));
        let cover: Cover = lasts.collect();
        let wanted = |row: &&TestRow| !cover.contains(&shard(&row.shard), row.position);
        let expected: Vec<TestRow> = rows.iter().filter(wanted).cloned().collect();
        let found = table.scan(table.request().with_names(["a"]).beyond(cover.clone())).await?;
        assert_eq!(found, expected, "beyond {cover:?}");
        let predicate = Predicate::AnyText { names: arcs(&["a"]), texts: arcs(&["1", "2"]) };
        let request = table.request().with_names(["a"]).with_predicate(predicate).beyond(cover.clone());
        let found = table.scan(request.with_time(TimeRange { from: 9, to: 90 })).await?;
        let is_in_time = |row: &&TestRow| (9..90).contains(&row.time) && wanted(row);
        assert!(found.iter().all(|row| is_in_time(&row)), "beyond {cover:?}");
        let is_tested =
            |row: &&TestRow| is_in_time(row) && row.cell("a").is_some_and(|text| text == "1" || text == "2");
        assert!(expected.iter().filter(is_tested).all(|row| found.contains(row)), "beyond {cover:?}");
    }
    Ok(Verdict::Passed)
}
