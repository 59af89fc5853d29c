//! Bad days: calls that are throttled, fail, lose their replies, meet others, take part of what they are given.

use std::time::Duration;

use fineo::{CompactOptions, Fineo};
use fineo_aws_faults::Plan;

use super::{counted, events, tallies, through};
use crate::support::{aws_options, tenant};

const EVENTS: u32 = 1_000;
const AT_ONCE: u32 = 50;
/// A minute is what the stages have on good days.
const VISIBLE_WITHIN: Duration = Duration::from_secs(180);

fn seed() -> u64 {
    std::env::var("FINEO_FAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7)
}

// D1, I2, N11: every answer of AWS that can be lost is lost now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_aws_accepted_on_a_bad_day_is_there_once() {
    let Some(options) = aws_options() else { return };
    println!("seed {}; FINEO_FAULT_SEED sets another", seed());
    let options = options.with_poll_every(Duration::from_millis(200));
    let (options, proxies) = through(options, &Plan::hard(seed())).await;
    let acme = tenant("acme");
    let fineo = Fineo::aws(options.clone()).open().await.unwrap();
    let mut receipts = Vec::new();
    for first in (0..EVENTS).step_by(AT_ONCE as usize) {
        let body = events(first..first + AT_ONCE);
        // Whoever sends does so until all of it is accepted.
        let receipt = loop {
            match fineo.ingest(&acme, body.clone()).await {
                Ok(receipt) if receipt.failed().is_empty() => break receipt,
                Ok(_) | Err(_) => {}
            }
        };
        receipts.push(receipt);
    }
    for receipt in &receipts {
        fineo.wait_until_visible(receipt.token(), VISIBLE_WITHIN).await.unwrap();
    }
    let expected = format!("{EVENTS}|{EVENTS}|0");
    assert_eq!(counted(&fineo, &acme).await, expected);
    fineo.close().await.unwrap();

    // What was archived meanwhile is whole, too.
    let fineo = Fineo::aws(options).open().await.unwrap();
    let report = fineo.compact(CompactOptions::default()).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    assert_eq!(report.total(|metric| metric.rows_out), u64::from(EVENTS));
    assert_eq!(counted(&fineo, &acme).await, expected);
    fineo.close().await.unwrap();

    let tallies = tallies(&proxies);
    for tally in &tallies {
        println!("{tally}");
    }
    for fault in [
        "a call was throttled",
        "a service failed",
        "a reply was lost",
        "a write met another",
        "records were not taken",
        "an iterator had expired",
    ] {
        assert!(tallies.iter().any(|tally| tally.fault(fault) > 0), "{fault}: never, so nothing was shown");
    }
}
