//! Several compactors at once: whoever wins, each event is in files once.

use fineo_compact::{CompactOptions, Compactor};

use crate::support::{World, acme, metric};

async fn run(is_alone: bool) {
    let world = World::new();
    for round in 0..4 {
        let line = |number: usize| {
            format!(
                r#"{{"metrictype":"m","timestamp":{},"v":{}}}"#,
                number % 3 * 86_400_000 + number,
                round * 50 + number
            )
        };
        world.send(&acme(), &(0..50).map(line).collect::<Vec<_>>().join("\n")).await;
        // With `is_alone` each takes the other's lease away: nothing but the commit keeps them apart.
        let options = CompactOptions::default().with_is_alone(is_alone).with_small_files_max(2);
        let compactors: Vec<Compactor> = (0..3).map(|_| Compactor::new(world.parts(), options.clone())).collect();
        let runs = compactors.iter().map(|compactor| compactor.run(&|_| {}));
        for ran in futures::future::join_all(runs).await {
            let report = ran.unwrap();
            assert!(is_alone || report.failed.is_empty(), "{report:?}");
        }
        world.compact(options).await;
        assert_eq!(world.answer(&acme(), &metric(1)).await.len(), (round + 1) * 50);
        assert_eq!(world.in_files(&acme(), &metric(1)).await.len(), (round + 1) * 50);
    }
}

#[tokio::test(start_paused = true)]
async fn compactors_that_respect_leases_do_the_work_once() {
    run(false).await;
}

#[tokio::test(start_paused = true)]
async fn compactors_that_take_each_others_leases_lose_and_double_nothing() {
    run(true).await;
}
