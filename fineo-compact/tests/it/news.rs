//! News are told although the process ends between the commit that has them and the telling.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fineo_compact::{CompactOptions, Compactor, CompactorParts, FailedTenant, Notifier, TenantReport};
use fineo_conformance::{
    fault::{CrashPoints, Faults},
    sweep, sweep_cancel,
};
use fineo_core::Result;
use fineo_schema::Change;

use crate::{
    interrupted::faulty,
    support::{World, acme, at_once},
};

/// Notes what it hears.
#[derive(Debug, Clone)]
struct Ear {
    heard: Arc<Mutex<Vec<String>>>,
    points: CrashPoints,
}

impl Ear {
    fn new(points: &CrashPoints) -> Self {
        Self { heard: Arc::default(), points: points.clone() }
    }

    /// As after a restart: what was heard stays heard.
    fn restarted(&self) -> Self {
        Self { heard: Arc::clone(&self.heard), points: CrashPoints::never() }
    }

    fn heard(&self) -> Vec<String> {
        let mut heard = self.heard.lock().unwrap().clone();
        heard.sort();
        heard
    }
}

#[async_trait]
impl Notifier for Ear {
    async fn schema_news(&self, report: &TenantReport) -> Result<()> {
        self.points.pass().await;
        for metric in &report.metrics {
            let names = metric.new_names.iter().map(|new| format!("{} {} is new", metric.id, new.name));
            let conflicts = metric.conflicts.iter().map(|found| format!("{} {} conflicts", metric.id, found.name));
            self.heard.lock().unwrap().extend(names.chain(conflicts));
        }
        self.points.pass().await;
        Ok(())
    }

    async fn commit_failed(&self, failed: &FailedTenant) -> Result<()> {
        unreachable!("{failed:?}")
    }
}

/// `world`'s stores behind faults, and who hears of news.
fn parts(world: &World, faults: &Faults, ear: &Ear) -> CompactorParts {
    let mut parts = faulty(world.parts(), faults);
    parts.notifier = Some(Arc::new(ear.clone()));
    parts
}

fn options() -> CompactOptions {
    at_once().with_is_alone(true)
}

async fn run(world: &World, ear: &Ear) {
    let compactor = Compactor::new(parts(world, &Faults::none(), &ear.restarted()), options());
    let report = compactor.run(&|_| {}).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
}

fn body(from: usize) -> String {
    let line = |number: usize| {
        let value = if number.is_multiple_of(3) { "\"warm\"".to_owned() } else { number.to_string() };
        format!(r#"{{"metrictype":"m{}","timestamp":{number},"v":{value},"w{}":1}}"#, number % 2, number % 4)
    };
    (from..from + 12).map(line).collect::<Vec<_>>().join("\n")
}

/// What `body` has to tell.
const NEWS: [&str; 8] = [
    "n1 v conflicts",
    "n1 v is new",
    "n1 w0 is new",
    "n1 w2 is new",
    "n2 v is new",
    "n2 w1 is new",
    "n2 w3 is new",
    "n2 x is new",
];

async fn interrupted(points: CrashPoints) -> Result<()> {
    let world = World::new();
    world.send(&acme(), r#"{"metrictype":"m0","timestamp":1}{"metrictype":"m1","timestamp":1}"#).await;
    let quiet = Ear::new(&CrashPoints::never());
    run(&world, &quiet).await;
    assert!(quiet.heard().is_empty());
    let (metric, name, field_type) = ("m0".to_owned(), "v".to_owned(), "long".to_owned());
    let field = Change::AddField { metric, name, field_type, aliases: Vec::new(), unit: None };
    world.change(&acme(), vec![field]).await;
    world.send(&acme(), &body(0)).await;
    world.send(&acme(), r#"{"metrictype":"m1","timestamp":1,"x":1}"#).await;

    let ear = Ear::new(&points);
    let faults = Faults::none().with_points(points.clone());
    let compactor = Compactor::new(parts(&world, &faults, &ear), options());
    let ended = points.run(compactor.run(&|_| {})).await;
    ended.transpose()?;
    run(&world, &ear).await;
    let mut heard = ear.heard();
    if !points.is_interrupted() {
        assert_eq!(heard, NEWS);
    }
    heard.dedup();
    assert_eq!(heard, NEWS);

    // From now on they are known.
    let later = Ear::new(&CrashPoints::never());
    run(&world, &later).await;
    world.send(&acme(), &body(12).replace("\"warm\"", "1")).await;
    run(&world, &later).await;
    assert!(later.heard().is_empty(), "{:?}", later.heard());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_await_point_keeps_no_news_from_anybody() {
    let swept = sweep(interrupted).await.unwrap();
    println!("crash: {swept}");
    assert!(swept.interrupted > 30, "{swept}");
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_at_any_await_point_keeps_no_news_from_anybody() {
    let swept = sweep_cancel(interrupted).await.unwrap();
    println!("cancel: {swept}");
    assert!(swept.interrupted > 30, "{swept}");
}

#[tokio::test(start_paused = true)]
async fn compactors_that_take_each_others_leases_keep_no_news_from_anybody() {
    let world = World::new();
    let ear = Ear::new(&CrashPoints::never());
    for round in 0..4 {
        world.send(&acme(), &format!(r#"{{"metrictype":"m","timestamp":{round},"w{round}":1}}"#)).await;
        let compactors: Vec<Compactor> =
            (0..3).map(|_| Compactor::new(parts(&world, &Faults::none(), &ear), options())).collect();
        let runs = compactors.iter().map(|compactor| compactor.run(&|_| {}));
        for ran in futures::future::join_all(runs).await {
            ran.unwrap();
        }
        run(&world, &ear).await;
        let mut heard = ear.heard();
        heard.dedup();
        assert_eq!(heard, (0..=round).map(|round| format!("n1 w{round} is new")).collect::<Vec<_>>());
    }
}
