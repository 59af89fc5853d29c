//! Many trackers are saved with few appends, and none is lost when one of them fails.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use fineo_backend_memory::MemoryRepo;
use fineo_core::{
    Error, ErrorKind, ManualClock, MetricId, Outcome, Result, SchemaRepo, ShardId, TenantId, Timestamp,
    repo::{Compared, RepoCapabilities, Subject, Version, Versioned, Write},
};
use futures::{FutureExt, future};

use super::{super::tests::rows, Discovery};

const TENANTS: usize = 1000;

/// What becomes of the next append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Made or not, it is never answered.
    Silent {
        is_made: bool,
    },
    NotDone,
    Unknown {
        is_made: bool,
    },
}

/// A repository that counts its appends and fails as told.
#[derive(Debug)]
struct Counting {
    repo: MemoryRepo,
    writes_max: usize,
    appends: AtomicUsize,
    /// After how many more appends what happens.
    next: Mutex<Option<(usize, Next)>>,
    /// What this tenant has is damaged.
    damaged: Mutex<Option<TenantId>>,
}

impl Counting {
    fn new(writes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            repo: MemoryRepo::new(),
            writes_max,
            appends: AtomicUsize::new(0),
            next: Mutex::new(None),
            damaged: Mutex::new(None),
        })
    }

    fn set(&self, after: usize, next: Next) {
        *self.next.lock().unwrap() = Some((after, next));
    }

    fn next(&self) -> Option<Next> {
        let mut next = self.next.lock().unwrap();
        match next.as_mut() {
            Some((0, _)) => next.take().map(|(_, next)| next),
            Some((after, _)) => {
                *after -= 1;
                None
            }
            None => None,
        }
    }

    /// How many appends there were since this was asked last.
    fn appends(&self) -> usize {
        self.appends.swap(0, Ordering::Relaxed)
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, counted", self.repo)
    }
}

#[async_trait]
impl SchemaRepo for Counting {
    fn capabilities(&self) -> RepoCapabilities {
        RepoCapabilities { writes_max: self.writes_max, ..self.repo.capabilities() }
    }

    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        self.repo.latest(subject).await
    }

    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        self.repo.history(subject, first, count_max).await
    }

    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared> {
        assert!(writes.len() <= self.writes_max);
        self.appends.fetch_add(1, Ordering::Relaxed);
        let failed = Error::unavailable("as told");
        let damaged = self.damaged.lock().unwrap().clone();
        if damaged.is_some() && writes.iter().any(|write| write.subject.owner() == damaged.as_ref()) {
            return Outcome::NotDone(Error::corrupt("as told"));
        }
        match self.next() {
            None => self.repo.append(writes, now).await,
            Some(Next::NotDone) => Outcome::NotDone(failed),
            Some(Next::Unknown { is_made }) => {
                if is_made {
                    assert!(self.repo.append(writes, now).await.is_done());
                }
                Outcome::Unknown(failed)
            }
            Some(Next::Silent { is_made }) => {
                if is_made {
                    assert!(self.repo.append(writes, now).await.is_done());
                }
                future::pending().await
            }
        }
    }

    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        self.repo.subjects(owner, prefix).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        self.repo.tenants().await
    }
}

fn new(repo: &Arc<Counting>) -> Discovery {
    Discovery::new(repo.clone(), Arc::new(ManualClock::new(Timestamp::default())))
}

fn tenant(number: usize) -> TenantId {
    TenantId::new(&format!("t{number}")).unwrap()
}

fn metric() -> MetricId {
    MetricId::numbered(1)
}

fn s0() -> ShardId {
    ShardId::new("s0").unwrap()
}

/// Every tenant bears `name` at `position`.
fn observe(discovery: &Discovery, position: u64, name: &str) {
    for number in 0..TENANTS {
        discovery.observe(&tenant(number), &metric(), &rows("s0", position, &[&[(name, "1")]]), &|_| true);
    }
}

/// What a tenant's names are in the repository, in order of names, with their counts.
async fn stands(repo: &Arc<Counting>, number: usize) -> Vec<(String, u64)> {
    let discovery = new(repo);
    discovery.load(&tenant(number)).await.unwrap();
    let seen = discovery.seen(&tenant(number), &[metric()]);
    let mut names: Vec<_> = seen.stats().iter().map(|stats| (stats.name.to_string(), stats.count)).collect();
    names.sort();
    names
}

async fn all_stand(repo: &Arc<Counting>, expected: &[(&str, u64)]) {
    let expected: Vec<(String, u64)> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    for number in 0..TENANTS {
        assert_eq!(stands(repo, number).await, expected, "of tenant {number}");
    }
}

#[tokio::test]
async fn a_thousand_tenants_are_saved_with_few_appends() {
    for (writes_max, appends) in [(1024, 2), (33, TENANTS.div_ceil(16))] {
        let repo = Counting::new(writes_max);
        let discovery = new(&repo);
        for (position, name) in [(1, "a"), (2, "b")] {
            observe(&discovery, position, name);
            discovery.save(&s0()).await.unwrap();
            assert_eq!(repo.appends(), appends);
        }
        all_stand(&repo, &[("a", 1), ("b", 1)]).await;
        discovery.save(&s0()).await.unwrap();
        assert_eq!(repo.appends(), 0);
    }
}

#[tokio::test]
async fn what_one_append_takes_is_bounded_in_bytes() {
    let repo = Counting::new(1024);
    let discovery = new(&repo);
    let names: Vec<String> = (0..40_000).map(|number| format!("a-name-that-takes-its-room-{number}")).collect();
    let cells: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "a sample of its value")).collect();
    for number in 0..3 {
        discovery.observe(&tenant(number), &metric(), &rows("s0", 1, &[&cells]), &|_| true);
    }
    discovery.save(&s0()).await.unwrap();
    assert!((2..=3).contains(&repo.appends()));
    for number in 0..3 {
        assert_eq!(stands(&repo, number).await.len(), names.len());
    }
}

#[tokio::test]
async fn a_conflict_of_one_tracker_holds_up_no_other_and_takes_in_what_stands() {
    let repo = Counting::new(1024);
    let (ours, other) = (new(&repo), new(&repo));
    other.observe(&tenant(7), &metric(), &rows("s0", 1, &[&[("other", "1")]]), &|_| true);
    other.save(&s0()).await.unwrap();
    observe(&ours, 2, "ours");
    ours.save(&s0()).await.unwrap();
    for number in (0..TENANTS).filter(|number| *number != 7) {
        assert_eq!(stands(&repo, number).await, [("ours".to_owned(), 1)]);
    }
    assert_eq!(stands(&repo, 7).await, [("other".to_owned(), 1), ("ours".to_owned(), 1)]);
    repo.appends();
    // Once taken in, it goes with the others again.
    observe(&ours, 3, "ours");
    ours.save(&s0()).await.unwrap();
    assert_eq!(repo.appends(), 2);
}

// D7
#[tokio::test]
async fn damage_of_one_tracker_keeps_no_other_from_being_saved() {
    let repo = Counting::new(33);
    let discovery = new(&repo);
    *repo.damaged.lock().unwrap() = Some(tenant(7));
    observe(&discovery, 1, "a");
    let error = discovery.save(&s0()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    for number in (0..TENANTS).filter(|number| *number != 7) {
        assert_eq!(stands(&repo, number).await, [("a".to_owned(), 1)]);
    }
    // Once mended, it is saved as well.
    *repo.damaged.lock().unwrap() = None;
    discovery.save(&s0()).await.unwrap();
    all_stand(&repo, &[("a", 1)]).await;
}

#[tokio::test]
async fn a_failure_leaves_all_to_the_next_save() {
    for next in [Next::NotDone, Next::Unknown { is_made: false }, Next::Unknown { is_made: true }] {
        for after in [0, 1] {
            let repo = Counting::new(1024);
            let discovery = new(&repo);
            observe(&discovery, 1, "a");
            discovery.save(&s0()).await.unwrap();
            observe(&discovery, 2, "a");
            repo.set(after, next);
            discovery.save(&s0()).await.unwrap_err();
            observe(&discovery, 3, "b");
            discovery.save(&s0()).await.unwrap();
            all_stand(&repo, &[("a", 2), ("b", 1)]).await;
        }
    }
}

#[tokio::test]
async fn a_save_that_was_broken_off_loses_no_name() {
    for is_made in [false, true] {
        for after in [0, 1] {
            let repo = Counting::new(1024);
            let discovery = new(&repo);
            observe(&discovery, 1, "a");
            discovery.save(&s0()).await.unwrap();
            observe(&discovery, 2, "a");
            repo.set(after, Next::Silent { is_made });
            let shard = s0();
            let mut save = Box::pin(discovery.save(&shard));
            assert!(save.as_mut().now_or_never().is_none());
            // What comes in meanwhile is not forgotten either.
            observe(&discovery, 3, "b");
            drop(save);
            discovery.save(&s0()).await.unwrap();
            all_stand(&repo, &[("a", 2), ("b", 1)]).await;
        }
    }
}

#[tokio::test]
async fn what_comes_in_while_an_append_runs_is_saved_the_next_time() {
    let repo = Counting::new(1024);
    let discovery = new(&repo);
    observe(&discovery, 1, "a");
    repo.set(0, Next::Unknown { is_made: true });
    discovery.save(&s0()).await.unwrap_err();
    // Somebody who only asks takes in what was saved.
    for number in 0..TENANTS {
        discovery.refresh(&tenant(number)).await.unwrap();
    }
    observe(&discovery, 2, "a");
    discovery.save(&s0()).await.unwrap();
    all_stand(&repo, &[("a", 2)]).await;
}

#[tokio::test]
async fn a_draft_that_goes_in_parts_is_saved_after_it_was_broken_off_between_them() {
    let names: Vec<String> = (0..2000).map(|number| format!("n{number}")).collect();
    let cells: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    for is_first in [true, false] {
        for next in [Next::NotDone, Next::Silent { is_made: false }, Next::Silent { is_made: true }] {
            let repo = Counting::new(3);
            let discovery = new(&repo);
            if !is_first {
                discovery.observe(&tenant(0), &metric(), &rows("s0", 1, &[&cells]), &|_| true);
                discovery.save(&s0()).await.unwrap();
            }
            discovery.observe(&tenant(0), &metric(), &rows("s0", 2, &[&cells]), &|_| true);
            repo.set(1, next);
            assert!(!matches!(discovery.save(&s0()).now_or_never(), Some(Ok(()))));
            discovery.save(&s0()).await.unwrap();
            let counts = stands(&repo, 0).await;
            assert_eq!(counts.len(), names.len());
            assert!(counts.iter().all(|(_, count)| *count == 2 - u64::from(is_first)), "{next:?}");
        }
    }
}
