//! A damaged file stops the metric that it is of and no other; once it is mended, everything is there once.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_compact::{CompactReport, Compactor, FailedTenant, Notifier, TenantReport};
use fineo_core::{MetricId, Result};
use fineo_schema::Change;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};

use crate::support::{World, acme, at_once, metric};

/// Notes which failures it hears of.
#[derive(Debug, Clone, Default)]
struct Operator(Arc<Mutex<Vec<FailedTenant>>>);

#[async_trait]
impl Notifier for Operator {
    async fn schema_news(&self, _: &TenantReport) -> Result<()> {
        Ok(())
    }

    async fn commit_failed(&self, failed: &FailedTenant) -> Result<()> {
        self.0.lock().unwrap().push(failed.clone());
        Ok(())
    }
}

fn body(from: usize) -> String {
    let line = |number: usize| {
        format!(r#"{{"metrictype":"m{}","timestamp":{},"v":{number}}}"#, number % 2, number % 3 * 86_400_000)
    };
    (from..from + 12).map(line).collect::<Vec<_>>().join("\n")
}

/// The object of metric n1 whose path has `part`; the last by name.
async fn object(world: &World, part: &str) -> (Path, Bytes) {
    object_of(world, "acme/n1", part).await
}

async fn object_of(world: &World, metric: &str, part: &str) -> (Path, Bytes) {
    let listed = world.objects.list(Some(&Path::from(metric)));
    let listed: Vec<Path> = listed.map_ok(|meta| meta.location).try_collect().await.unwrap();
    let at = listed.into_iter().filter(|path| path.as_ref().contains(part)).max().unwrap();
    let bytes = world.objects.get(&at).await.unwrap().bytes().await.unwrap();
    (at, bytes)
}

async fn run(world: &World, operator: &Operator) -> CompactReport {
    let mut parts = world.parts();
    parts.notifier = Some(Arc::new(operator.clone()));
    let compactor = Compactor::new(parts, at_once().with_is_alone(true).with_small_files_max(1));
    compactor.run(&|_| {}).await.unwrap()
}

async fn rows(world: &World, metric: &MetricId) -> (usize, usize) {
    (world.in_files(&acme(), metric).await.len(), world.nearline(&acme(), metric).await.len())
}

/// Damages the object with `part` in its path as `damage` does, none takes it away; `says` is what a run says then.
async fn check(part: &str, damage: fn(Vec<u8>) -> Option<Vec<u8>>, says: &str) {
    let (world, operator) = (World::new(), Operator::default());
    world.send(&acme(), &body(0)).await;
    assert!(run(&world, &operator).await.failed.is_empty());
    let (at, whole) = object(&world, part).await;
    match damage(whole.to_vec()) {
        Some(bytes) => drop(world.objects.put(&at, bytes.into()).await.unwrap()),
        None => world.objects.delete(&at).await.unwrap(),
    }
    for round in 1..4 {
        world.send(&acme(), &body(round * 12)).await;
        let report = run(&world, &operator).await;
        let [failed] = &report.failed[..] else { panic!("{part}: {report:?}") };
        assert_eq!((failed.tenant.as_str(), failed.metric.as_deref()), ("acme", Some("n1")), "{failed:?}");
        assert!(failed.error.contains(says) && failed.error.contains("restore"), "{part}: {}", failed.error);
        let done: Vec<&str> = report.tenants.iter().flat_map(|done| &done.metrics).map(|done| &*done.id).collect();
        assert_eq!(done, ["n2"]);
        assert_eq!(rows(&world, &metric(2)).await.0, 6 + round * 6);
        assert_eq!(world.nearline(&acme(), &metric(1)).await.len(), round * 6, "what no file has stays nearline");
    }
    // Nothing new, and the same failure: the same words, which nobody is told twice.
    let report = run(&world, &operator).await;
    assert_eq!((report.failed.len(), report.total(|done| done.rows_in)), (1, 0), "{report:?}");
    let told = operator.0.lock().unwrap().clone();
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|failed| *failed == report.failed[0]), "{told:?}");

    world.objects.put(&at, whole.into()).await.unwrap();
    for _ in 0..2 {
        let report = run(&world, &operator).await;
        assert!(report.failed.is_empty(), "{report:?}");
    }
    for metric in [metric(1), metric(2)] {
        assert_eq!(rows(&world, &metric).await, (24, 0));
        let mut values: Vec<String> =
            world.in_files(&acme(), &metric).await.into_iter().map(|(_, mut row)| row.remove("v").unwrap()).collect();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 24);
    }
    assert!(run(&world, &operator).await.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_cut_off_stops_its_own_metric_only() {
    // U1
    check(".parquet", |bytes| Some(bytes[..bytes.len() / 2].to_vec()), "acme/n1/day=").await;
}

#[tokio::test(start_paused = true)]
async fn a_file_with_a_flipped_bit_stops_its_own_metric_only() {
    let flipped = |mut bytes: Vec<u8>| {
        bytes[20] ^= 4;
        Some(bytes)
    };
    check(".parquet", flipped, "acme/n1/day=").await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_gone_stops_its_own_metric_only() {
    check(".parquet", |_| None, "acme/n1/day=").await;
}

#[tokio::test(start_paused = true)]
async fn checksums_that_are_damaged_stop_their_own_metric_only() {
    check(".sums", |bytes| Some(bytes[..bytes.len() - 1].to_vec()), "acme/n1/_fineo/sums/day=").await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_stops_its_own_metric_only() {
    check("_delta_log", |_| Some(b"{".to_vec()), "acme/n1/_delta_log").await;
    check("_fineo/cover", |_| None, "acme/n1/_fineo/cover").await;
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_is_looked_for_again_only_where_it_could_not_be_taken_out() {
    // T8, SC2
    let (world, operator) = (World::new(), Operator::default());
    let line = |number: usize| {
        let (name, day) = (number % 2, number / 2);
        format!(r#"{{"metrictype":"m{name}","timestamp":{},"secret":"s","v":{number}}}"#, day * 86_400_000)
    };
    world.send(&acme(), &(0..6).map(line).collect::<Vec<_>>().join("\n")).await;
    assert!(run(&world, &operator).await.failed.is_empty());
    for (number, name) in [(1, "m0"), (2, "m1")] {
        let through = world.snapshot(&acme(), &metric(number)).await.cover.clone();
        let change = Change::DeleteField { metric: name.into(), field: "secret".into(), through };
        world.change(&acme(), vec![change]).await;
    }
    let (at, whole) = object(&world, "_fineo/cover").await;
    world.objects.delete(&at).await.unwrap();
    let of_n1 = |report: &CompactReport| {
        report.failed.iter().map(|failed| failed.metric.clone()).collect::<Vec<_>>() == [Some("n1".to_owned())]
    };
    let report = run(&world, &operator).await;
    assert!(of_n1(&report), "{report:?}");
    assert_eq!(report.total(|done| done.rows_rewritten), 3);
    // Nothing of n2 is left to be taken out: what it had is not even opened, which would be found to be damaged.
    let (of_other, other) = object_of(&world, "acme/n2", ".parquet").await;
    world.objects.put(&of_other, other.slice(..9).into()).await.unwrap();
    world.send(&acme(), r#"{"metrictype":"m1","timestamp":864000000,"v":21}"#).await;
    let report = run(&world, &operator).await;
    assert!(of_n1(&report), "{report:?}");
    assert_eq!(report.total(|done| done.rows_in), 1);
    world.objects.put(&of_other, other.into()).await.unwrap();
    world.objects.put(&at, whole.into()).await.unwrap();
    let report = run(&world, &operator).await;
    assert!(report.failed.is_empty(), "{report:?}");
    assert_eq!(report.total(|done| done.rows_rewritten), 3, "and now out of n1");
    for _ in 0..2 {
        run(&world, &operator).await;
    }
    assert!(world.parquet().await.values().all(|bytes| !bytes.windows(6).any(|window| window == b"secret")));
    assert!(run(&world, &operator).await.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_schema_opens_no_file_that_cannot_have_what_was_deleted() {
    let (world, operator) = (World::new(), Operator::default());
    let send = async |day: usize| {
        world
            .send(&acme(), &format!(r#"{{"metrictype":"m","timestamp":{},"v":1,"secret":"s"}}"#, day * 86_400_000))
            .await;
    };
    let declare = async |name: &str| {
        let (metric, name, field_type) = ("m".to_owned(), name.to_owned(), "long".to_owned());
        world
            .change(&acme(), vec![Change::AddField { metric, name, field_type, aliases: Vec::new(), unit: None }])
            .await;
    };
    // A file that nobody needs to open is damaged meanwhile.
    let damage = async |part: &str| {
        let (at, whole) = object(&world, part).await;
        world.objects.put(&at, whole.slice(..9).into()).await.unwrap();
        (at, whole)
    };
    send(0).await;
    assert!(run(&world, &operator).await.failed.is_empty());
    let (at, whole) = damage("day=1970-01-01/part").await;
    declare("one").await;
    send(1).await;
    let report = run(&world, &operator).await;
    assert!(report.failed.is_empty() && report.total(|done| done.rows_in) == 1, "{report:?}");
    world.objects.put(&at, whole.into()).await.unwrap();

    let through = world.snapshot(&acme(), &metric(1)).await.cover.clone();
    world.change(&acme(), vec![Change::DeleteField { metric: "m".into(), field: "secret".into(), through }]).await;
    assert_eq!(run(&world, &operator).await.total(|done| done.rows_rewritten), 2);
    send(2).await;
    assert!(run(&world, &operator).await.failed.is_empty());
    // Of what was written after the deletion nothing is deleted.
    damage("day=1970-01-03/part").await;
    declare("two").await;
    send(3).await;
    let report = run(&world, &operator).await;
    assert!(report.failed.is_empty() && report.total(|done| done.rows_in) == 1, "{report:?}");
}
