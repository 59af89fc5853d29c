//! Files that are not what was committed: a clear error, never a part of the answer.

use bytes::Bytes;
use fineo_core::ErrorKind;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use crate::{
    equal::{events, schema},
    world::{Compacted, Sees, World, try_ask},
};

async fn world() -> (World, Vec<Path>) {
    let world = World::new();
    schema(&world).await;
    world.send(&events().join("\n")).await;
    world.compact(Compacted::Go).await;
    let listed: Vec<_> = world.objects.inner().list(None).try_collect().await.unwrap();
    let files = listed.into_iter().map(|meta| meta.location).filter(|path| path.as_ref().contains("/day="));
    let files: Vec<Path> = files.filter(|path| path.as_ref().ends_with(".parquet")).collect();
    assert!(files.len() > 1);
    (world, files)
}

/// Replaces a file by what `harm` makes of its bytes; none deletes it.
async fn check(what: &str, harm: impl Fn(Vec<u8>) -> Option<Vec<u8>>) {
    let (world, files) = world().await;
    let store = world.objects.inner();
    let bytes = store.get(&files[0]).await.unwrap().bytes().await.unwrap();
    match harm(bytes.to_vec()) {
        Some(harmed) => {
            store.put(&files[0], Bytes::from(harmed).into()).await.unwrap();
        }
        None => store.delete(&files[0]).await.unwrap(),
    }
    // Whoever had not read a footer yet.
    let engine = world.reopened().engine(Sees::Everything, 2);
    for sql in
        ["SELECT * FROM thermostat", "SELECT count(temp) FROM thermostat", "SELECT temp FROM thermostat ORDER BY 1"]
    {
        let error = try_ask(&engine, sql).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {sql}: {error:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_as_it_was_written_is_an_error() {
    check("missing", |_| None).await;
    check("empty", |_| Some(Vec::new())).await;
    check("truncated", |bytes| Some(bytes[..bytes.len() / 2].to_vec())).await;
    for at in [4, 200, 1000] {
        check("flipped", move |mut bytes| {
            let at = at % bytes.len();
            bytes[at] ^= 16;
            Some(bytes)
        })
        .await;
    }
}

#[tokio::test]
async fn the_file_of_another_day_is_an_error() {
    let (world, files) = world().await;
    let store = world.objects.inner();
    let other = store.get(&files[1]).await.unwrap().bytes().await.unwrap();
    store.put(&files[0], other.into()).await.unwrap();
    let engine = world.reopened().engine(Sees::Everything, 1);
    let error = try_ask(&engine, "SELECT temp FROM thermostat").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
}
