//! Writing rows: once each, the first wins, and what a restart leaves.

use std::slice;

use fineo_core::{
    Cover, Error, Outcome, Position, Result,
    nearline::{
        Damage,
        Written::{Conflict, Duplicate, New},
    },
};

use crate::{
    Case, Place, Restart, Verdict,
    case::cases,
    rows::{Table, TestRow, pack},
    support::{CANCEL_POLLS_MAX, RACERS, cancelled_at, race, restart, shard},
};

pub(in crate::cases) const CASES: &[Case] = cases! { Nearline:
    1 "a row written twice is read once, with its first position" twice,
    1 "a row that occurs twice in one write is read once" twice_at_once,
    1 "of many writers of one row one stores it" race_of_one,
    1 "a row written again after a sync and a restart is a duplicate" twice_across_restart,
    1 "a write that was dropped can be repeated" dropped,
    2 "a row whose event id is taken by other content changes nothing" conflict,
    2 "content decides over timestamps and cells" content_decides,
    3 "a scan sees what was written before it began" visible,
    4 "synced rows are there after a restart" restarted,
    4 "synced rows are there after a crash" crashed,
    4 "a crash leaves whole rows or none" crashed_whole,
    10 "removal removes exactly the rows that the cover contains" removed,
    10 "removal leaves other tenants and metrics alone" removed_alone,
    10 "a removed row may be written again" rewritten,
    10 "removing from a metric without rows removes none" removed_none,
    11 "a write answers one outcome per row, in order" outcomes,
    11 "a write of nothing answers nothing" nothing,
    14 "a store that nothing happened to has no damage, and what it does not know is mended without effect" undamaged,
};

async fn undamaged(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let row = TestRow::new(1).with_cell("a", "1");
    table.write(slice::from_ref(&row)).await?;
    table.store.sync().await.into_result()?;
    assert!(table.store.damages().await?.is_empty());
    let damage = Damage {
        tenant: table.tenant.clone(),
        metric: table.metric.clone(),
        unit: 1,
        rows: 1,
        positions: vec![(shard("s0"), Position::ZERO, Position::from(9))],
        error: Error::corrupt("nobody found this"),
    };
    table.store.mended(&damage).await.into_result()?;
    assert_eq!(table.read(&["a"]).await?, [row]);
    Ok(Verdict::Passed)
}

async fn twice(place: Box<dyn Place>) -> Result<Verdict> {
    let (table, other) = (Table::new(place.nearline().await?), Table::new(place.nearline().await?));
    let row = TestRow::new(1).with_cell("a", "1");
    assert_eq!(table.write(slice::from_ref(&row)).await?, [New]);
    for again in [row.clone(), row.clone().with_position("s0", 9), row.clone().with_position("s7", 1)] {
        assert_eq!(table.write(slice::from_ref(&again)).await?, [Duplicate]);
        table.store.sync().await.into_result()?;
        assert_eq!(other.write(&[again]).await?, [Duplicate]);
    }
    assert_eq!(table.read(&["a"]).await?, [row]);
    Ok(Verdict::Passed)
}

async fn twice_at_once(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let row = TestRow::new(1).with_cell("a", "1");
    let rows = [row.clone(), row.clone().with_position("s0", 2), row.clone().with_content(9)];
    assert_eq!(table.write(&rows).await?, [New, Duplicate, Conflict]);
    assert_eq!(table.read(&["a"]).await?, [row]);
    Ok(Verdict::Passed)
}

async fn race_of_one(place: Box<dyn Place>) -> Result<Verdict> {
    for round in 0..8 {
        let mut racers = Vec::new();
        for racer in 0..RACERS as u64 {
            let table = Table::new(place.nearline().await?);
            let row = TestRow::new(round).with_position("s0", racer + 1).with_cell("a", "1");
            racers.push(async move { table.write(&[row]).await });
        }
        let written = race(racers).await?.into_iter().collect::<Result<Vec<_>>>()?.concat();
        assert_eq!(written.iter().filter(|written| **written == New).count(), 1);
        assert_eq!(written.iter().filter(|written| **written == Duplicate).count(), RACERS - 1);
        let winner = written.iter().position(|written| *written == New).map(|racer| Position::from(racer as u64 + 1));
        let there = Table::new(place.nearline().await?).read(&["a"]).await?;
        assert_eq!(there.len() as u64, round + 1);
        assert_eq!(there.iter().find(|row| row.id == u128::from(round)).map(|row| row.position), winner);
    }
    Ok(Verdict::Passed)
}

async fn twice_across_restart(mut place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let durability = table.store.capabilities().durability;
    let row = TestRow::new(1).with_cell("a", "1");
    table.write(slice::from_ref(&row)).await?;
    table.store.sync().await.into_result()?;
    drop(table);
    if let Some(verdict) = restart(&mut place, durability, Restart::Clean).await? {
        return Ok(verdict);
    }
    let table = Table::new(place.nearline().await?);
    assert_eq!(table.write(&[row.clone().with_position("s0", 5)]).await?, [Duplicate]);
    assert_eq!(table.write(&[row.clone().with_content(5)]).await?, [Conflict]);
    assert_eq!(table.read(&["a"]).await?, [row]);
    Ok(Verdict::Passed)
}

async fn dropped(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let mut expected = Vec::new();
    for poll in 0..CANCEL_POLLS_MAX {
        let rows = [TestRow::new(2 * poll).with_cell("a", "1"), TestRow::new(2 * poll + 1).with_cell("a", "2")];
        cancelled_at(poll, table.store.write(&table.tenant, &table.metric, pack(&rows))).await;
        let again = table.write(&rows).await?;
        assert!(!again.contains(&Conflict), "{again:?}");
        expected.extend(rows);
    }
    assert_eq!(table.read(&["a"]).await?, expected);
    Ok(Verdict::Passed)
}

async fn conflict(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let first = TestRow::new(1).with_cell("a", "1");
    let second = first.clone().with_content(2).with_position("s0", 2).with_cell("b", "2");
    assert_eq!(table.write(slice::from_ref(&first)).await?, [New]);
    assert_eq!(table.write(slice::from_ref(&second)).await?, [Conflict]);
    table.store.sync().await.into_result()?;
    assert_eq!(table.write(&[second]).await?, [Conflict]);
    assert_eq!(table.read(&["a", "b"]).await?, [first]);
    Ok(Verdict::Passed)
}

async fn content_decides(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let first = TestRow::new(1).with_cell("a", "1");
    assert_eq!(table.write(slice::from_ref(&first)).await?, [New]);
    let moved = first.clone().with_time(1_000_000_000_000);
    assert_eq!(table.write(&[moved.clone(), moved.with_content(3)]).await?, [Duplicate, Conflict]);
    assert_eq!(table.read(&["a"]).await?, [first]);
    Ok(Verdict::Passed)
}

// F3
async fn visible(place: Box<dyn Place>) -> Result<Verdict> {
    let (table, other) = (Table::new(place.nearline().await?), Table::new(place.nearline().await?));
    let mut expected = Vec::new();
    for id in 0..20 {
        let row = TestRow::new(id).with_cell("a", &id.to_string());
        table.write(slice::from_ref(&row)).await?;
        expected.push(row);
        assert_eq!(table.read(&["a"]).await?, expected);
        assert_eq!(other.read(&["a"]).await?, expected);
        if id % 5 == 0 {
            table.store.sync().await.into_result()?;
        }
    }
    Ok(Verdict::Passed)
}

async fn survives(mut place: Box<dyn Place>, how: Restart) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let durability = table.store.capabilities().durability;
    let rows: Vec<TestRow> = (0..100).map(|id| TestRow::new(id).with_cell("a", &id.to_string())).collect();
    for chunk in rows.chunks(10) {
        table.write(chunk).await?;
        table.store.sync().await.into_result()?;
    }
    drop(table);
    if let Some(verdict) = restart(&mut place, durability, how).await? {
        return Ok(verdict);
    }
    let table = Table::new(place.nearline().await?);
    assert_eq!(table.read(&["a"]).await?, rows);
    assert_eq!(table.store.metrics(&table.tenant).await?, slice::from_ref(&table.metric));
    Ok(Verdict::Passed)
}

async fn restarted(place: Box<dyn Place>) -> Result<Verdict> {
    survives(place, Restart::Clean).await
}

async fn crashed(place: Box<dyn Place>) -> Result<Verdict> {
    survives(place, Restart::Crash).await
}

async fn crashed_whole(mut place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let row = |id: u64| TestRow::new(id).with_cell("a", "1").with_cell("b", "2");
    let rows: Vec<TestRow> = (0..90).map(row).collect();
    table.write(&rows[..50]).await?;
    table.store.sync().await.into_result()?;
    table.write(&rows[50..]).await?;
    drop(table);
    if !place.restart(Restart::Crash).await? {
        return Ok(Verdict::ignored("the backend cannot crash for a test"));
    }
    let table = Table::new(place.nearline().await?);
    let there = table.read(&["a", "b"]).await?;
    assert!(there.iter().all(|row| rows.contains(row)), "a part of a row is there");
    assert!(!table.write(&rows).await?.contains(&Conflict));
    assert_eq!(table.read(&["a", "b"]).await?, rows);
    Ok(Verdict::Passed)
}

fn cover(parts: &[(&str, u64)]) -> Cover {
    parts.iter().map(|(name, position)| (shard(name), Position::from(*position))).collect()
}

async fn removed(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let of_s0: Vec<TestRow> = (0..10).map(|id| TestRow::new(id).with_position("s0", id + 1)).collect();
    let of_s1: Vec<TestRow> = (10..20).map(|id| TestRow::new(id).with_position("s1", id - 9)).collect();
    table.write(&of_s0).await?;
    table.write(&of_s1).await?;
    let remove = |parts: &[(&str, u64)]| {
        let (table, cover) = (table.clone(), cover(parts));
        async move { table.store.remove(&table.tenant, &table.metric, &cover).await.into_result() }
    };
    assert_eq!(remove(&[]).await?, 0);
    assert_eq!(remove(&[("s2", 100)]).await?, 0);
    assert_eq!(remove(&[("s0", 4), ("s1", 7)]).await?, 11);
    assert_eq!(table.read(&[]).await?, [&of_s0[4..], &of_s1[7..]].concat());
    assert_eq!(remove(&[("s0", 4), ("s1", 7)]).await?, 0);
    table.store.sync().await.into_result()?;
    assert_eq!(remove(&[("s0", 100)]).await?, 6);
    assert_eq!(table.read(&[]).await?, of_s1[7..]);
    Ok(Verdict::Passed)
}

async fn removed_alone(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let other_tenant = Table { tenant: crate::support::tenant("acme.b"), ..table.clone() };
    let other_metric = Table { metric: fineo_core::MetricId::numbered(11), ..table.clone() };
    let row = TestRow::new(1);
    for table in [&table, &other_tenant, &other_metric] {
        table.write(slice::from_ref(&row)).await?;
    }
    let removed = table.store.remove(&table.tenant, &table.metric, &cover(&[("s0", 100)])).await.into_result()?;
    assert_eq!(removed, 1);
    assert_eq!(table.read(&[]).await?, []);
    assert_eq!(other_tenant.read(&[]).await?, slice::from_ref(&row));
    assert_eq!(other_metric.read(&[]).await?, [row]);
    Ok(Verdict::Passed)
}

async fn rewritten(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    table.write(&[TestRow::new(1)]).await?;
    table.store.remove(&table.tenant, &table.metric, &cover(&[("s0", 1)])).await.into_result()?;
    let again = TestRow::new(1).with_content(5).with_time(77).with_position("s0", 9).with_cell("a", "new");
    assert_eq!(table.write(&[again.clone(), again.clone()]).await?, [New, Duplicate]);
    assert_eq!(table.read(&["a"]).await?, [again]);
    Ok(Verdict::Passed)
}

async fn removed_none(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let removed = table.store.remove(&table.tenant, &table.metric, &cover(&[("s0", 1)])).await;
    assert_eq!(removed.into_result()?, 0);
    Ok(Verdict::Passed)
}

async fn outcomes(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    table.write(&[TestRow::new(2), TestRow::new(4)]).await?;
    let rows = [
        TestRow::new(1),
        TestRow::new(2),
        TestRow::new(3),
        TestRow::new(4).with_content(0),
        TestRow::new(1),
        TestRow::new(5),
    ];
    assert_eq!(table.write(&rows).await?, [New, Duplicate, New, Conflict, Duplicate, New]);
    Ok(Verdict::Passed)
}

async fn nothing(place: Box<dyn Place>) -> Result<Verdict> {
    let table = Table::new(place.nearline().await?);
    let outcomes: Vec<Outcome<_>> = table.store.write(&table.tenant, &table.metric, pack(&[])).await;
    assert!(outcomes.is_empty());
    assert_eq!(table.store.metrics(&table.tenant).await?, []);
    Ok(Verdict::Passed)
}
