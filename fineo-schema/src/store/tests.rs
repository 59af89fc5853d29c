//! The store: versions, races, retries, caches.

use std::{sync::Arc, time::Duration};

use fineo_backend_memory::MemoryRepo;
use fineo_core::{
    Clock, Cover, ErrorKind, ManualClock, MetricId, Outcome, Position, SchemaRepo, ShardId, TenantId, Timestamp,
    repo::{Keep, Subject, Version, Write},
};

use super::SchemaStore;
use crate::{Applied, Change, ChangeId, ChangeRequest, Found, SeenNames, TenantSchema};

mod hidden;
mod merges;
mod operations;
mod roles;

/// A store over memory; changes are numbered.
struct Desk {
    store: SchemaStore,
    repo: Arc<MemoryRepo>,
    clock: Arc<ManualClock>,
    tenant: TenantId,
    changes: u8,
}

impl Desk {
    fn new() -> Self {
        let repo = Arc::new(MemoryRepo::new());
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_000_000).unwrap()));
        let store = SchemaStore::new(repo.clone(), clock.clone());
        Self { store, repo, clock, tenant: TenantId::new("acme").unwrap(), changes: 0 }
    }

    fn other(&self) -> SchemaStore {
        SchemaStore::new(self.repo.clone(), self.clock.clone())
    }

    fn id(&mut self) -> ChangeId {
        self.changes += 1;
        ChangeId::of_bytes([self.changes; 16])
    }

    async fn try_apply(&mut self, changes: Vec<Change>) -> fineo_core::Result<Applied> {
        self.clock.advance(Duration::from_secs(1));
        let request = ChangeRequest::new(self.id(), changes);
        self.store.apply(&self.tenant, request).await
    }

    async fn apply(&mut self, change: Change) -> Applied {
        self.try_apply(vec![change]).await.unwrap()
    }

    async fn refuses(&mut self, change: Change) -> fineo_core::Error {
        self.try_apply(vec![change]).await.unwrap_err()
    }

    async fn undo(&mut self, change: &Applied) -> fineo_core::Result<Applied> {
        let id = self.id();
        self.store.undo(&self.tenant, &change.id, id, None).await
    }

    fn now(&self) -> Arc<TenantSchema> {
        self.store.cached(&self.tenant).unwrap()
    }

    async fn discover(&mut self, names: &[&str]) -> Arc<TenantSchema> {
        let names: Vec<Arc<str>> = names.iter().map(|name| (*name).into()).collect();
        self.store.discover_metrics(&self.tenant, &names).await.unwrap()
    }
}

fn create(name: &str, aliases: &[&str]) -> Change {
    Change::CreateMetric { name: name.into(), aliases: aliases.iter().map(|alias| (*alias).into()).collect() }
}

fn add(metric: &str, name: &str, field_type: &str, aliases: &[&str]) -> Change {
    let aliases = aliases.iter().map(|alias| (*alias).into()).collect();
    Change::AddField { metric: metric.into(), name: name.into(), field_type: field_type.into(), aliases, unit: None }
}

fn alias(metric: &str, field: &str, alias: &str) -> Change {
    Change::AddFieldAlias { metric: metric.into(), field: field.into(), alias: alias.into() }
}

fn metric_alias(metric: &str, alias: &str) -> Change {
    Change::AddMetricAlias { metric: metric.into(), alias: alias.into() }
}

fn rename(metric: &str, field: &str, to: &str) -> Change {
    Change::RenameField { metric: metric.into(), field: field.into(), to: to.into() }
}

fn undeclare(metric: &str, field: &str) -> Change {
    Change::UndeclareField { metric: metric.into(), field: field.into() }
}

fn cover(position: u64) -> Cover {
    [(ShardId::new("s0").unwrap(), Position::from(position))].into_iter().collect()
}

fn sources(schema: &TenantSchema, metric: &str, name: &str) -> Vec<String> {
    let metric = schema.metric_named(metric).unwrap();
    let column = metric.column(name, false, &SeenNames::default()).one();
    column.map(|column| column.sources.iter().map(|source| source.name.to_string()).collect()).unwrap_or_default()
}

#[tokio::test]
async fn a_metric_and_its_fields_are_declared_renamed_and_found_by_any_name() {
    let mut desk = Desk::new();
    desk.apply(create("pump", &["pmp"])).await;
    desk.apply(add("pump", "pressure", "double", &["press", "psi"])).await;
    let applied = desk.apply(rename("pmp", "psi", "p")).await;
    assert_eq!(applied.version, Version(3));
    let schema = desk.now();
    assert_eq!(sources(&schema, "pump", "PRESS"), ["p", "pressure", "press", "psi"]);
    let metric = schema.metric_named("pmp").unwrap();
    assert_eq!(metric.fields()[0].id.to_string(), "f1");
    assert_eq!(metric.id(), &MetricId::numbered(1));
    let asked = metric.column("Psi", false, &SeenNames::default()).one().unwrap();
    assert_eq!(&*asked.name, "Psi");
    assert!(matches!(metric.column("Psi", true, &SeenNames::default()), Found::None { near } if near == ["psi"]));
    assert!(matches!(schema.find_metric("PUMP", false), Found::One(found) if found.id() == metric.id()));
    let again = desk.other().snapshot(&desk.tenant).await.unwrap();
    assert_eq!(sources(&again, "pump", "press"), ["p", "pressure", "press", "psi"]);
}

#[tokio::test]
async fn a_name_that_something_declared_holds_is_refused_naming_the_holder() {
    // S04, SC4
    let mut desk = Desk::new();
    desk.apply(create("pump", &["pmp"])).await;
    desk.apply(create("fan", &[])).await;
    desk.apply(add("pump", "pressure", "double", &["psi"])).await;
    for change in [
        create("pump", &[]),
        create("pmp", &[]),
        create("new", &["pmp"]),
        metric_alias("fan", "pmp"),
        Change::RenameMetric { metric: "fan".into(), to: "pump".into() },
        add("pump", "pressure", "long", &[]),
        add("pump", "psi", "long", &[]),
        add("pump", "other", "long", &["psi"]),
    ] {
        let error = desk.refuses(change.clone()).await;
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{change:?}: {error}");
    }
    let error = desk.refuses(metric_alias("fan", "pmp")).await;
    assert!(error.to_string().contains("metric=pump"), "{error}");
    assert!(desk.now().metric_named("new").is_none());
    assert_eq!(desk.now().version(), Version(3));
}

#[tokio::test]
async fn a_discovered_metric_is_taken_over_by_an_alias_and_declared_by_a_create() {
    let mut desk = Desk::new();
    desk.discover(&["machine1", "machine1c", "machine1"]).await;
    assert_eq!(desk.now().metrics().count(), 2);
    let taken = desk.apply(create("machine1", &["machine1c"])).await;
    assert!(taken.summary.iter().any(|line| line.contains("merge metric machine1c")), "{:?}", taken.summary);
    let schema = desk.now();
    let metric = schema.metric_named("machine1c").unwrap();
    assert!(metric.is_declared());
    assert_eq!(metric.row_metrics(), [MetricId::numbered(1), MetricId::numbered(2)]);
    assert_eq!(schema.metric(&MetricId::numbered(2)).unwrap().name(), metric.name());
    desk.undo(&taken).await.unwrap();
    let schema = desk.now();
    assert_eq!(schema.metric_named("machine1c").unwrap().id(), &MetricId::numbered(2));
    assert!(!schema.metric_named("machine1").unwrap().is_declared());
}

#[tokio::test]
async fn of_two_changes_on_one_version_one_wins_and_the_other_learns_the_current_one() {
    // S01, SC1
    let mut desk = Desk::new();
    let base = desk.apply(create("pump", &[])).await.version;
    let mine = ChangeRequest::new(ChangeId::of_bytes([91; 16]), vec![add("pump", "a", "long", &[])]).with_base(base);
    let yours = ChangeRequest::new(ChangeId::of_bytes([92; 16]), vec![add("pump", "b", "long", &[])]).with_base(base);
    let other = desk.other();
    let (mine, yours) = tokio::join!(desk.store.apply(&desk.tenant, mine), other.apply(&desk.tenant, yours));
    let (won, lost) = if mine.is_ok() { (mine, yours) } else { (yours, mine) };
    assert_eq!(won.unwrap().version, Version(2));
    let lost = lost.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Invalid);
    assert!(lost.to_string().contains("current=2"), "{lost}");
}

#[tokio::test]
async fn a_change_asked_for_again_has_no_second_effect() {
    // S02
    let mut desk = Desk::new();
    let request = ChangeRequest::new(ChangeId::of_bytes([90; 16]), vec![create("pump", &[])]);
    let first = desk.store.apply(&desk.tenant, request.clone()).await.unwrap();
    desk.apply(add("pump", "a", "long", &[])).await;
    let again = desk.other().apply(&desk.tenant, request.with_base(Version::NONE)).await.unwrap();
    assert!(again.is_repeated && !first.is_repeated);
    assert_eq!(again.version, first.version);
    assert_eq!(again.summary, first.summary);
    assert_eq!(desk.now().version(), Version(2));
}

#[tokio::test]
async fn any_former_version_is_read_by_number_and_by_time() {
    // SC2
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    let noon = desk.clock.now();
    desk.apply(add("pump", "a", "long", &[])).await;
    desk.apply(add("pump", "b", "long", &[])).await;
    let other = desk.other();
    let fields = |schema: &TenantSchema| schema.metric_named("pump").map(|metric| metric.fields().len());
    assert_eq!(fields(&other.at(&desk.tenant, Version(2)).await.unwrap()), Some(1));
    for (time, found) in [(noon, Some(0)), (Timestamp::MIN, None), (Timestamp::MAX, Some(2))] {
        let (schema, during) = other.at_time(&desk.tenant, time).await.unwrap();
        assert_eq!(fields(&schema), found);
        // Throughout that time it is this one, and before and after it is another one.
        for at in [during.from, during.to.saturating_sub(1)] {
            let at = Timestamp::from_micros(at.clamp(Timestamp::MIN.micros(), Timestamp::MAX.micros())).unwrap();
            assert_eq!(other.at_time(&desk.tenant, at).await.unwrap().0.version(), schema.version());
        }
        for at in [during.from.checked_sub(1), Some(during.to).filter(|to| *to < i64::MAX)].into_iter().flatten() {
            let at = Timestamp::from_micros(at).unwrap();
            assert_ne!(other.at_time(&desk.tenant, at).await.unwrap().0.version(), schema.version());
        }
    }
    assert_eq!(other.at(&desk.tenant, Version(9)).await.unwrap_err().kind(), ErrorKind::NotFound);
    let history = other.history(&desk.tenant).await.unwrap();
    assert_eq!(history.len(), 3);
    assert_eq!(history[1].changes, [add("pump", "a", "long", &[])]);
}

#[tokio::test]
async fn garbage_in_the_repository_is_corrupt_and_the_cache_stays() {
    // S14
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    let subject = Subject::tenant(&desk.tenant, "schema/tenant", Keep::History).unwrap();
    let write = Write { subject, expected: Version(1), body: Some("garbage".into()) };
    assert!(matches!(desk.repo.append(vec![write], desk.clock.now()).await, Outcome::Done(_)));
    assert_eq!(desk.store.refresh(&desk.tenant).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(desk.store.snapshot(&desk.tenant).await.unwrap().version(), Version(1));
}

#[tokio::test]
async fn tenants_see_nothing_of_each_other() {
    // T5
    let mut desk = Desk::new();
    desk.apply(create("pump", &[])).await;
    let other = TenantId::new("globex").unwrap();
    assert_eq!(desk.store.snapshot(&other).await.unwrap().version(), Version::NONE);
    assert!(desk.store.snapshot(&other).await.unwrap().metric_named("pump").is_none());
}

#[tokio::test]
async fn a_field_that_is_undeclared_becomes_text_again_under_every_name() {
    let mut desk = Desk::new();
    desk.discover(&["pump"]).await;
    desk.apply(add("pump", "a", "long", &["b"])).await;
    assert!(desk.now().metric_named("pump").unwrap().is_declared(), "declaring a field declares its metric");
    desk.apply(undeclare("pump", "b")).await;
    let seen = SeenNames::of_names(["b", "a"]);
    let schema = desk.now();
    let columns = schema.metric_named("pump").unwrap().columns(&seen);
    assert_eq!(columns.iter().map(|column| &*column.name).collect::<Vec<_>>(), ["b", "a"]);
    assert!(columns.iter().all(|column| column.field_type.is_none()));
}

#[tokio::test]
async fn a_flood_of_metric_names_stops_at_a_limit_and_holds_up_nobody() {
    // T8
    let mut desk = Desk::new();
    let names: Vec<String> = (0..SchemaStore::DISCOVERED_METRICS_MAX + 10).map(|number| format!("m{number}")).collect();
    let schema = desk.discover(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(schema.metrics().count(), SchemaStore::DISCOVERED_METRICS_MAX);
    let again = desk.discover(&["another", "fineo_reserved"]).await;
    assert_eq!(again.version(), schema.version());
    desk.apply(create("declared", &[])).await;
}
