//! An instance whose archive lists late: whatever is delivered when, queries answer the same (U1, U6).

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fineo::{CompactOptions, ErrorKind, Fineo, Parts};
use fineo_conformance::fault::LateArchive;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{
    backup::Later,
    support::{ingest, rows, tenant},
};

async fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let acme = tenant("acme");
    let fineo = Fineo::memory().open().await.unwrap();
    let parts = fineo.parts().clone();
    fineo.close().await.unwrap();
    let late = Arc::new(LateArchive::new(Arc::clone(&parts.archive), Duration::from_secs(3_600)));
    let parts = Parts { archive: Arc::clone(&late) as _, ..parts };
    let at_once = CompactOptions::default().with_pin_for(Duration::ZERO).with_retain_for(Duration::ZERO);
    let mut undelivered = 0;
    for step in 1..=8 {
        let line = |number| format!("{{\"metrictype\":\"m\",\"timestamp\":{number},\"v\":{number}}}\n");
        let fineo = Fineo::with_parts(parts.clone()).open().await.unwrap();
        // The first half of them was sent before.
        ingest(&fineo, &acme, ((step - 1) * 10..(step + 1) * 10).map(line).collect::<String>()).await;
        fineo.close().await.unwrap();
        let mut names = late.on_their_way();
        names.extend(late.delivered());
        names.shuffle(&mut random);
        names.truncate(random.random_range(0..=names.len()));
        for name in &names {
            late.deliver(name).await.unwrap();
        }
        if step == 8 {
            late.deliver_all().await.unwrap();
        }
        let fineo = Fineo::with_parts(parts.clone()).open().await.unwrap();
        let report = fineo.compact(at_once.clone()).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        undelivered += report.undelivered;
        let sql = "SELECT count(*), count(DISTINCT _fineo_event_id), sum(CAST(v AS BIGINT)) FROM m";
        let (count, sum) = ((step + 1) * 10, (0..(step + 1) * 10).sum::<i32>());
        assert_eq!(rows(&fineo, &acme, sql).await, [format!("{count}|{count}|{sum}")], "seed {seed}, step {step}");
        fineo.close().await.unwrap();
    }
    assert!(undelivered > 0, "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_answer_the_same_whatever_is_delivered_when() {
    for seed in 0..3 {
        println!("seed {seed}");
        run(seed).await;
    }
}

// D8
#[tokio::test]
async fn a_backup_does_not_wait_for_what_compaction_knows_to_be_lost() {
    let acme = tenant("acme");
    let fineo = Fineo::memory().open().await.unwrap();
    let parts = fineo.parts().clone();
    fineo.close().await.unwrap();
    let within = Duration::from_secs(90_000);
    let late = Arc::new(LateArchive::new(Arc::clone(&parts.archive), within));
    let parts = Parts { archive: Arc::clone(&late) as _, ..parts };
    let clock = Arc::new(Later::default());
    let open = async || Fineo::with_parts(parts.clone()).with_clock(Arc::clone(&clock) as _).open().await.unwrap();
    let fineo = open().await;
    ingest(&fineo, &acme, "{\"metrictype\":\"m\",\"timestamp\":1}\n".to_owned()).await;
    fineo.close().await.unwrap();
    let fineo = open().await;
    assert_eq!(fineo.compact(CompactOptions::default()).await.unwrap().undelivered, 1);
    clock.0.fetch_add(i64::try_from(within.as_micros()).unwrap(), Ordering::SeqCst);
    let place = tempfile::tempdir().unwrap();
    let error = fineo.backup(place.path().join("copy")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    fineo.close().await.unwrap();
}
