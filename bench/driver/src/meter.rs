//! Clocks and spreads.

use std::time::Instant;

use cpu_time::ProcessTime;
use serde_json::{Value, json};

/// The wall clock; a benchmark measures the machine, so no other clock will do.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// CPU seconds of all threads of this process.
pub(crate) fn cpu_seconds() -> f64 {
    ProcessTime::now().as_duration().as_secs_f64()
}

/// The most memory that this process had at once, in bytes; 0 where the system does not say.
pub(crate) fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Milliseconds between two instants, zero if the second came first.
pub(crate) fn milliseconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}

/// The `fraction`-th of a sorted sample.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    sorted[((sorted.len() as f64 * fraction) as usize).min(sorted.len() - 1)]
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// Median, extremes and 99th percentile, as the other subjects report them.
pub(crate) fn spread(mut sample: Vec<f64>) -> Value {
    sample.sort_by(f64::total_cmp);
    json!({
        "median": median(&sample), "min": sample[0], "max": sample[sample.len() - 1],
        "p99": quantile(&sample, 0.99), "n": sample.len(),
    })
}

/// The tail of a sample of latencies.
pub(crate) fn tail(mut sample: Vec<f64>) -> Value {
    sample.sort_by(f64::total_cmp);
    let round = |x: f64| (x * 100.0).round() / 100.0;
    json!({
        "p50": round(quantile(&sample, 0.5)), "p90": round(quantile(&sample, 0.9)), "p99": round(quantile(&sample, 0.99)),
        "p99.9": round(quantile(&sample, 0.999)), "max": round(sample[sample.len() - 1]),
    })
}
