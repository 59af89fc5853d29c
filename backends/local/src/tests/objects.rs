//! The object store: created once, on disk when answered, whole or not at all.

use std::{path::Path as FilePath, sync::Arc};

use bytes::Bytes;
use fineo_core::{Error, ErrorKind};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};

use super::{
    fault_disk::FaultDisk,
    fixture::{open, small},
};
use crate::LocalDirectory;

fn on(disk: &FaultDisk, path: &FilePath) -> LocalDirectory {
    LocalDirectory::open_on(Arc::new(disk.clone()), path, small().with_fsync(true)).unwrap()
}

async fn create(store: &Arc<dyn ObjectStore>, path: &str, body: &str) -> object_store::Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&Path::from(path), PutPayload::from(body.to_owned()), options).await.map(drop)
}

async fn put(store: &Arc<dyn ObjectStore>, path: &str, body: &str) -> object_store::Result<()> {
    store.put(&Path::from(path), PutPayload::from(body.to_owned())).await.map(drop)
}

async fn read(store: &Arc<dyn ObjectStore>, path: &str) -> Option<Bytes> {
    store.get(&Path::from(path)).await.ok()?.bytes().await.ok()
}

async fn names(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    let listed: Vec<_> = store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    listed
}

fn ours(error: &object_store::Error) -> &Error {
    let source = std::error::Error::source(error).expect("an error of ours is inside");
    source.downcast_ref().expect("an error of ours is inside")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_created_once_and_overwritten_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).objects();
    create(&store, "acme/n1/a", "first").await.unwrap();
    let again = create(&store, "acme/n1/a", "second").await.unwrap_err();
    assert!(matches!(again, object_store::Error::AlreadyExists { .. }), "{again}");
    assert_eq!(read(&store, "acme/n1/a").await.unwrap(), "first");
    put(&store, "acme/n1/a", "third").await.unwrap();
    assert_eq!(read(&store, "acme/n1/a").await.unwrap(), "third");
    let gone = store.delete(&Path::from("acme/n1/b")).await.unwrap_err();
    assert!(matches!(gone, object_store::Error::NotFound { .. }), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_creators_of_one_name_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).objects();
    let racers = (0..16).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { create(&store, "log/1", &format!("by {number}")).await.is_ok().then_some(number) })
    });
    let mut winners = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        winners.extend(racer.await.unwrap());
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(read(&store, "log/1").await.unwrap(), format!("by {}", winners[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_in_order_and_has_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let store = directory.objects();
    let mut upload = store.put_multipart(&Path::from("a/0")).await.unwrap();
    upload.put_part(PutPayload::from("unfinished")).await.unwrap();
    for number in [3, 1, 2] {
        create(&store, &format!("a/{number}"), "x").await.unwrap();
    }
    assert_eq!(names(&store).await, ["a/1", "a/2", "a/3"]);
    drop(upload);
    let staging = folder.path().join("tables-staging");
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    std::fs::write(staging.join("7"), "left by a crash").unwrap();
    drop((store, directory));
    open(folder.path());
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_make_one_object_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).objects();
    let mut upload = store.put_multipart(&Path::from("big")).await.unwrap();
    let parts: Vec<_> = ["one ", "two ", "three"].into_iter().map(|part| upload.put_part(part.into())).collect();
    for part in parts.into_iter().rev() {
        part.await.unwrap();
    }
    assert_eq!(read(&store, "big").await, None);
    upload.complete().await.unwrap();
    assert_eq!(read(&store, "big").await.unwrap(), "one two three");
    assert!(upload.complete().await.is_err());
}

// D1
#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_a_power_loss() {
    for seed in 0..20_u64 {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultDisk::default();
        let directory = on(&disk, folder.path());
        let store = directory.objects();
        for number in 0..5 {
            create(&store, &format!("t/day={number}/file"), "whole").await.unwrap();
            put(&store, "t/manifest", &format!("version {number}")).await.unwrap();
        }
        let mut upload = store.put_multipart(&Path::from("t/upload")).await.unwrap();
        upload.put_part("uploaded".into()).await.unwrap();
        upload.complete().await.unwrap();
        store.delete(&Path::from("t/day=4/file")).await.unwrap();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        disk.crash(|below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below.max(1)
        });
        drop((upload, store, directory));
        let store = open(folder.path()).objects();
        let expected = ["t/day=0/file", "t/day=1/file", "t/day=2/file", "t/day=3/file", "t/manifest", "t/upload"];
        assert_eq!(names(&store).await, expected, "seed {seed}");
        assert_eq!(read(&store, "t/day=2/file").await.unwrap(), "whole");
        assert_eq!(read(&store, "t/manifest").await.unwrap(), "version 4");
        assert_eq!(read(&store, "t/upload").await.unwrap(), "uploaded");
    }
}

// D5
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_nothing_more_is_changed() {
    for after in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultDisk::default();
        let directory = on(&disk, folder.path());
        let store = directory.objects();
        create(&store, "t/before", "x").await.unwrap();
        disk.fail_sync(after);
        while !disk.has_failed() {
            drop(create(&store, "t/new/file", "x").await);
        }
        let refused = create(&store, "t/after", "x").await.unwrap_err();
        assert_eq!(ours(&refused).kind(), ErrorKind::Unavailable);
        assert!(ours(&refused).message().contains("poisoned"), "{refused}");
        assert!(store.delete(&Path::from("t/before")).await.is_err());
        assert_eq!(read(&store, "t/before").await.unwrap(), "x");
    }
}

// D6
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_a_put_is_refused_and_a_deletion_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::default();
    let directory = on(&disk, folder.path());
    let store = directory.objects();
    let large = "x".repeat(100_000);
    put(&store, "t/large", &large).await.unwrap();
    disk.set_free(10_000);
    let refused = create(&store, "t/more", &large).await.unwrap_err();
    assert_eq!((ours(&refused).kind(), ours(&refused).may_have_applied()), (ErrorKind::StorageFull, false));
    assert_eq!(names(&store).await, ["t/large"]);
    create(&store, "t/small", "small").await.unwrap();
    store.delete(&Path::from("t/large")).await.unwrap();
    create(&store, "t/more", &large).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_directory_changes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let store = directory.objects();
    directory.close().await.unwrap();
    assert!(create(&store, "t/a", "x").await.is_err());
    let later = open(folder.path()).objects();
    assert_eq!(names(&later).await, Vec::<String>::new());
}
