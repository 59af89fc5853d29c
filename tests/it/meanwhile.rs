//! A backup while others work: whatever comes between two of its reads, what is restored is whole and goes on.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use fineo::{
    BackupReport, Clock, CompactOptions, ErrorKind, Fineo, Objects, Parts, Timestamp, core::SystemClock,
    ingest::PipelineOptions, schema::Change,
};
use fineo_conformance::fault::{
    Fault, FaultPlan, Faults, FaultyArchive, FaultyNearline, FaultyObjects, FaultyRepo, Operation, When,
};
use futures::{
    channel::oneshot,
    future::{BoxFuture, FutureExt, LocalBoxFuture},
    stream::{self, StreamExt},
};

use crate::{
    backup::Later,
    support::{ingest, rows, tenant, try_rows},
};

/// What a backup reads by.
const READS: [Operation; 9] = [
    Operation::RepoLatest,
    Operation::RepoHistory,
    Operation::RepoSubjects,
    Operation::RepoTenants,
    Operation::ArchiveSegments,
    Operation::ArchiveRead,
    Operation::NearlineScan,
    Operation::ObjectGet,
    Operation::ObjectList,
];

type Made = fineo::Result<BackupReport>;
type Backup<'a> = LocalBoxFuture<'a, Made>;
type Deed = Mutex<Option<BoxFuture<'static, ()>>>;

/// Does something before a read: each is late by a sleep on this clock.
struct Before {
    reads_left: AtomicI64,
    deed: Deed,
}

impl Before {
    /// Makes a backup and does `deed` before its read of this number, counted from 0. Whether it came to that.
    async fn read(&self, number: i64, deed: impl Future<Output = ()>, backup: Backup<'_>) -> (Made, bool) {
        let ((ask, asked), (done, is_done)) = (oneshot::channel(), oneshot::channel());
        let wait = async move {
            ask.send(()).unwrap();
            is_done.await.unwrap();
        };
        *self.deed.lock().unwrap() = Some(wait.boxed());
        self.reads_left.store(number, Ordering::SeqCst);
        let deed = async {
            let is_asked = asked.await.is_ok();
            if is_asked {
                deed.await;
                done.send(()).unwrap();
            }
            is_asked
        };
        let backup = async {
            let made = backup.await;
            self.reads_left.store(-1, Ordering::SeqCst);
            drop(self.deed.lock().unwrap().take());
            made
        };
        futures::join!(backup, deed)
    }
}

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Before").field("reads_left", &self.reads_left).finish_non_exhaustive()
    }
}

impl Clock for Before {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        let is_it = self.reads_left.fetch_sub(1, Ordering::SeqCst) == 0;
        let deed = is_it.then(|| self.deed.lock().unwrap().take()).flatten();
        deed.unwrap_or_else(|| std::future::ready(()).boxed())
    }
}

/// `parts`, before whose reads something may be done.
fn watched(parts: &Parts, before: &Arc<Before>) -> Parts {
    let late = |plan: FaultPlan, operation| plan.with_rule(operation, When::Always, Fault::Late(1));
    let faults = Faults::new(READS.into_iter().fold(FaultPlan::new(0), late)).with_clock(Arc::clone(before) as _);
    let objects = Arc::new(FaultyObjects::new(Arc::clone(&parts.objects.store), &faults));
    Parts {
        archive: Arc::new(FaultyArchive::new(Arc::clone(&parts.archive), &faults)),
        nearline: Arc::new(FaultyNearline::new(Arc::clone(&parts.nearline), &faults)),
        repo: Arc::new(FaultyRepo::new(Arc::clone(&parts.repo), &faults)),
        objects: Objects { store: objects, ..parts.objects.clone() },
        ..parts.clone()
    }
}

/// An instance, and another one on the same stores that carries no stages.
struct Both {
    worker: Fineo,
    fineo: Fineo,
    before: Arc<Before>,
}

/// Both with some rows that are in files and others that are not; `clock` is the worker's.
async fn begun(clock: Arc<dyn Clock>) -> Both {
    let fineo = Fineo::memory().open().await.unwrap();
    let parts = fineo.parts().clone();
    fineo.close().await.unwrap();
    let worker = Fineo::with_parts(parts.clone()).with_pipeline(often()).with_clock(clock).open().await.unwrap();
    let acme = tenant("acme");
    ingest(&worker, &acme, events(0..8)).await;
    worker.schema(&acme).declare(r#"{"metrics": {"room": {"fields": {"temp": {"type": "double"}}}}}"#).await.unwrap();
    wait_until_cut(&worker).await;
    compact(&worker).await;
    ingest(&worker, &acme, events(8..12)).await;
    let before = Arc::new(Before { reads_left: AtomicI64::new(-1), deed: Mutex::default() });
    let beside = PipelineOptions::default().with_is_alone(false).with_runs_stages(false);
    let fineo = Fineo::with_parts(watched(&parts, &before)).with_pipeline(beside).open().await.unwrap();
    Both { worker, fineo, before }
}

/// What is taken in is archived at once.
fn often() -> PipelineOptions {
    PipelineOptions::default().with_cut_after(Duration::from_millis(10))
}

fn events(numbers: std::ops::Range<i64>) -> String {
    let event =
        |number| format!(r#"{{"metrictype":"room","timestamp":{number},"temp":"{number}.5","n":{number},"k":"v"}}"#);
    numbers.map(event).collect()
}

/// Everything that was accepted is in segments.
async fn wait_until_cut(fineo: &Fineo) {
    while fineo.pipeline().status().await.unwrap().shards.iter().any(|shard| shard.tail > shard.checkpoint) {
        SystemClock.sleep(Duration::from_millis(5)).await;
    }
}

fn at_once() -> CompactOptions {
    CompactOptions::default().with_pin_for(Duration::ZERO).with_retain_for(Duration::ZERO).with_small_files_max(1)
}

/// Files of today are replaced, and what they replace is gone at once.
async fn compact(fineo: &Fineo) {
    for _ in 0..2 {
        let report = fineo.compact(at_once()).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
    }
}

/// A change of a schema, a new metric, a new tenant, a cut, new files.
async fn work(fineo: &Fineo) {
    let acme = tenant("acme");
    let [name, field_type] = ["n", "long"].map(str::to_owned);
    let field = Change::AddField { metric: "room".to_owned(), name, field_type, aliases: Vec::new(), unit: None };
    fineo.schema(&acme).apply(vec![field]).await.unwrap();
    ingest(fineo, &acme, format!("{}{}", events(100..103), r#"{"metrictype":"hall","timestamp":1,"n":1}"#)).await;
    ingest(fineo, &tenant("newcomer"), r#"{"metrictype":"shed","timestamp":1,"n":1}{"n":2}"#).await;
    wait_until_cut(fineo).await;
    compact(fineo).await;
}

/// What is wrong with the instance that is restored of `copy`: nothing.
async fn restored(copy: &Path) -> Result<(), String> {
    let place = tempfile::tempdir().unwrap();
    let (home, acme) = (place.path().join("home"), tenant("acme"));
    Fineo::local(&home).restore_from(copy).await.map_err(|error| format!("not restored: {error}"))?;
    let fineo = Fineo::local(&home).with_pipeline(often()).open().await.unwrap();
    let is = async |who: &str, sql: &str, wanted: &[String]| {
        let found = try_rows(&fineo.session(&tenant(who)), sql).await.map_err(|error| format!("{sql}: {error}"))?;
        if found == wanted { Ok(()) } else { Err(format!("{who} {sql}: {found:?} and not {wanted:?}")) }
    };
    is("acme", OLD, &old()).await?;
    is("acme", "SELECT code, message FROM errors.stream", &[]).await?;
    let counted = rows(&fineo, &acme, "SELECT count(k) FROM room").await;
    is("acme", "SELECT count FROM fineo_discovered WHERE metric = 'room' AND name = 'k'", &counted).await?;
    // Who comes anew gets nothing of what came to others meanwhile.
    for who in ["acme", "newcomer"] {
        ingest(&fineo, &tenant(who), r#"{"metrictype":"yard","timestamp":7,"n":7}"#).await;
    }
    wait_until_cut(&fineo).await;
    compact(&fineo).await;
    for who in ["acme", "newcomer"] {
        let found = try_rows(&fineo.session(&tenant(who)), "SELECT timestamp, n FROM yard").await;
        let found = found.map_err(|error| format!("{who}: {error}"))?;
        if found.len() != 1 || !found[0].ends_with("|7") {
            return Err(format!("{who}: {found:?} of yard"));
        }
    }
    let found = rows(&fineo, &acme, OLD).await;
    fineo.close().await.unwrap();
    if found == old() { Ok(()) } else { Err(format!("once compacted: {found:?}")) }
}

/// What was accepted before.
const OLD: &str = "SELECT n, temp FROM room WHERE CAST(n AS BIGINT) < 100 ORDER BY timestamp";

fn old() -> Vec<String> {
    (0..12).map(|number| format!("{number}|{number}.5")).collect()
}

/// What comes of backups, before one read of each of which something is done: `each` is given its number, and tells whether it came to
/// that, too.
async fn at_reads<T, F: Future<Output = (T, bool)>>(step: usize, each: impl Fn(i64) -> F) -> Vec<T> {
    let (mut found, mut all) = (Vec::new(), stream::iter((0..).step_by(step)).map(each).buffered(8));
    while let Some((one, has_come)) = all.next().await {
        found.push(one);
        if !has_come {
            break;
        }
    }
    assert!(found.len() * step > 50, "{} reads are no backup", found.len());
    found
}

// U1, U2
#[tokio::test]
async fn whatever_comes_between_two_reads_of_a_backup_it_can_be_restored() {
    let found = at_reads(1, |number| async move {
        let Both { worker, fineo, before } = begun(Arc::new(SystemClock)).await;
        let place = tempfile::tempdir().unwrap();
        let backup = fineo.backup(place.path().join("copy")).boxed_local();
        let (backup, has_come) = before.read(number, work(&worker), backup).await;
        let is_right = match backup {
            Ok(_) => restored(&place.path().join("copy")).await,
            Err(error) => Err(format!("no backup: {error}")),
        };
        (is_right.map_err(|error| format!("before read {number}: {error}")), has_come)
    });
    let wrong: Vec<String> = found.await.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Compaction that was behind files old records, and lets go of their segments.
async fn let_go(fineo: &Fineo, clock: &Later) {
    clock.0.store(20 * 86_400_000_000, Ordering::SeqCst);
    let old = at_once().with_archive_retain(Some(Duration::from_secs(10 * 86_400)));
    let report = fineo.compact(old).await.unwrap();
    assert!(report.failed.is_empty() && report.expired_segments > 0, "{report:?}");
}

// D8, U1
#[tokio::test]
async fn records_that_the_archive_lets_go_of_during_a_backup_are_in_its_files_or_there_is_no_backup() {
    let found = at_reads(5, |number| async move {
        let clock = Arc::new(Later::default());
        let Both { worker, fineo, before } = begun(Arc::clone(&clock) as _).await;
        wait_until_cut(&worker).await;
        let place = tempfile::tempdir().unwrap();
        let backup = fineo.backup(place.path().join("copy")).boxed_local();
        let (backup, has_come) = before.read(number, let_go(&worker, &clock), backup).await;
        let found = match backup {
            Ok(_) => restored(&place.path().join("copy")).await.map(|()| false),
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(true),
            Err(error) => Err(error.to_string()),
        };
        (found.map_err(|error| format!("before read {number}: {error}")), has_come)
    });
    let found: Result<Vec<bool>, String> = found.await.into_iter().collect();
    let found = found.unwrap();
    assert!(found.contains(&true) && found.contains(&false), "{found:?}");
}

// U1
#[tokio::test]
async fn a_backup_beside_those_who_carry_the_stages_waits_for_them() {
    let Both { worker, fineo, .. } = begun(Arc::new(SystemClock)).await;
    let receipt = fineo.ingest(&tenant("acme"), events(12..14)).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let report = fineo.backup(place.path().join("copy")).await.unwrap();
    assert!(report.segments >= 4, "{report:?}");
    worker.wait_until_queryable(&receipt).await.unwrap();
}
