//! What is noted, and what is lost by it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use fineo_backend_memory::{MemoryArchive, MemoryRepo};
use fineo_conformance::fault::LateArchive;
use fineo_core::{Clock, SystemClock, Timestamp};
use futures::future::BoxFuture;

use super::*;

const WITHIN: Duration = Duration::from_secs(100);

/// So many seconds since the epoch.
#[derive(Debug, Default)]
struct Seconds(AtomicI64);

impl Clock for Seconds {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst) * 1_000_000).unwrap()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(wait)
    }
}

fn shard() -> ShardId {
    ShardId::new("s0").unwrap()
}

/// Notes at each of `looks`, in seconds, up to where the shard was archived; answers what the last one knows.
async fn noted(repo: &MemoryRepo, looks: impl IntoIterator<Item = (i64, u64)>) -> (Noted, Listing) {
    let archive = LateArchive::new(Arc::new(MemoryArchive::new()), WITHIN);
    let (clock, mut last) = (Seconds::default(), None);
    for (second, position) in looks {
        clock.0.store(second, Ordering::SeqCst);
        let listing = Listing::begin(&archive, &clock);
        let cover: Cover = [(shard(), Position::from(position))].into_iter().collect();
        last = Some((Noted::with(repo, "main", Stage::Raw, (&cover, listing)).await.unwrap(), listing));
    }
    last.unwrap()
}

async fn check(looks: &[(i64, u64)], after: Option<u64>, is_lost: bool) {
    let (noted, listing) = noted(&MemoryRepo::new(), looks.iter().copied()).await;
    let (after, last) = (after.map(Position::from), Position::from(1_000));
    let gap = Missing { shard: shard(), after, last, time: (0, 0) };
    assert_eq!(noted.is_lost(&gap, listing), is_lost, "{looks:?} behind {after:?}");
}

#[tokio::test]
async fn lost_is_what_somebody_knew_to_be_archived_when_the_archive_had_its_time_since() {
    check(&[(0, 5)], None, false).await;
    check(&[(0, 5), (99, 9)], None, false).await;
    check(&[(0, 5), (100, 9)], None, true).await;
    check(&[(0, 5), (100, 9)], Some(4), true).await;
    // Behind that nobody knew of anything then.
    check(&[(0, 5), (100, 9)], Some(5), false).await;
    check(&[(0, 5), (100, 9), (200, 9)], Some(5), true).await;
    check(&[(0, 5), (30, 7), (60, 9), (130, 9)], Some(6), true).await;
    check(&[(0, 5), (30, 7), (60, 9), (130, 9)], Some(7), false).await;
}

#[tokio::test]
async fn a_clock_that_was_ahead_keeps_nobody_from_noting() {
    // By a clock that is a day ahead somebody notes; from then on it is right.
    let looks = [(0, 5), (86_400, 5), (10, 7), (20, 8), (86_399, 5), (110, 9), (120, 9)];
    check(&looks, Some(6), true).await;
    check(&looks, Some(7), true).await;
    check(&looks, Some(8), false).await;
    check(&[(86_400, 5), (10, 7), (109, 9)], Some(5), false).await;
    check(&[(86_400, 5), (10, 7), (110, 9)], Some(5), true).await;
    let repo = MemoryRepo::new();
    noted(&repo, looks).await;
    let subject = Subject::system("archived/main/raw", Keep::Latest).unwrap();
    let kept = Noted::of(&repo.latest(&subject).await.unwrap().unwrap().body).unwrap();
    let seconds: Vec<i64> = kept.0.iter().map(|(at, _)| at / 1_000_000).collect();
    assert_eq!(seconds, [20, 110, 120]);
}

#[tokio::test]
async fn however_often_somebody_looks_few_notes_are_kept() {
    let repo = MemoryRepo::new();
    let (noted, _) = noted(&repo, (0..1_000).map(|second| (second, 1))).await;
    assert!((10..=28).contains(&noted.0.len()), "{}", noted.0.len());
    let subject = Subject::system("archived/main/raw", Keep::Latest).unwrap();
    let found = repo.latest(&subject).await.unwrap().unwrap();
    assert!(Noted::of(&found.body).unwrap().0.len() <= 28);
}
