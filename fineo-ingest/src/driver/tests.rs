//! Leases, checkpoints, and how far a process knows the stages to be.

use std::{sync::Arc, time::Duration};

use fineo_backend_memory::MemoryRepo;
use fineo_core::{
    Clock, Cover, Error, ErrorKind, ManualClock, Position, Result, SeededEntropy, ShardId, Timestamp, archive::Stage,
};

use super::{
    checkpoint::{self, Checkpoint},
    lease::{self, Claim, Claimed, Lease},
    progress::{Progress, Waiting},
};
use crate::retry::Retry;

struct Hand {
    repo: MemoryRepo,
    clock: Arc<ManualClock>,
    retry: Retry,
}

fn hand() -> Hand {
    let clock = Arc::new(ManualClock::new(Timestamp::default()));
    let retry = Retry::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededEntropy::new(1)));
    Hand { repo: MemoryRepo::new(), clock, retry }
}

impl Hand {
    async fn claim(&self, owner: &str) -> Option<Lease> {
        let subject = lease::subject("p", "raw", &ShardId::new("s0").unwrap()).unwrap();
        let claim = Claim { owner, hold_for: Duration::from_secs(30), at_once: false };
        match Lease::claim(&self.repo, subject, claim, self.clock.now()).await.unwrap() {
            Claimed::Held(lease) => Some(lease),
            Claimed::Taken(_) => None,
        }
    }

    async fn checkpoint(&self) -> Checkpoint {
        let subject = checkpoint::subject("p", "raw", "stage", &ShardId::new("s0").unwrap()).unwrap();
        Checkpoint::read(&self.repo, subject).await.unwrap()
    }

    async fn advance(&self, checkpoint: &mut Checkpoint, lease: &mut Lease, to: u64) -> Result<()> {
        checkpoint.advance(&self.repo, lease, Some(Position::from(to)), false, &*self.clock, &self.retry).await
    }
}

fn kind(result: Result<()>) -> Option<ErrorKind> {
    result.err().as_ref().map(Error::kind)
}

#[tokio::test]
async fn a_lease_is_held_by_one_until_it_runs_out() {
    let hand = hand();
    assert_eq!(hand.claim("one").await.unwrap().epoch(), 1);
    assert!(hand.claim("two").await.is_none());
    hand.clock.advance(Duration::from_secs(31));
    assert_eq!(hand.claim("two").await.unwrap().epoch(), 2);
}

#[tokio::test]
async fn a_zombies_checkpoint_is_refused() {
    // O4
    let hand = hand();
    let mut zombie = hand.claim("one").await.unwrap();
    let mut seen_by_zombie = hand.checkpoint().await;
    hand.advance(&mut seen_by_zombie, &mut zombie, 5).await.unwrap();
    hand.clock.advance(Duration::from_secs(31));
    let mut heir = hand.claim("two").await.unwrap();
    assert_eq!(kind(hand.advance(&mut seen_by_zombie, &mut zombie, 9).await), Some(ErrorKind::Cancelled));
    let mut seen = hand.checkpoint().await;
    assert_eq!(seen.position, Some(Position::from(5)));
    hand.advance(&mut seen, &mut heir, 7).await.unwrap();
    assert_eq!(kind(hand.advance(&mut seen_by_zombie, &mut zombie, 9).await), Some(ErrorKind::Cancelled));
    assert_eq!(hand.checkpoint().await.position, Some(Position::from(7)));
}

#[tokio::test]
async fn a_checkpoint_never_moves_backward() {
    // O4
    let hand = hand();
    let mut lease = hand.claim("one").await.unwrap();
    let mut checkpoint = hand.checkpoint().await;
    hand.advance(&mut checkpoint, &mut lease, 5).await.unwrap();
    assert_eq!(kind(hand.advance(&mut checkpoint, &mut lease, 4).await), Some(ErrorKind::Internal));
}

// D8
#[test]
fn nobody_waits_for_what_was_never_read_of_a_shard_that_is_gone() {
    let [raw, staged] = ["s0", "t0"].map(|name| ShardId::new(name).unwrap());
    let cover = |shard: &ShardId| Cover::from_iter([(shard.clone(), Position::from(5))]);
    let progress = Progress::new();
    progress.forwarded_before(&cover(&staged));
    progress.begun_behind(cover(&raw));
    assert_eq!(progress.waiting(&Cover::default(), None), Some(Waiting::Staged(cover(&staged))));
    progress.gone(Stage::Raw, &raw);
    assert!(!progress.has_caught_up(), "stage staged has not");
    progress.gone(Stage::Staged, &staged);
    assert!(progress.has_caught_up());
    assert_eq!(progress.waiting(&cover(&raw), None), None);
}
