//! Changes behind a repository that fails and loses answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use fineo_backend_memory::MemoryRepo;
use fineo_conformance::fault::{Fault, FaultPlan, Faults, FaultyRepo, Operation, When};
use fineo_core::{
    ManualClock, Outcome, Result, SchemaRepo, TenantId, Timestamp,
    repo::{Compared, RepoCapabilities, Subject, Version, Versioned, Write},
};

use super::SchemaStore;
use crate::{Change, ChangeId, ChangeRequest};

fn store(repo: Arc<dyn SchemaRepo>) -> SchemaStore {
    SchemaStore::new(repo, Arc::new(ManualClock::new(Timestamp::default())))
}

fn create(number: u8) -> ChangeRequest {
    let change = Change::CreateMetric { name: format!("metric{number}"), aliases: vec![] };
    ChangeRequest::new(ChangeId::of_bytes([number; 16]), vec![change])
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_found_done() {
    // SC1, S02: the first two appends are those of the schemas of schemas.
    let repo = Arc::new(MemoryRepo::new());
    let plan = FaultPlan::new(1).with_rule(Operation::RepoAppend, When::Nth(2), Fault::FailAfter);
    let store = store(Arc::new(FaultyRepo::new(repo, &Faults::new(plan))));
    let tenant = TenantId::new("acme").unwrap();
    let applied = store.apply(&tenant, create(1)).await.unwrap();
    assert_eq!(applied.version, Version(1));
    assert!(!applied.is_repeated);
}

/// A repository in which `change` is made by somebody else once its receipt was looked for in vain.
#[derive(Debug)]
struct Overtaken {
    repo: Arc<MemoryRepo>,
    change: Mutex<Option<ChangeRequest>>,
}

impl std::fmt::Display for Overtaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} overtaken", self.repo)
    }
}

#[async_trait]
impl SchemaRepo for Overtaken {
    fn capabilities(&self) -> RepoCapabilities {
        self.repo.capabilities()
    }

    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        let found = self.repo.latest(subject).await;
        if subject.to_string().contains("schema/change/") {
            let change = self.change.lock().unwrap().take();
            if let Some(change) = change {
                store(self.repo.clone()).apply(&TenantId::new("acme").unwrap(), change).await.unwrap();
            }
        }
        found
    }

    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        self.repo.history(subject, first, count_max).await
    }

    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared> {
        self.repo.append(writes, now).await
    }

    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        self.repo.subjects(owner, prefix).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        self.repo.tenants().await
    }
}

#[tokio::test]
async fn a_change_that_its_own_retry_overtakes_is_repeated_and_not_refused() {
    // SC1
    let existing = create(1);
    let nothing_new =
        ChangeRequest::new(ChangeId::of_bytes([3; 16]), vec![Change::SetMetricKeys { keys: vec!["kind".to_owned()] }]);
    for change in [existing.clone(), existing.with_base(Version::NONE), nothing_new] {
        let repo = Arc::new(MemoryRepo::new());
        let overtaken = Overtaken { repo, change: Mutex::new(Some(change.clone())) };
        let applied = store(Arc::new(overtaken)).apply(&TenantId::new("acme").unwrap(), change).await.unwrap();
        assert_eq!((applied.version, applied.is_repeated), (Version(1), true));
    }
}

#[tokio::test]
async fn an_outage_fails_changes_and_leaves_the_cached_schema_readable() {
    // N6
    let repo = Arc::new(MemoryRepo::new());
    let plan = FaultPlan::new(1).with_rule(Operation::RepoLatest, When::Between(6, 100), Fault::FailBefore).with_rule(
        Operation::RepoAppend,
        When::Between(3, 100),
        Fault::FailBefore,
    );
    let store = store(Arc::new(FaultyRepo::new(repo, &Faults::new(plan))));
    let tenant = TenantId::new("acme").unwrap();
    store.apply(&tenant, create(1)).await.unwrap();
    for _ in 0..5 {
        let _ = store.refresh(&tenant).await;
    }
    let error = store.apply(&tenant, create(2)).await.unwrap_err();
    assert!(error.is_retryable() && !error.may_have_applied(), "{error}");
    assert!(store.snapshot(&tenant).await.unwrap().metric_named("metric1").is_some());
}

#[tokio::test]
async fn an_old_schema_serves_while_the_repository_fails_and_is_asked_for_again_a_second_later() {
    // N6
    let (repo, clock) = (Arc::new(MemoryRepo::new()), Arc::new(ManualClock::new(Timestamp::default())));
    let plan = FaultPlan::new(1).with_rule(Operation::RepoLatest, When::Nth(1), Fault::FailBefore);
    let failing: Arc<dyn SchemaRepo> = Arc::new(FaultyRepo::new(repo.clone(), &Faults::new(plan)));
    let (reader, writer) = (SchemaStore::new(failing, clock.clone()), store(repo));
    let (tenant, age) = (TenantId::new("acme").unwrap(), Duration::from_secs(10));
    writer.apply(&tenant, create(1)).await.unwrap();
    let known = async || reader.snapshot_or_cached(&tenant, age).await.unwrap().metrics().count();
    assert_eq!(known().await, 1);
    writer.apply(&tenant, create(2)).await.unwrap();
    // It is young enough; then the look at it fails; then nobody looks for a second.
    for (seconds, expected) in [(9, 1), (2, 1), (0, 1), (2, 2)] {
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(known().await, expected, "after {seconds} s more");
    }
}

#[tokio::test]
async fn a_repository_that_goes_backward_does_not_take_the_schema_along() {
    // S14
    let repo = Arc::new(MemoryRepo::new());
    let plan = FaultPlan::new(1).with_rule(Operation::RepoLatest, When::Between(9, 100), Fault::Stale);
    let reader = store(Arc::new(FaultyRepo::new(repo.clone(), &Faults::new(plan))));
    let writer = store(repo);
    let tenant = TenantId::new("acme").unwrap();
    let mut newest = Version::NONE;
    for number in 1..12 {
        writer.apply(&tenant, create(number)).await.unwrap();
        let version = reader.refresh(&tenant).await.unwrap().version();
        assert!(version >= newest);
        newest = version;
    }
}

#[tokio::test]
async fn whatever_fails_each_change_happens_once() {
    for seed in 0..60 {
        let repo = Arc::new(MemoryRepo::new());
        let plan = FaultPlan::new(seed)
            .with_rule(Operation::RepoAppend, When::PerMille(150), Fault::FailAfter)
            .with_rule(Operation::RepoAppend, When::PerMille(150), Fault::FailBefore)
            .with_rule(Operation::RepoLatest, When::PerMille(100), Fault::FailBefore)
            .with_rule(Operation::RepoHistory, When::PerMille(100), Fault::FailBefore);
        let faulty: Arc<dyn SchemaRepo> = Arc::new(FaultyRepo::new(repo.clone(), &Faults::new(plan)));
        let (one, two) = (store(faulty.clone()), store(faulty));
        let tenant = TenantId::new("acme").unwrap();
        for number in 1..15 {
            let desk = if number % 2 == 0 { &one } else { &two };
            let mut tries = 0;
            while desk.apply(&tenant, create(number)).await.is_err() {
                tries += 1;
                assert!(tries < 100, "seed {seed}");
            }
        }
        let history = store(repo).history(&tenant).await.unwrap();
        let ids: Vec<ChangeId> = history.iter().map(|entry| entry.id).collect();
        let expected: Vec<ChangeId> = (1..15).map(|number| ChangeId::of_bytes([number; 16])).collect();
        assert_eq!(ids, expected, "seed {seed}");
    }
}

fn names(of: &[&str]) -> Vec<Arc<str>> {
    of.iter().map(|name| (*name).into()).collect()
}

#[tokio::test]
async fn a_discovery_on_what_is_cached_reads_nothing() {
    let repo = Arc::new(MemoryRepo::new());
    // The schemas of schemas and what stands of the tenant are looked at once.
    let plan = FaultPlan::new(1).with_rule(Operation::RepoLatest, When::Between(3, 1000), Fault::FailBefore).with_rule(
        Operation::RepoHistory,
        When::Between(0, 1000),
        Fault::FailBefore,
    );
    let store = store(Arc::new(FaultyRepo::new(repo, &Faults::new(plan))));
    let tenant = TenantId::new("acme").unwrap();
    for number in 1..5 {
        let schema = store.discover_metrics(&tenant, &names(&["pump", &format!("m{number}")])).await.unwrap();
        assert_eq!(schema.version(), Version(number));
    }
}

#[tokio::test]
async fn a_discovery_on_what_others_changed_meanwhile_is_made_on_that_and_once() {
    // SC1, S02
    let repo = Arc::new(MemoryRepo::new());
    let (one, two) = (store(repo.clone()), store(repo));
    let tenant = TenantId::new("acme").unwrap();
    for store in [&one, &two] {
        store.snapshot(&tenant).await.unwrap();
    }
    one.discover_metrics(&tenant, &names(&["a", "b"])).await.unwrap();
    // The same on the same version; another on a version that is old.
    for (discovered, version) in [(["a", "b"], 1), (["b", "c"], 2)] {
        let schema = two.discover_metrics(&tenant, &names(&discovered)).await.unwrap();
        assert_eq!(schema.version(), Version(version));
    }
    let schema = one.discover_metrics(&tenant, &names(&["c", "d"])).await.unwrap();
    assert_eq!(schema.version(), Version(3));
    assert_eq!(schema.metrics().map(|metric| &**metric.name()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_discovery_whose_answer_was_lost_is_found_done() {
    // SC1: the first two appends are those of the schemas of schemas.
    let repo = Arc::new(MemoryRepo::new());
    let plan = FaultPlan::new(1).with_rule(Operation::RepoAppend, When::Nth(2), Fault::FailAfter);
    let store = store(Arc::new(FaultyRepo::new(repo, &Faults::new(plan))));
    let schema = store.discover_metrics(&TenantId::new("acme").unwrap(), &names(&["a"])).await.unwrap();
    assert_eq!((schema.version(), schema.metrics().count()), (Version(1), 1));
}
