//! What only an instance on AWS meets: bad days of the services, several workers, a bill, how fresh answers are.
//!
//! Every test needs the emulators that `scripts/services start` starts.

mod bill;
mod faults;
mod feeds;
mod freshness;
mod workers;

use std::{fmt::Write, ops::Range, sync::Arc, time::Duration};

use fineo::{
    Fineo, TenantId,
    aws::AwsOptions,
    core::{Clock, SystemClock},
};
use fineo_aws_faults::{FaultProxy, Plan, Tally};

use crate::support::rows;

/// Events of one metric, each with a number of its own.
fn events(numbers: Range<u32>) -> String {
    let mut body = String::new();
    for number in numbers {
        let millis = 1_700_000_000_000_u64 + u64::from(number) * 1_000;
        writeln!(body, "{{\"metrictype\":\"meter\",\"timestamp\":{millis},\"number\":{number}}}").unwrap();
    }
    body
}

/// How many rows there are, and how many different ones.
async fn counted(fineo: &Fineo, tenant: &TenantId) -> String {
    let sql = "SELECT count(*) AS n, count(DISTINCT number) AS different, (SELECT count(*) FROM errors.stream) AS errors FROM meter";
    rows(fineo, tenant, sql).await.remove(0)
}

/// The same place, asked through a proxy for each service.
async fn through(options: AwsOptions, plan: &Plan) -> (AwsOptions, Vec<FaultProxy>) {
    let mut endpoints = options.endpoints.clone();
    let mut proxies = Vec::new();
    for url in [&mut endpoints.s3, &mut endpoints.kinesis, &mut endpoints.dynamodb] {
        let proxy = FaultProxy::start(url.as_ref().unwrap(), plan.clone()).await.unwrap();
        *url = Some(proxy.url().to_owned());
        proxies.push(proxy);
    }
    (options.with_endpoints(endpoints), proxies)
}

fn tallies(proxies: &[FaultProxy]) -> Vec<Tally> {
    proxies.iter().map(FaultProxy::tally).collect()
}

/// Asks until `is_so`, at most for `within`; how long it took.
async fn until(within: Duration, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let begun = clock.now();
    loop {
        if is_so().await {
            return Duration::from_micros(clock.now().micros().abs_diff(begun.micros()));
        }
        assert!(clock.now().micros() - begun.micros() < within.as_micros() as i64, "not so within {within:?}");
        clock.sleep(Duration::from_millis(50)).await;
    }
}
