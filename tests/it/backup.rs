//! A backup, and the instance that is made of it.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use fineo::{
    CompactOptions, ErrorKind, Fineo, Parts, ReplayRequest, Restore, Stage, TenantId,
    core::{
        Clock, MetricId, SystemClock, Timestamp,
        archive::{SegmentKind, SegmentQuery},
        repo::{Keep, Subject, Version, Write},
    },
};
use fineo_conformance::fault::{ColdArchive, Freezer, LateArchive};
use futures::{TryStreamExt, future::BoxFuture};

use crate::support::{ingest, rows, tenant};

const DAY: i64 = 86_400_000;

fn events(from: i64, to: i64) -> String {
    let line = |number: i64| {
        let value = if number % 7 == 0 { "warm".to_owned() } else { format!("{number}.50") };
        format!(
            "{{\"metrictype\":\"{}\",\"timestamp\":{},\"device\":\"d{}\",\"temp\":\"{value}\",\"Load {}\":{number}}}\n",
            if number % 5 == 0 { "pump" } else { "thermostat" },
            1_700_000_000_000 + number * DAY / 8,
            number % 3,
            number % 4
        )
    };
    (from..to).map(line).collect()
}

const QUESTIONS: [&str; 9] = [
    "SELECT * FROM thermostat ORDER BY timestamp, _fineo_event_id",
    "SELECT _fineo_event_id, _fineo_alias, _fineo_ingested_at, timestamp FROM pump ORDER BY 1",
    "SELECT device, count(*), sum(t) FROM thermostat GROUP BY device ORDER BY device",
    "SELECT count(*) FROM thermostat WHERE temperature > 10 AND device = 'd1'",
    "SELECT metric, field, alias, count, first_seen, last_seen FROM fineo_conflicts ORDER BY 1, 2, 3",
    "SELECT metric, name, count FROM fineo_discovered ORDER BY 1, 2",
    "SELECT stage, class, code, message, raw, metric, received_at, handled_at, replay_pointer, repaired_at FROM errors.stream ORDER BY raw",
    "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY 1, 2",
    "SELECT count(*), count(temp) FROM thermostat WHERE temp IS NULL OR temp > 40",
];

async fn answers(fineo: &Fineo) -> Vec<Vec<String>> {
    let mut answers = Vec::new();
    for who in ["acme", "other"] {
        for sql in QUESTIONS {
            answers.push(rows(fineo, &tenant(who), sql).await);
        }
    }
    answers
}

/// An instance with files, rows that only files have, nearline rows, errors, repairs and a history.
async fn furnish(fineo: &Fineo) {
    for who in ["acme", "other"] {
        let who = tenant(who);
        ingest(fineo, &who, events(0, 60)).await;
        let schema = fineo.schema(&who);
        let declared = r#"{"metrics": {"thermostat": {"fields": {"temperature": {"type": "double", "aliases": ["temp", "t"]}}}, "pump": {}}}"#;
        schema.declare(declared).await.unwrap();
        ingest(fineo, &who, r#"{"metrictype":"pump","timestamp":"19/01/2026 12:00","a":1}{"metrictype":"pump","a":2}"#)
            .await;
        schema.declare(r#"{"timestamp_formats": ["%d/%m/%Y %H:%M"], "retain_days": "forever"}"#).await.unwrap();
        let request = fineo::ReplayRequest::new(fineo::Stage::Raw, who.clone());
        assert_eq!(fineo.replay_errors_where(request, "raw LIKE '%19/01%'").await.unwrap().repaired, 1);
    }
}

async fn opened(directory: &Path) -> Fineo {
    Fineo::local(directory).open().await.unwrap()
}

// D2, D7, U1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_instance_answers_as_the_one_that_was_backed_up() {
    let place = tempfile::tempdir().unwrap();
    let (home, copy, again) = (place.path().join("home"), place.path().join("copy"), place.path().join("again"));
    let fineo = opened(&home).await;
    furnish(&fineo).await;
    fineo.close().await.unwrap();
    let fineo = opened(&home).await;
    let at_once = CompactOptions::default().with_pin_for(Duration::ZERO).with_retain_for(Duration::ZERO);
    fineo.compact(at_once.clone()).await.unwrap();
    // What comes now is nearline only, and comes back out of the archive.
    ingest(&fineo, &tenant("acme"), events(40, 90)).await;
    let wanted = answers(&fineo).await;
    let report = fineo.backup(&copy).await.unwrap();
    assert!(report.tables >= 4 && report.segments >= 4 && report.error_rows >= 6, "{report:?}");
    assert_eq!(answers(&fineo).await, wanted);
    let refused = fineo.backup(&copy).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    let file = copy.join("backup.json");
    for nowhere in [file.join("within"), file] {
        let refused = fineo.backup(&nowhere).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
        let told = refused.to_string();
        assert!(told.contains("backup.json") && told.contains("name another folder"), "{told}");
    }
    fineo.close().await.unwrap();

    assert_eq!(Fineo::local(&again).restore_from(&copy).await.unwrap(), report);
    assert_eq!(Fineo::local(&again).restore_from(&copy).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let restored = opened(&again).await;
    assert_eq!(answers(&restored).await, wanted);
    // It goes on: what is sent again is known, what is new is seen, compacted, and nothing is there twice.
    ingest(&restored, &tenant("acme"), events(30, 60)).await;
    assert_eq!(rows(&restored, &tenant("acme"), QUESTIONS[0]).await, wanted[0]);
    ingest(&restored, &tenant("acme"), events(90, 100)).await;
    let count = "SELECT count(*), count(DISTINCT _fineo_event_id) FROM thermostat";
    assert_eq!(rows(&restored, &tenant("acme"), count).await, ["80|80"]);
    restored.close().await.unwrap();
    let restored = opened(&again).await;
    restored.compact(at_once).await.unwrap();
    assert_eq!(rows(&restored, &tenant("acme"), count).await, ["80|80"]);
    let nearline = restored.parts().nearline.metrics(&tenant("acme")).await.unwrap();
    assert!(!nearline.contains(&MetricId::numbered(1)), "they left the nearline store: {nearline:?}");
}

// D7: nothing is made of a backup that is not whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_refused_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    let (home, copy) = (place.path().join("home"), place.path().join("copy"));
    let fineo = opened(&home).await;
    ingest(&fineo, &tenant("acme"), events(0, 9)).await;
    fineo.backup(&copy).await.unwrap();
    fineo.close().await.unwrap();
    let target = place.path().join("target");
    let check = async |what: &str, kind: ErrorKind| {
        let error = Fineo::local(&target).restore_from(&copy).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(!target.exists(), "{what}");
    };
    let subjects = copy.join("subjects.ndjson");
    let whole = fs::read(&subjects).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (what, bytes) in [("a flipped bit", &flipped[..]), ("a torn end", &whole[..whole.len() - 1]), ("nothing", b"")]
    {
        fs::write(&subjects, bytes).unwrap();
        check(what, ErrorKind::Corrupt).await;
    }
    fs::remove_file(&subjects).unwrap();
    check("a missing file", ErrorKind::Corrupt).await;
    fs::write(&subjects, &whole).unwrap();
    let list = copy.join("backup.json");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, text.replace("subjects.ndjson", "../subjects.ndjson")).unwrap();
    check("a file outside", ErrorKind::Corrupt).await;
    fs::write(&list, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    check("another format", ErrorKind::Unsupported).await;
    fs::remove_file(&list).unwrap();
    check("one that was not finished", ErrorKind::NotFound).await;
    fs::write(&list, &text).unwrap();
    Fineo::local(&target).restore_from(&copy).await.unwrap();
}

// D7: who was only asked for has a lease at most, and is no tenant that could be missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_an_instance_that_was_asked_for_nobody_is_restored() {
    let place = tempfile::tempdir().unwrap();
    let (home, copy, again) = (place.path().join("home"), place.path().join("copy"), place.path().join("again"));
    let fineo = opened(&home).await;
    ingest(&fineo, &tenant("acme"), events(0, 9)).await;
    let subject = Subject::tenant(&tenant("nosuch"), "lease/compaction", Keep::Latest).unwrap();
    let lease = Write { subject, expected: Version::NONE, body: Some("{}".into()) };
    fineo.parts().repo.append(vec![lease], Timestamp::default()).await.into_result().unwrap();
    assert_eq!(fineo.parts().repo.tenants().await.unwrap().len(), 2);
    let report = fineo.backup(&copy).await.unwrap();
    fineo.close().await.unwrap();
    assert_eq!(report.tenants, 1);
    assert_eq!(Fineo::local(&again).restore_from(&copy).await.unwrap(), report);
}

// D1, D2: streams that are empty since a restore go on behind what was archived all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backup_of_a_restored_instance_is_restored_into_one_that_takes_events_in() {
    let place = tempfile::tempdir().unwrap();
    let home = |number: usize| place.path().join(format!("home {number}"));
    let fineo = opened(&home(0)).await;
    ingest(&fineo, &tenant("acme"), events(0, 30)).await;
    fineo.backup(place.path().join("copy 0")).await.unwrap();
    fineo.close().await.unwrap();
    for number in 1..4 {
        Fineo::local(home(number)).restore_from(place.path().join(format!("copy {}", number - 1))).await.unwrap();
        let fineo = opened(&home(number)).await;
        fineo.backup(place.path().join(format!("copy {number}"))).await.unwrap();
        fineo.close().await.unwrap();
    }
    let fineo = opened(&home(3)).await;
    ingest(&fineo, &tenant("acme"), events(30, 40)).await;
    let count = "SELECT (SELECT count(*) FROM thermostat) + (SELECT count(*) FROM pump)";
    assert_eq!(rows(&fineo, &tenant("acme"), count).await, ["40"]);
    fineo.close().await.unwrap();
}

// D7: what is half of an instance is not taken for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_whose_restore_was_broken_off_does_not_open() {
    let place = tempfile::tempdir().unwrap();
    let (home, copy, again) = (place.path().join("home"), place.path().join("copy"), place.path().join("again"));
    let fineo = opened(&home).await;
    ingest(&fineo, &tenant("acme"), events(0, 9)).await;
    fineo.backup(&copy).await.unwrap();
    fineo.close().await.unwrap();
    {
        let mut restoring = Box::pin(Fineo::local(&again).restore_from(&copy));
        assert!(futures::poll!(&mut restoring).is_pending());
    }
    let refused = Fineo::local(&again).open().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    assert!(refused.to_string().contains("remove it and restore again"), "{refused}");
    assert_eq!(Fineo::local(&again).restore_from(&copy).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn only_a_directory_can_be_restored_into() {
    let place = tempfile::tempdir().unwrap();
    let error = Fineo::memory().restore_from(place.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

// D8
#[tokio::test(start_paused = true)]
async fn a_backup_stops_at_a_cold_segment_and_is_whole_once_that_is_restored() {
    let acme = tenant("acme");
    let fineo = Fineo::memory().open().await.unwrap();
    ingest(&fineo, &acme, events(0, 9)).await;
    let (parts, freezer) = (fineo.parts().clone(), Freezer::new(2));
    fineo.close().await.unwrap();
    let query = SegmentQuery::new(Stage::Raw, SegmentKind::Received);
    let segments: Vec<_> = parts.archive.segments(query).try_collect().await.unwrap();
    freezer.freeze(&segments[0].name, segments[0].name.time);

    let archive = Arc::new(ColdArchive::new(Arc::clone(&parts.archive), &freezer));
    let fineo = Fineo::with_parts(Parts { archive, ..parts }).open().await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let error = fineo.backup(place.path().join("first")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cold, "{error}");
    let request = ReplayRequest::new(Stage::Raw, acme);
    let restored = fineo.restore_cold(&request, Restore::for_days(1).unwrap(), &|_| {}).await.unwrap();
    assert_eq!((restored.segments, restored.back), (1, 1));
    let report = fineo.backup(place.path().join("second")).await.unwrap();
    assert!(report.segments >= 2, "{report:?}");
    fineo.close().await.unwrap();
}

// D2, D8
#[tokio::test]
async fn a_backup_waits_for_segments_on_their_way_and_is_whole_once_they_are_listed() {
    let acme = tenant("acme");
    let fineo = Fineo::memory().open().await.unwrap();
    let parts = fineo.parts().clone();
    fineo.close().await.unwrap();
    let late = Arc::new(LateArchive::new(Arc::clone(&parts.archive), Duration::from_secs(600)));
    let parts = Parts { archive: Arc::clone(&late) as _, ..parts };
    thrice(&parts, &acme).await;
    let fineo = Fineo::with_parts(parts).open().await.unwrap();
    let wanted = rows(&fineo, &acme, QUESTIONS[0]).await;
    let place = tempfile::tempdir().unwrap();
    let (copy, again) = (place.path().join("copy"), place.path().join("again"));
    let received = |stage: Stage| {
        let mut names = late.on_their_way();
        names.retain(|name| name.stage == stage && name.kind == SegmentKind::Received);
        names
    };
    // Of each stage one at a time is not listed: it takes one of them for the backup to wait.
    let left = [received(Stage::Raw)[1].clone(), received(Stage::Staged)[0].clone()];
    for name in late.on_their_way().iter().filter(|name| !left.contains(name)) {
        late.deliver(name).await.unwrap();
    }
    tokio::time::pause();
    for name in &left {
        let error = fineo.backup(&copy).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("still on their way"), "{error}");
        late.deliver(name).await.unwrap();
    }
    tokio::time::resume();
    let report = fineo.backup(&copy).await.unwrap();
    assert!(report.segments >= 6, "{report:?}");
    fineo.close().await.unwrap();
    assert_eq!(Fineo::local(&again).restore_from(&copy).await.unwrap(), report);
    let restored = opened(&again).await;
    assert_eq!(rows(&restored, &acme, QUESTIONS[0]).await, wanted);
    restored.close().await.unwrap();
}

/// Sends three lots of events, each in a segment of its own of each stage.
async fn thrice(parts: &Parts, acme: &TenantId) {
    for from in [0, 30, 60] {
        let fineo = Fineo::with_parts(parts.clone()).open().await.unwrap();
        ingest(&fineo, acme, events(from, from + 30)).await;
        fineo.close().await.unwrap();
    }
}

// D8
#[tokio::test]
async fn a_backup_of_an_archive_that_lacks_a_segment_ends_with_an_error() {
    let acme = tenant("acme");
    for (stage, place) in [(Stage::Raw, 0), (Stage::Raw, 1), (Stage::Staged, 1), (Stage::Staged, 2)] {
        let fineo = Fineo::memory().open().await.unwrap();
        let parts = fineo.parts().clone();
        fineo.close().await.unwrap();
        thrice(&parts, &acme).await;
        let query = SegmentQuery::new(stage, SegmentKind::Received);
        let segments: Vec<_> = parts.archive.segments(query).try_collect().await.unwrap();
        assert_eq!(segments.len(), 3, "{stage}");
        parts.archive.remove(&segments[place].name).await.into_result().unwrap();

        let fineo = Fineo::with_parts(parts).open().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let error = fineo.backup(folder.path().join("copy")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{stage} {place}: {error}");
        assert!(!folder.path().join("copy").join("backup.json").exists(), "{stage} {place}");
        fineo.close().await.unwrap();
    }
}

/// The machine's clock, so many microseconds later.
#[derive(Debug, Default)]
pub(crate) struct Later(pub(crate) AtomicI64);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_micros(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(wait)
    }
}

// U2, D8
#[tokio::test]
async fn what_is_replaced_and_let_go_while_a_backup_waits_harms_nothing_of_it() {
    let acme = tenant("acme");
    let fineo = Fineo::memory().open().await.unwrap();
    let parts = fineo.parts().clone();
    fineo.close().await.unwrap();
    let late = Arc::new(LateArchive::new(Arc::clone(&parts.archive), Duration::from_secs(600)));
    let parts = Parts { archive: Arc::clone(&late) as _, ..parts };
    thrice(&parts, &acme).await;
    late.deliver_all().await.unwrap();
    let clock = Arc::new(Later::default());
    clock.0.store(20 * DAY * 1_000, Ordering::SeqCst);
    let at_once = CompactOptions::default().with_pin_for(Duration::ZERO).with_retain_for(Duration::ZERO);
    let open = async || Fineo::with_parts(parts.clone()).with_clock(Arc::clone(&clock) as _).open().await.unwrap();
    let fineo = open().await;
    fineo.compact(at_once.clone()).await.unwrap();
    ingest(&fineo, &acme, events(90, 120)).await;
    fineo.close().await.unwrap();
    let left: Vec<_> = late.on_their_way().into_iter().filter(|name| name.stage == Stage::Raw).collect();
    for name in late.on_their_way().iter().filter(|name| !left.contains(name)) {
        late.deliver(name).await.unwrap();
    }

    let fineo = open().await;
    let wanted = rows(&fineo, &acme, QUESTIONS[0]).await;
    let place = tempfile::tempdir().unwrap();
    let (copy, again) = (place.path().join("copy"), place.path().join("again"));
    let mut backup = Box::pin(fineo.backup(&copy));
    tokio::time::pause();
    assert!(tokio::time::timeout(Duration::from_secs(60), &mut backup).await.is_err(), "it waits");
    tokio::time::resume();
    let anew = at_once.clone().with_small_files_max(1).with_archive_retain(Some(Duration::from_secs(10 * 86_400)));
    let (mut collected, mut expired) = (0, 0);
    for _ in 0..2 {
        let report = fineo.compact(anew.clone()).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        collected += report.tenants.iter().map(|tenant| tenant.collected_files).sum::<u64>();
        expired += report.expired_segments;
        clock.0.fetch_add(7_200_000_000, Ordering::SeqCst);
    }
    assert!(collected > 0 && expired == 6, "{collected} {expired}");
    late.deliver_all().await.unwrap();
    tokio::time::pause();
    let report = backup.await.unwrap();
    tokio::time::resume();
    fineo.close().await.unwrap();
    assert_eq!(Fineo::local(&again).restore_from(&copy).await.unwrap(), report);
    let restored = opened(&again).await;
    assert_eq!(rows(&restored, &acme, QUESTIONS[0]).await, wanted);
    restored.close().await.unwrap();
}
