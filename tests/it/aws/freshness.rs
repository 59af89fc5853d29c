//! How long an event takes from being sent to being seen, with records polled for and with records pushed.

use std::time::Duration;

use fineo::{
    Fineo, TenantId,
    aws::{Aws, AwsOptions},
    core::{Clock, SystemClock},
};

use super::{events, until};
use crate::support::{aws_options, rows, tenant, try_rows};

/// Batches that are sent one after another, each until it is seen.
const BATCHES: u32 = 20;
const AT_ONCE: u32 = 10;
/// Under a minute is the floor of what can be accepted.
const VISIBLE_WITHIN: Duration = Duration::from_secs(60);

/// The times from sending to seeing, in order.
async fn visible(fineo: &Fineo, acme: &TenantId) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0..BATCHES {
        let begun = SystemClock.now();
        let first = number * AT_ONCE;
        let receipt = fineo.ingest(acme, events(first..first + AT_ONCE)).await.unwrap();
        assert!(receipt.failed().is_empty(), "{receipt:?}");
        let sent = SystemClock.now().micros().abs_diff(begun.micros());
        let wanted = (first + AT_ONCE).to_string();
        let sql = "SELECT count(*) AS n FROM meter";
        let seen = until(VISIBLE_WITHIN, async || {
            let session = fineo.session(acme);
            try_rows(&session, sql).await.is_ok_and(|rows| rows == [wanted.clone()])
        });
        times.push(Duration::from_micros(sent) + seen.await);
    }
    times.sort();
    times
}

async fn report(how: &str, options: AwsOptions) {
    let acme = tenant("acme");
    let fineo = Fineo::aws(options.clone()).open().await.unwrap();
    // The first event brings the metric about, which is another matter.
    let receipt = fineo.ingest(&acme, events(0..1)).await.unwrap();
    fineo.wait_until_queryable(&receipt).await.unwrap();
    assert_eq!(rows(&fineo, &acme, "SELECT count(*) AS n FROM meter").await, ["1"]);
    let times = visible(&fineo, &acme).await;
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{how}: visible after {:?} (p50), {:?} (p99), of {BATCHES} batches", at(50), at(99));
    assert!(at(99) < VISIBLE_WITHIN);
    fineo.close().await.unwrap();
    Aws::connect(options).await.unwrap().delete_everything().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_shows_events_within_a_minute_polled_and_pushed() {
    let (Some(options), Ok(kinesis)) = (aws_options(), std::env::var("FINEO_TEST_KINESIS_URL")) else { return };
    // The only emulator that pushes; asked for as often as by default.
    let endpoints = options.endpoints.clone().with_kinesis(kinesis);
    let place = |name: &str| {
        let options = AwsOptions::new(format!("{}-{name}", options.prefix)).with_endpoints(endpoints.clone());
        options.with_region("us-east-1").with_shards(Some(1))
    };
    report("polled", place("polled")).await;
    report("pushed", place("pushed").with_fan_out(Some("fineo".to_owned()))).await;
}
