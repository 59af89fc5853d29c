//! Few threads do what many ask for, and outlive what goes wrong.

use std::{
    collections::HashSet,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use fineo_core::ErrorKind;
use tokio::time::timeout;

use super::Threads;

#[tokio::test]
async fn as_many_threads_as_were_asked_for_do_all_the_work() {
    let threads = Threads::new(2).unwrap();
    let asked: Vec<_> = (0..50).map(|number| threads.run(move || (number, thread::current().id()))).collect();
    let mut used = HashSet::new();
    for (number, asked) in asked.into_iter().enumerate() {
        let (done, thread) = asked.await.unwrap();
        assert_eq!(done, number);
        used.insert(thread);
    }
    assert!(used.len() <= 2, "{used:?}");
}

#[tokio::test]
async fn work_that_panics_is_an_error_and_its_thread_serves_on() {
    let threads = Threads::new(1).unwrap();
    let error = threads.run(|| -> u32 { panic!("on purpose") }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(threads.run(|| 7).await.unwrap(), 7);
}

#[tokio::test]
async fn what_is_under_way_ends_where_nobody_waits_any_more() {
    let threads = Threads::new(1).unwrap();
    let (begin, begun) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let counted = Arc::new(());
    let held = Arc::clone(&counted);
    let under_way = threads.run(move || {
        begin.send(()).unwrap();
        ended.recv().unwrap();
        drop(held);
    });
    begun.recv().unwrap();
    drop((threads, under_way));
    end.send(()).unwrap();
    while Arc::strong_count(&counted) > 1 {
        thread::yield_now();
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_stands_still_while_something_is_done_stands_still() {
    let threads = Threads::new(1).unwrap();
    let (end, ended) = mpsc::channel::<()>();
    let done = threads.run(move || ended.recv().is_err());
    let beside = thread::spawn(move || {
        // Long enough for a clock to run ahead, where it does.
        (0..1000).for_each(|_| thread::yield_now());
        drop(end);
    });
    assert!(timeout(Duration::from_secs(3600), done).await.unwrap().unwrap());
    beside.join().unwrap();
}
