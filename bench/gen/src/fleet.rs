//! A fleet of devices whose firmware changes names, types and key order as it goes.

mod event;
mod late;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::Result;

use crate::config::{Config, Keys, Metric};
use crate::output::Output;
use crate::random::{Random, mix};
use event::{Event, Fault};
use late::Late;

/// What was written, by name.
pub type Counts = BTreeMap<String, u64>;

/// One sender.
#[derive(Debug)]
struct Device {
    id: String,
    tenant: usize,
    metric: usize,
    /// Mean milliseconds between two events.
    interval: f64,
    /// Firmware generation at the start, and the fraction of the run after which it is one higher.
    generation: u64,
    upgrade_at: f64,
    sent: u64,
    /// The walk of each field, in `0.0..=1.0`.
    values: Vec<f32>,
    hash: u64,
}

/// The state of a run.
#[derive(Debug)]
struct Fleet<'a> {
    config: &'a Config,
    keys: &'a Keys,
    tenants: Vec<String>,
    devices: Vec<Device>,
    vocabulary: Vec<String>,
    random: Random,
    counts: Counts,
    /// How often a field went by each of its names: metric, field, name.
    names: BTreeMap<(usize, usize, usize), u64>,
}

/// Writes `events` lines in order of arrival; late events and re-sends arrive later than they were made.
pub fn write(config: &Config, keys: &Keys, events: u64, seed: u64, out: &mut Output) -> Result<Counts> {
    let mut fleet = Fleet::new(config, keys, events, seed);
    let mut due: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    for (i, device) in fleet.devices.iter().enumerate() {
        due.push(Reverse(((fleet.random.fraction() * device.interval) as u64, i as u64)));
    }
    let mut late = Late::default();
    let mut event = Event::default();
    while !out.is_full() {
        let Reverse((now, device)) = *due.peek().expect("every device is always due again");
        if let Some(line) = late.arrived(now) {
            out.line(&line)?;
            continue;
        }
        due.pop();
        let next = fleet.next_after(now, device as usize);
        due.push(Reverse((next, device)));
        fleet.send(now, device as usize, &mut event, &mut late, out)?;
    }
    fleet.counts.insert("undelivered_at_end".into(), late.waiting() as u64);
    Ok(fleet.into_counts())
}

impl<'a> Fleet<'a> {
    fn new(config: &'a Config, keys: &'a Keys, events: u64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut tenants: Vec<String> = config.tenants.iter().map(|t| t.id.clone()).collect();
        let mut weights: Vec<f64> = config.tenants.iter().map(|t| t.w).collect();
        let last = weights.last().copied().unwrap_or(1.0);
        for i in 0..config.extra_tenants {
            tenants.push(format!("t{i:05}"));
            weights.push(last / config.extra_tenants as f64);
        }
        let devices = devices(config, &weights, events, seed, &mut random);
        let name = |i: u64| format!("{}{:x}", config.undeclared.prefix, mix(i ^ 77) % 0xfffff + (i << 20));
        let vocabulary = (0..config.undeclared.vocab).map(name).collect();
        let (counts, names) = (Counts::new(), BTreeMap::new());
        Self { config, keys, tenants, devices, vocabulary, random, counts, names }
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.into()).or_insert(0) += 1;
    }

    /// The device's next time: each sample has a millisecond of its own, so (device, time) is unique but for re-sends.
    fn next_after(&mut self, now: u64, device: usize) -> u64 {
        let step = self.devices[device].interval.max(2.0);
        now + (step * 0.5 + self.random.fraction() * step) as u64 + 1
    }

    /// Makes one event and writes it, or lets it wait; some are sent a second time.
    fn send(&mut self, now: u64, device: usize, event: &mut Event, late: &mut Late, out: &mut Output) -> Result<()> {
        let config = self.config;
        let generation = self.compose(now, device, event);
        let rotation = if generation >= 2 { 3 } else { 0 };
        let mut line = event.line(rotation);
        self.count("unique_events");
        if self.random.percent(config.malformed_pct) {
            let cut = 1 + self.random.below(line.len() as u64 - 3) as usize;
            line.truncate(cut);
            line.push(b'\n');
            self.count("malformed");
        }
        if self.random.percent(config.dup_pct) {
            let soon = self.random.percent(80.0);
            let delay = if soon { self.random.exponential(60_000.0) } else { self.random.fraction() * 86_400_000.0 };
            let reordered = self.random.percent(20.0);
            let further = if reordered { 1 + self.random.below(3) as usize } else { 0 };
            late.hold(now + delay as u64, event.line(rotation + further));
            self.count("duplicates_queued");
        }
        if self.random.percent(config.late_pct) {
            let longest = config.late_max_s * 1000.0;
            let delay = self.random.exponential(longest / 6.0).min(longest);
            late.hold(now + delay as u64, line);
            self.count("late");
            return Ok(());
        }
        out.line(&line)
    }

    /// Fills `event` with the device's next reading and says which firmware generation made it.
    fn compose(&mut self, now: u64, device: usize, event: &mut Event) -> u64 {
        let config = self.config;
        let device = &mut self.devices[device];
        device.sent += 1;
        let turn = (device.sent % config.metrics.len() as u64) as usize;
        let index = if config.all_metrics_per_device { turn } else { device.metric };
        let metric = &config.metrics[index];
        let first: usize = if config.all_metrics_per_device {
            config.metrics[..index].iter().map(|m| m.fields.len()).sum()
        } else {
            0
        };
        let age = now as f64 / (config.days * 86_400_000.0);
        let generation = device.generation + (age > device.upgrade_at) as u64;
        let fault = Fault::draw(&mut self.random, config.error_pct);
        if let Some(name) = fault.name() {
            *self.counts.entry(name.into()).or_insert(0) += 1;
        }

        event.clear();
        event.text(&self.keys.tenant, &self.tenants[device.tenant]);
        if fault != Fault::NoMetric {
            event.text(&self.keys.metric, &metric.aliases[generation as usize % metric.aliases.len()]);
        }
        event.time(&self.keys.time, config.start_ms + now as i64, fault, &mut self.random);
        event.text(&self.keys.device, &device.id);
        for (i, field) in metric.fields.iter().enumerate() {
            if field.missing_pct > 0.0 && self.random.percent(field.missing_pct) {
                continue;
            }
            let name = (generation as usize + i) % field.names.len();
            *self.names.entry((index, i, name)).or_insert(0) += 1;
            let value = &mut device.values[first + i];
            event.field(field, name, generation, device.hash, value, &mut self.random);
        }
        event.undeclared(&config.undeclared, &self.vocabulary, &mut self.random);
        generation
    }

    fn into_counts(mut self) -> Counts {
        self.counts.insert("devices".into(), self.devices.len() as u64);
        for ((metric, field, name), count) in self.names {
            let metric: &Metric = &self.config.metrics[metric];
            let field = &metric.fields[field];
            self.counts.insert(format!("name.{}.{}.{}", metric.id, field.id, field.names[name]), count);
        }
        self.counts
    }
}

/// Draws the devices. Their rates go as `1 / rank^skew` over a shuffled rank, and together give about `events`.
fn devices(config: &Config, tenants: &[f64], events: u64, seed: u64, random: &mut Random) -> Vec<Device> {
    let metrics: Vec<f64> = config.metrics.iter().map(|m| m.w.max(1e-9)).collect();
    let number = ((events as f64 / config.events_per_device).ceil() as u64).max(1);
    let generations =
        config.metrics.iter().flat_map(|m| &m.fields).map(|f| f.names.len().max(f.types.len())).max().unwrap_or(1)
            as u64;
    let rate = |i: u64| 1.0 / ((mix(seed ^ i) % number + 10) as f64).powf(config.skew);
    let all_rates: f64 = (0..number).map(rate).sum();
    let target = events as f64 * 1.02 / (1.0 + (config.dup_pct + config.error_pct) / 100.0);
    let span = config.days * 86_400_000.0;
    let device = |i: u64| {
        let tenant = random.pick(tenants);
        let metric = random.pick(&metrics);
        let fields: usize = if config.all_metrics_per_device {
            config.metrics.iter().map(|m| m.fields.len()).sum()
        } else {
            config.metrics[metric].fields.len()
        };
        Device {
            id: format!("{}{i:06}", config.device_prefix),
            tenant,
            metric,
            interval: span / (target * rate(i) / all_rates).max(1.0),
            generation: random.below(generations.saturating_sub(1).max(1)),
            upgrade_at: random.fraction() * 1.4,
            sent: 0,
            values: (0..fields).map(|_| random.fraction() as f32).collect(),
            hash: mix(seed.rotate_left(17) ^ i),
        }
    };
    (0..number).map(device).collect()
}
