//! A worker that dies, or is cut off, at each of its await points in turn: the table is whole every time.

use std::sync::Arc;

use fineo_conformance::{
    fault::{CrashPoints, FaultPlan, Faults, FaultyObjects, FaultyRepo},
    sweep, sweep_cancel,
};
use fineo_core::{Durability, Error, Result, SeededEntropy, SystemClock};
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use super::fixture::{Desk, cover, from_now, parquet};
use crate::{Change, Committed, FileSums, NewFile, Objects, Tables, TablesOptions};

/// The tables of a worker whose every call passes `points`.
fn worker(desk: &Desk, points: &CrashPoints) -> Tables {
    let faults = Faults::new(FaultPlan::new(0)).with_points(points.clone());
    let store: Arc<dyn ObjectStore> = Arc::new(FaultyObjects::new(Arc::clone(&desk.store) as _, &faults));
    let objects = Objects { store, url: Url::parse("memory:///").unwrap(), durability: Durability::Volatile };
    let repo = Arc::new(FaultyRepo::new(Arc::clone(&desk.repo) as _, &faults));
    // Without checkpoints: what replays the log for them has threads of its own, which a crash here would not end.
    let options = TablesOptions { commits_per_checkpoint: 0, ..TablesOptions::default() };
    Tables::with_options(objects, repo, Arc::new(SystemClock), Arc::new(SeededEntropy::new(9)), options)
}

/// Replaces whatever is there by one file of `rows` rows that covers up to `last`; does nothing when that is done.
async fn compact(desk: &Desk, tables: &Tables, hash: &str, rows: usize, last: u64) -> Result<()> {
    loop {
        let base = tables.snapshot(&desk.tenant, &desk.metric).await?;
        if base.cover.includes(&cover(last)) {
            return Ok(());
        }
        let path = base.new_path(desk.layout().day, hash)?;
        let bytes = parquet(&desk.layout(), rows);
        let sums = FileSums::of(&bytes);
        let object = tables.object_path(&desk.tenant, &desk.metric, &path);
        let put = tables.objects().store.put(&object, bytes.into()).await;
        put.map_err(|source| Error::unavailable("put").with_source(source))?;
        let add = vec![NewFile { path, positions: cover(last), is_part: false, sums }];
        let remove = base.files.iter().map(|file| Arc::clone(&file.path)).collect();
        let change = Change { add, remove, cover: cover(last), generation: None };
        match tables.commit(&base, change).await.into_result()? {
            Committed::Done(_) => return Ok(()),
            Committed::Conflict(_) => {}
        }
    }
}

/// What the worker does, beginning wherever an earlier one stopped.
async fn work(desk: &Desk, tables: &Tables) -> Result<()> {
    compact(desk, tables, "aa", 2, 10).await?;
    compact(desk, tables, "bb", 5, 20).await?;
    tables.raise_floor(&desk.tenant, &desk.metric, &cover(20)).await.into_result()?;
    tables.collect_garbage(&desk.tenant, &desk.metric, from_now(60)).await.into_result()?;
    compact(desk, tables, "cc", 7, 30).await
}

/// Every file of the table can be read, its rows are those of its cover, and the floor is not above it.
async fn check(desk: &Desk) -> Result<()> {
    let tables = desk.reopened();
    let snapshot = tables.snapshot(&desk.tenant, &desk.metric).await?;
    for file in &snapshot.files {
        tables.data_file(&snapshot, file).await?;
    }
    let rows =
        [(0, 0), (10, 2), (20, 5), (30, 7)].into_iter().rfind(|(last, _)| snapshot.cover.includes(&cover(*last)));
    let rows = if snapshot.version.is_none() { 0 } else { rows.map_or(0, |(_, rows)| rows) };
    assert_eq!(snapshot.rows(), rows, "the files are those of the cover");
    assert!(snapshot.cover.includes(&tables.floor(&desk.tenant, &desk.metric).await?));
    Ok(())
}

async fn run(points: CrashPoints) -> Result<()> {
    let desk = Desk::new();
    let tables = worker(&desk, &points);
    let finished = points.run(work(&desk, &tables)).await;
    drop(tables);
    check(&desk).await?;
    if finished.is_none() {
        work(&desk, &desk.reopened()).await?;
        check(&desk).await?;
    }
    let (latest, objects) = (desk.latest().await, desk.objects().await);
    assert_eq!((latest.rows(), latest.cover.clone()), (7, cover(30)));
    assert!(objects.contains(&latest.files[0].path.to_string()));
    // Whatever was collected was of an older boundary than anything that came after it.
    let collected = !objects.iter().any(|name| name.contains("part-aa-0"));
    assert!(collected && latest.boundary > 0, "{objects:?}");
    Ok(())
}

// U2, U3
#[tokio::test]
async fn a_worker_that_dies_anywhere_leaves_a_whole_table() {
    let swept = sweep(run).await.unwrap();
    assert!(swept.points > 60 && swept.interrupted == swept.points, "{swept}");
}

// N10
#[tokio::test]
async fn a_worker_that_is_cut_off_anywhere_leaves_a_whole_table() {
    let swept = sweep_cancel(run).await.unwrap();
    assert!(swept.points > 60 && swept.interrupted == swept.points, "{swept}");
}
