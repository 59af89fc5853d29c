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

// Q31
#[tokio::test]
async fn a_file_that_is_not_as_it_was_written_is_an_error() {
    check("missing", |_| None).await;
    check("empty", |_| Some(Vec::new())).await;
    check("truncated", |bytes| Some(bytes[..bytes.len() / 2].to_vec())).await;
    for (what, footer) in [("a footer before the file", u32::MAX), ("a footer of half a gigabyte", 1 << 29)] {
        check(what, move |mut bytes| {
            let at = bytes.len() - 8;
            bytes[at..at + 4].copy_from_slice(&footer.to_le_bytes());
            Some(bytes)
        })
        .await;
    }
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

/// The versions of the log of the world's table, oldest first.
async fn log(world: &World) -> Vec<Path> {
    let listed: Vec<_> = world.objects.inner().list(None).try_collect().await.unwrap();
    let paths = listed.into_iter().map(|meta| meta.location);
    let mut log: Vec<Path> =
        paths.filter(|path| path.as_ref().contains("/_delta_log/") && path.as_ref().ends_with(".json")).collect();
    log.sort();
    log
}

async fn text(world: &World, path: &Path) -> String {
    let bytes = world.objects.inner().get(path).await.unwrap().bytes().await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Every line of the log, as `change` makes it.
async fn change_log(world: &World, change: impl Fn(&mut serde_json::Value)) {
    for path in log(world).await {
        let lines: Vec<String> = text(world, &path)
            .await
            .lines()
            .map(|line| {
                let mut action: serde_json::Value = serde_json::from_str(line).unwrap();
                change(&mut action);
                action.to_string()
            })
            .collect();
        world.objects.inner().put(&path, Bytes::from(lines.join("\n")).into()).await.unwrap();
    }
}

#[tokio::test]
async fn statistics_that_lie_never_make_an_answer_smaller() {
    let questions =
        ["SELECT count(*), sum(temp) FROM thermostat", "SELECT timestamp, temp FROM thermostat WHERE temp > 20"];
    let lies = [
        ("fewer rows", r#"{"numRecords":1,"minValues":{},"maxValues":{},"nullCount":{}}"#),
        ("no rows", r#"{"numRecords":0}"#),
        (
            "values out of order",
            r#"{"numRecords":20,"minValues":{"temp":900.0},"maxValues":{"temp":-900.0},"nullCount":{"temp":0}}"#,
        ),
        ("only nulls", r#"{"numRecords":20,"minValues":{},"maxValues":{},"nullCount":{"temp":20}}"#),
        ("no statistics at all", "nonsense"),
    ];
    let (whole, _) = world().await;
    let engine = whole.engine(Sees::Everything, 2);
    for (what, lie) in lies {
        let (world, _) = world().await;
        change_log(&world, |action| {
            if let Some(stats) = action.pointer_mut("/add/stats") {
                *stats = lie.into();
            }
        })
        .await;
        let lied_to = world.reopened().engine(Sees::Everything, 2);
        for sql in questions {
            match try_ask(&lied_to, sql).await {
                Ok(lines) => assert_eq!(lines, try_ask(&engine, sql).await.unwrap(), "{what}: {sql}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_column_that_another_engine_added_is_no_column_of_ours_and_in_nobodys_way() {
    let (world, _) = world().await;
    let before = world.engine(Sees::Everything, 2);
    let sql = "SELECT * FROM thermostat ORDER BY timestamp";
    let wanted = try_ask(&before, sql).await.unwrap();
    let log = log(&world).await;
    let mut metadata = None;
    for path in &log {
        for line in text(&world, path).await.lines() {
            let action: serde_json::Value = serde_json::from_str(line).unwrap();
            metadata = action.get("metaData").cloned().or(metadata);
        }
    }
    let mut metadata = metadata.unwrap();
    let mut schema: serde_json::Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
    for (name, kind) in [
        ("humid", serde_json::json!("double")),
        ("list", serde_json::json!({"type": "array", "elementType": "long", "containsNull": true})),
    ] {
        let field = serde_json::json!({"name": name, "type": kind, "nullable": true, "metadata": {}});
        schema["fields"].as_array_mut().unwrap().push(field);
    }
    metadata["schemaString"] = schema.to_string().into();
    let info = serde_json::json!({"commitInfo": {"timestamp": 0, "operation": "ADD COLUMNS"}});
    let lines = format!("{info}\n{}", serde_json::json!({"metaData": metadata}));
    let (folder, last) = log.last().unwrap().as_ref().rsplit_once('/').unwrap();
    let version: u64 = last.trim_end_matches(".json").parse().unwrap();
    let next = Path::from(format!("{folder}/{:020}.json", version + 1));
    world.objects.inner().put(&next, Bytes::from(lines).into()).await.unwrap();

    for engine in [world.engine(Sees::Everything, 2), world.reopened().engine(Sees::Everything, 1)] {
        assert_eq!(try_ask(&engine, sql).await.unwrap(), wanted);
        assert!(try_ask(&engine, "SELECT humid FROM thermostat").await.is_err(), "nobody sent it");
    }
    // Events bring the same names: they have their own place, whatever the other engine thinks of them.
    let sent = r#"{"metrictype":"thermostat","timestamp":"2026-01-05T00:00:00Z","humid":"wet","list":[1,2],"HUMID":7}"#;
    world.send(sent).await;
    for compacted in [false, true] {
        if compacted {
            world.compact(Compacted::Go).await;
        }
        let engine = world.reopened().engine(Sees::Everything, 1);
        let found =
            try_ask(&engine, "SELECT \"humid\", list, \"HUMID\" FROM thermostat WHERE \"humid\" IS NOT NULL").await;
        assert_eq!(found.unwrap()[1..], ["wet|[1,2]|7"], "compacted: {compacted}");
    }
}
