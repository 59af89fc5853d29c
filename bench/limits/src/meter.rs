//! Rates per CPU second and spreads of latencies, and how they are told.

use rustix::time::{ClockId, clock_gettime};

/// One figure with its extremes.
#[derive(Debug)]
struct Figure {
    name: String,
    median: f64,
    min: f64,
    max: f64,
    unit: &'static str,
}

/// All figures of a run, in the order in which they were taken.
#[derive(Debug, Default)]
pub struct Meter(Vec<Figure>);

/// CPU seconds of this thread: a busy neighbour inflates wall time, but not these.
fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

impl Meter {
    /// Runs `work` once to warm up and `runs` times; it says how much it did, the figure is that per CPU second.
    pub fn rate(&mut self, name: &str, runs: usize, unit: &'static str, scale: f64, mut work: impl FnMut() -> f64) {
        work();
        let mut rates: Vec<f64> = (0..runs)
            .map(|_| {
                let start = cpu_seconds();
                let done = work();
                done / (cpu_seconds() - start).max(1e-9) / scale
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        self.push(name.into(), rates[runs / 2], &rates, unit);
    }

    /// Takes a sample of latencies or wall rates: median and 99th percentile.
    pub fn sample(&mut self, name: &str, mut sample: Vec<f64>, unit: &'static str) {
        sample.sort_by(f64::total_cmp);
        self.push(format!("{name}.p50"), sample[sample.len() / 2], &sample, unit);
        self.push(format!("{name}.p99"), sample[sample.len() * 99 / 100], &sample, unit);
    }

    /// Takes a figure that has no spread.
    pub fn constant(&mut self, name: &str, value: f64, unit: &'static str) {
        self.push(name.into(), value, &[value], unit);
    }

    fn push(&mut self, name: String, median: f64, sorted: &[f64], unit: &'static str) {
        self.0.push(Figure { name, median, min: sorted[0], max: sorted[sorted.len() - 1], unit });
    }

    /// One JSON object with all figures.
    pub fn print(&self, events: usize, bytes: usize) {
        println!("{{\n  \"sample_events\": {events}, \"sample_bytes\": {bytes}");
        for Figure { name, median, min, max, unit } in &self.0 {
            println!(
                "  , \"{name}\": {{\"median\": {median:.4}, \"min\": {min:.4}, \"max\": {max:.4}, \"unit\": \"{unit}\"}}"
            );
        }
        println!("}}");
    }
}
