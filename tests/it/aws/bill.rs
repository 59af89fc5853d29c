//! What AWS is asked for, counted before the emulators.

use fineo::{
    Fineo,
    core::{Clock, SystemClock},
};
use fineo_aws_faults::{Calls, Plan};

use super::{counted, events, tallies, through};
use crate::support::{aws_options, tenant};

const EVENTS: u32 = 10_000;
/// As many as one request to Kinesis takes.
const AT_ONCE: u32 = 500;
/// Each archives what it received; there are no errors here, which would be a kind of their own.
const STAGES: u64 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_is_asked_for_no_more_than_the_events_need() {
    let Some(options) = aws_options() else { return };
    let prefix = options.prefix.clone();
    let (options, proxies) = through(options.with_shards(Some(1)), &Plan::quiet()).await;
    let acme = tenant("acme");
    let fineo = Fineo::aws(options).open().await.unwrap();
    let opened = tallies(&proxies);
    let begun = SystemClock.now();
    let mut last = None;
    for first in (0..EVENTS).step_by(AT_ONCE as usize) {
        last = Some(fineo.ingest(&acme, events(first..first + AT_ONCE)).await.unwrap());
    }
    fineo.wait_until_queryable(&last.unwrap()).await.unwrap();
    assert_eq!(counted(&fineo, &acme).await, format!("{EVENTS}|{EVENTS}|0"));
    fineo.close().await.unwrap();
    let windows = 1 + (SystemClock.now().micros() - begun.micros()) as u64 / 10_000_000;

    let names = ["S3", "Kinesis", "DynamoDB"];
    for ((name, tally), opened) in names.iter().zip(tallies(&proxies)).zip(&opened) {
        for operation in tally.calls.keys() {
            let Calls { requests, bytes_sent, .. } = tally.of(operation);
            let before = opened.of(operation);
            let millions = 1e6 / f64::from(EVENTS);
            println!(
                "{name} {}: {:.0} requests and {:.1} MB sent for a million events",
                operation.replace(&prefix, "PREFIX"),
                (requests - before.requests) as f64 * millions,
                (bytes_sent - before.bytes_sent) as f64 * millions / 1e6,
            );
        }
    }
    let tallies = tallies(&proxies);
    let writes_max = f64::from(EVENTS / AT_ONCE) * 1.1;
    for stream in ["raw", "staged"] {
        let writes = tallies[1].of(&format!("PutRecords {prefix}-{stream}")).requests as f64;
        assert!(writes <= writes_max, "{writes} writes to {stream}, at most {writes_max}");
    }
    let puts = tallies[0].of("PUT").requests - opened[0].of("PUT").requests;
    assert!(puts <= windows * STAGES, "{puts} objects put in {windows} windows");
}
