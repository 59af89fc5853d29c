//! Who is served by which look.

use std::sync::atomic::AtomicUsize;

use fineo_core::Error;
use futures::{FutureExt, poll};
use tokio::sync::Semaphore;

use super::*;

#[tokio::test]
async fn who_comes_while_a_look_is_made_has_the_next_one_with_all_who_came_meanwhile() {
    let (looks, made, may_end) = (Looks::default(), AtomicUsize::new(0), Semaphore::new(0));
    let look = |number: u64| {
        looks.made(number, async {
            made.fetch_add(1, Ordering::SeqCst);
            may_end.acquire().await.unwrap().forget();
            Ok(())
        })
    };
    let mut first = Box::pin(look(looks.next()));
    assert!(poll!(&mut first).is_pending());
    let mut later = [Box::pin(look(looks.next())), Box::pin(look(looks.next()))];
    assert!(later.iter_mut().all(|look| look.now_or_never().is_none()));
    may_end.add_permits(1);
    first.await.unwrap();
    assert!(poll!(&mut later[0]).is_pending(), "the first one had begun before it came");
    may_end.add_permits(1);
    for look in later {
        look.await.unwrap();
    }
    assert_eq!(made.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_look_that_nobody_waits_for_any_more_serves_nobody_and_one_that_failed_is_not_made_again() {
    let looks = Looks::default();
    let number = looks.next();
    let mut dropped = Box::pin(looks.made(number, std::future::pending()));
    assert!(poll!(&mut dropped).is_pending());
    drop(dropped);
    let failed = looks.made(number, async { Err(Error::unavailable("the repository is down")) }).await;
    assert_eq!(failed.unwrap_err().message(), "the repository is down");
    looks.made(number, async { unreachable!("the one that failed served all who came before it") }).await.unwrap();
}
