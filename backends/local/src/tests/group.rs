//! Appends to the repository that wait together share a transaction.

use std::{fs, path::Path, sync::Arc};

use bytes::Bytes;
use fineo_core::{
    ErrorKind, Outcome, SchemaRepo, Timestamp,
    repo::{Compared, Keep, Subject, Version, Write},
};
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};

use super::{
    fault_disk::FaultDisk,
    fixture::{open, small},
};
use crate::LocalDirectory;

fn subject(name: &str) -> Subject {
    Subject::system(name, Keep::History).unwrap()
}

fn write(name: &str, expected: u64, body: &str) -> Write {
    Write { subject: subject(name), expected: Version(expected), body: Some(Bytes::from(body.to_owned())) }
}

fn open_on(disk: &FaultDisk, path: &Path) -> LocalDirectory {
    LocalDirectory::open_on(Arc::new(disk.clone()), path, small().with_fsync(true)).unwrap()
}

type Appending = BoxFuture<'static, Outcome<Compared>>;

/// Hands in an append, which waits as long as syncs are held.
fn handed_in(repo: &Arc<dyn SchemaRepo>, writes: Vec<Write>) -> Appending {
    let repo = Arc::clone(repo);
    let mut append = async move { repo.append(writes, Timestamp::MIN).await }.boxed();
    assert!((&mut append).now_or_never().is_none());
    append
}

/// Holds syncs, and hands in one append that keeps the turn until they are released.
fn held(disk: &FaultDisk, repo: &Arc<dyn SchemaRepo>) -> Appending {
    disk.hold_syncs();
    handed_in(repo, vec![write("first", 0, "x")])
}

async fn stands(repo: &Arc<dyn SchemaRepo>, name: &str) -> Vec<String> {
    let versions = repo.history(&subject(name), Version(1), 100).await.unwrap();
    assert!(versions.iter().zip(1..).all(|(found, number)| found.version == Version(number)));
    let latest = repo.latest(&subject(name)).await.unwrap();
    assert_eq!(latest.as_ref(), versions.last());
    versions.iter().map(|found| String::from_utf8(found.body.to_vec()).unwrap()).collect()
}

fn written(outcome: Outcome<Compared>) -> bool {
    match outcome.into_result().unwrap() {
        Compared::Written => true,
        Compared::Conflict { .. } => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_that_wait_together_cost_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::default();
    let directory = open_on(&disk, folder.path());
    let repo = directory.repo();
    let before = disk.syncs();
    let first = held(&disk, &repo);
    let appends: Vec<Appending> =
        (0..1000).map(|number| handed_in(&repo, vec![write(&format!("a{number}"), 0, "x")])).collect();
    disk.release_syncs();
    assert!(written(first.await));
    assert!(join_all(appends).await.into_iter().all(written));
    // The first may have been taken alone, and a file that grows is synced for it.
    assert!(disk.syncs() - before <= 10, "{} syncs", disk.syncs() - before);
    drop((repo, directory));
    let directory = open(folder.path());
    for number in 0..1000 {
        assert_eq!(stands(&directory.repo(), &format!("a{number}")).await, ["x"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_of_one_group_are_made_in_order_each_on_what_those_before_it_left() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::default();
    let directory = open_on(&disk, folder.path());
    let repo = directory.repo();
    let first = held(&disk, &repo);
    let appends = [
        vec![write("a", 0, "a1"), write("b", 0, "b1")],
        vec![write("a", 0, "another")],
        vec![write("a", 1, "a2")],
        // What stands otherwise keeps all of it from being made.
        vec![write("c", 0, "never"), write("b", 0, "never")],
        vec![write("b", 1, "b2"), write("c", 0, "c1")],
        vec![write("a", 2, "a3")],
    ];
    let appends = appends.map(|writes| handed_in(&repo, writes));
    disk.release_syncs();
    assert!(written(first.await));
    let answers: Vec<_> = join_all(appends).await.into_iter().map(|outcome| outcome.into_result().unwrap()).collect();
    let stands_at = |name, current| Compared::Conflict { subject: subject(name), current: Version(current) };
    let made = Compared::Written;
    assert_eq!(answers, [made.clone(), stands_at("a", 1), made.clone(), stands_at("b", 1), made.clone(), made]);
    assert_eq!(stands(&repo, "a").await, ["a1", "a2", "a3"]);
    assert_eq!(stands(&repo, "b").await, ["b1", "b2"]);
    assert_eq!(stands(&repo, "c").await, ["c1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_does_not_stop_what_it_handed_in() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::default();
    let directory = open_on(&disk, folder.path());
    let repo = directory.repo();
    let first = held(&disk, &repo);
    let gone = handed_in(&repo, vec![write("a", 0, "of one that went away")]);
    let waits = handed_in(&repo, vec![write("b", 0, "b1")]);
    // Who has the turn goes away too.
    drop((first, gone));
    disk.release_syncs();
    assert!(written(waits.await));
    assert_eq!(stands(&repo, "first").await, ["x"]);
    assert_eq!(stands(&repo, "a").await, ["of one that went away"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_is_everybodys_and_nobody_is_told_that_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::default();
    let directory = open_on(&disk, folder.path());
    let repo = directory.repo();
    assert!(written(repo.append(vec![write("a", 0, "a1")], Timestamp::MIN).await));
    let first = held(&disk, &repo);
    let appends = [vec![write("a", 1, "a2")], vec![write("a", 0, "conflict")], vec![write("b", 0, "b1")]];
    let appends = appends.map(|writes| handed_in(&repo, writes));
    disk.fail_sync(0);
    disk.release_syncs();
    for outcome in join_all([first].into_iter().chain(appends)).await {
        assert!(!outcome.is_done(), "{outcome:?}");
        assert_eq!(outcome.into_result().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let late = repo.append(vec![write("late", 0, "x")], Timestamp::MIN).await;
    assert!(matches!(late, Outcome::NotDone(_)), "the directory is poisoned: {late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_within_the_database_is_told_to_everybody_and_nobody_waits_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::default();
    let directory = open_on(&disk, folder.path());
    let repo = directory.repo();
    let first = held(&disk, &repo);
    let appends: Vec<_> = (0..9).map(|number| handed_in(&repo, vec![write(&format!("a{number}"), 0, "x")])).collect();
    disk.panic_at_sync();
    disk.release_syncs();
    let mut damaged = 0;
    for outcome in join_all([first].into_iter().chain(appends)).await {
        if let Err(error) = outcome.into_result() {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            // Those that came behind the panic were not begun.
            damaged += usize::from(error.may_have_applied());
        }
    }
    assert!(damaged > 0);
    // It is answered, whatever.
    let _ = repo.append(vec![write("late", 0, "x")], Timestamp::MIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_for_ever_is_packed_and_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open_on(&FaultDisk::default(), folder.path());
    let repo = directory.repo();
    let body = "the body of a schema ".repeat(400);
    assert!(written(repo.append(vec![write("a", 0, &body)], Timestamp::MIN).await));
    assert_eq!(stands(&repo, "a").await, std::slice::from_ref(&body));
    let bytes = fs::read(folder.path().join("repo.redb")).unwrap();
    assert!(!bytes.windows(body.len()).any(|found| found == body.as_bytes()));
}

// D7
#[tokio::test(flavor = "multi_thread")]
async fn damage_that_one_append_meets_fails_none_that_waits_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::default();
    let directory = open_on(&disk, folder.path());
    let repo = directory.repo();
    // What is kept for ever is packed.
    let write = |name: &str, expected: u64, body: &str| Write {
        subject: Subject::system(name, Keep::Latest).unwrap(),
        ..write(name, expected, body)
    };
    let body = |name: &str| format!("the body of {name} ").repeat(400);
    let names: Vec<String> = (0..4000).map(|number| format!("a{number:04}")).collect();
    for names in names.chunks(500) {
        let writes = names.iter().map(|name| write(name, 0, &body(name))).collect();
        assert!(written(repo.append(writes, Timestamp::MIN).await));
    }
    // More than the database keeps in memory.
    let path = folder.path().join("repo.redb");
    let mut bytes = fs::read(&path).unwrap();
    let (marker, page) = (body("a0000"), 4096);
    let places: Vec<usize> = bytes
        .windows(marker.len())
        .enumerate()
        .filter(|(_, found)| *found == marker.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at / page * page..(at / page + 1) * page].fill(0xff);
    }
    fs::write(&path, bytes).unwrap();
    let first = held(&disk, &repo);
    let whole = handed_in(&repo, vec![write("a1499", 1, "x")]);
    let damaged = handed_in(&repo, vec![write("a0000", 1, "x")]);
    let new = handed_in(&repo, vec![write("new", 0, "x")]);
    disk.release_syncs();
    assert!(written(first.await));
    assert_eq!(damaged.await.into_result().unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(written(whole.await) && written(new.await));
}
