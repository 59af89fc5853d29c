//! Deep work, work that panics, and threads that serve one statement after the other.

use std::{collections::BTreeSet, thread};

use fineo_core::ErrorKind;

use super::*;

// B2
#[tokio::test]
async fn work_may_recurse_deeply_and_a_panic_is_an_error_of_that_work_alone() {
    fn sum(depth: usize) -> usize {
        let pad = std::hint::black_box([depth; 64]);
        if depth == 0 { 0 } else { pad[depth % 64] - depth + 1 + sum(depth - 1) }
    }
    let planners = Planners::default();
    let failed = planners.run(|| -> Result<()> { panic!("lost") }).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Internal);
    assert_eq!(planners.run(|| Ok(sum(20_000))).await.unwrap(), 20_000);
}

#[tokio::test]
async fn a_thread_serves_one_statement_after_the_other() {
    let planners = Planners::default();
    let mut threads = BTreeSet::new();
    for _ in 0..20 {
        threads.insert(format!("{:?}", planners.run(|| Ok(thread::current().id())).await.unwrap()));
    }
    // The answer may come before its thread is idle again.
    assert!(threads.len() <= IDLE_MAX + 1, "{threads:?}");
}

#[tokio::test]
async fn what_fails_for_want_of_somebody_who_waits_or_for_now_says_nothing_of_a_statement() {
    let planners = Planners::default();
    let lasts = |error: Error| planners.run(move || Ok(is_lasting(&error)));
    assert!(lasts(Error::invalid("no such column")).await.unwrap());
    assert!(!lasts(Error::unavailable("the store is away")).await.unwrap());

    let (begins, begun) = mpsc::channel();
    let (left, leaves) = mpsc::channel::<()>();
    let (says, said) = mpsc::channel();
    let work = move || {
        begins.send(()).unwrap();
        leaves.recv().unwrap();
        says.send(is_lasting(&Error::invalid("nobody wants the plan any more"))).unwrap();
        Ok(())
    };
    let mut planned = Box::pin(planners.run(work));
    assert!(futures::poll!(&mut planned).is_pending());
    begun.recv().unwrap();
    drop(planned);
    left.send(()).unwrap();
    assert!(!said.recv().unwrap(), "nobody waited");
}
