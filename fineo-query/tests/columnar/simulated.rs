//! Compaction, retention, garbage collection, schema edits and queries race, under seeds, while every store fails: each
//! answer, not only the last, is what an oracle says. U1-U6, N3, N10, SC3, SC5.
//!
//! `FINEO_SIM_SEED=7` repeats one seed, `FINEO_SIM_SEEDS=500` runs so many.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use fineo_compact::{CompactOptions, Rewrite};
use fineo_conformance::fault::{CancelAt, Fault, FaultPlan, Faults, Operation, When};
use fineo_core::{Clock, SystemClock};
use fineo_query::Engine;
use fineo_schema::{Change, RetainDays};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::world::{Sees, World, try_ask};

const SEEDS: u64 = 8;
const STEPS: u32 = 14;
const DAY_MILLIS: i64 = 86_400_000;
/// Rows are kept for so many days, where they are not kept for ever.
const RETAIN_DAYS: u32 = 30;
/// So often events are sent while the stores fail.
const SENT_TRIES: usize = 4;
/// Nobody waits longer for a compactor or a pipeline that hangs.
const COMPACTED_WITHIN: Duration = Duration::from_secs(5);

/// An event: what it says under `x` and under `y`, and whether it is older than rows may be kept.
#[derive(Debug, Clone)]
struct Sent {
    line: String,
    x: Option<String>,
    y: Option<String>,
    is_old: bool,
}

/// What `x` means now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Undeclared,
    Text,
    Number,
}

/// What was sent and declared so far.
#[derive(Debug)]
struct Oracle {
    events: BTreeMap<u64, Sent>,
    meaning: Meaning,
    is_aging: bool,
}

impl Oracle {
    /// What a query answers under `x` for an event.
    fn value(&self, event: &Sent) -> String {
        let value = match self.meaning {
            Meaning::Undeclared => event.x.clone(),
            Meaning::Text => event.x.clone().or_else(|| event.y.clone()),
            // The first name with a value counts, also one that does not fit.
            Meaning::Number => event.x.clone().or_else(|| event.y.clone()).filter(|text| text.parse::<i64>().is_ok()),
        };
        value.unwrap_or_else(|| "-".to_owned())
    }

    /// Whether `rows` (`k|x`) are a right answer: every event once; those that age off, once at most.
    fn check(&self, rows: &[String]) -> Result<(), String> {
        let mut left = self.events.clone();
        for row in rows {
            let (key, value) = row.split_once('|').ok_or("no such row")?;
            let key: u64 = key.parse().map_err(|_| format!("no such key: {row}"))?;
            let event = left.remove(&key).ok_or_else(|| format!("{row} is there twice, or was never sent"))?;
            if self.value(&event) != value {
                return Err(format!("{row} instead of {} of {}", self.value(&event), event.line));
            }
        }
        match left.values().find(|event| !(self.is_aging && event.is_old)) {
            None => Ok(()),
            Some(missing) => Err(format!("missing: {}", missing.line)),
        }
    }
}

/// Two processes that ask, the second with nothing in memory.
fn engines(world: &World) -> Vec<Engine> {
    vec![world.engine(Sees::Everything, 1), world.reopened().engine(Sees::Everything, 3)]
}

struct Simulation {
    seed: u64,
    chance: SmallRng,
    world: World,
    engines: Vec<Engine>,
    oracle: Oracle,
    next_key: u64,
    log: Vec<String>,
}

static QUERIES: AtomicU64 = AtomicU64::new(0);
static OUTRUN: AtomicU64 = AtomicU64::new(0);
static FAULTS: AtomicU64 = AtomicU64::new(0);

impl Simulation {
    async fn new(seed: u64) -> Self {
        let world = World::new();
        let engines = engines(&world);
        let oracle = Oracle { events: BTreeMap::new(), meaning: Meaning::Undeclared, is_aging: false };
        let chance = SmallRng::seed_from_u64(seed);
        let mut simulation = Self { seed, chance, world, engines, oracle, next_key: 0, log: Vec::new() };
        // Both names are known from the beginning.
        simulation.send_event(Some("1"), Some("2"), false).await;
        simulation
    }

    fn note(&mut self, line: String) {
        self.log.push(line);
    }

    async fn send_event(&mut self, x: Option<&str>, y: Option<&str>, is_old: bool) {
        let event = self.event(x.map(str::to_owned), y.map(str::to_owned), is_old);
        self.world.send(&event).await;
    }

    /// Makes an event and notes that it is to be there.
    fn event(&mut self, x: Option<String>, y: Option<String>, is_old: bool) -> String {
        let key = self.next_key;
        self.next_key += 1;
        let days = if is_old { 100 } else { self.chance.random_range(0..3) };
        let millis = SystemClock.now().micros() / 1000 - days * DAY_MILLIS;
        let mut line = format!(r#"{{"metrictype":"m","timestamp":{millis},"k":{key},"device":"d{}""#, key % 3);
        for (name, text) in [("x", &x), ("y", &y)] {
            if let Some(text) = text {
                line.push_str(&format!(r#","{name}":"{text}""#));
            }
        }
        line.push('}');
        self.oracle.events.insert(key, Sent { line: line.clone(), x, y, is_old });
        line
    }

    async fn step(&mut self) {
        match self.chance.random_range(0..10) {
            0..3 => self.send().await,
            3 => self.edit().await,
            4 => self.retain().await,
            _ => self.compact().await,
        }
        self.query("after the step").await;
    }

    /// New events, late ones, and ones that were sent before.
    async fn send(&mut self) {
        let mut lines = Vec::new();
        for _ in 0..self.chance.random_range(1..9) {
            let text = |chance: &mut SmallRng| match chance.random_range(0..4) {
                0 => None,
                1 => Some("warm".to_owned()),
                _ => Some(chance.random_range(0..1000).to_string()),
            };
            let (x, y) = (text(&mut self.chance), text(&mut self.chance));
            let is_old = self.chance.random_ratio(1, 5);
            lines.push(self.event(x, y, is_old));
        }
        let known: Vec<String> = self.oracle.events.values().map(|event| event.line.clone()).collect();
        for _ in 0..self.chance.random_range(0..4) {
            lines.extend(known.choose(&mut self.chance).cloned());
        }
        let body = lines.join("\n");
        if self.chance.random_bool(0.5) {
            // First while the stores fail and the process is killed: what was sent is sent again, and is there once.
            let (faults, kill_after) = (self.faults(), Duration::from_millis(self.chance.random_range(0..200)));
            self.note(format!("send {} under {}, killed after {kill_after:?}", lines.len(), faults.plan()));
            let sent = self.world.send_under(&faults, &body, SENT_TRIES, kill_after);
            let _ = tokio::time::timeout(COMPACTED_WITHIN, sent).await;
            FAULTS.fetch_add(faults.injected(), Ordering::Relaxed);
        }
        self.note(format!("send {}", lines.len()));
        self.world.send(&body).await;
    }

    /// Declares `x` with the alias `y`, retypes it, or takes that back.
    async fn edit(&mut self) {
        let (metric, field) = ("m".to_owned(), "x".to_owned());
        let (change, meaning) = match (self.oracle.meaning, self.chance.random_bool(0.5)) {
            (Meaning::Undeclared, is_number) => {
                let (field_type, meaning) =
                    if is_number { ("long", Meaning::Number) } else { ("string", Meaning::Text) };
                let aliases = vec!["y".to_owned()];
                let field_type = field_type.to_owned();
                (Change::AddField { metric, name: field, field_type, aliases, unit: None }, meaning)
            }
            (_, true) => (Change::UndeclareField { metric, field }, Meaning::Undeclared),
            (Meaning::Text, false) => {
                (Change::RetypeField { metric, field, field_type: "long".into() }, Meaning::Number)
            }
            (Meaning::Number, false) => {
                (Change::RetypeField { metric, field, field_type: "string".into() }, Meaning::Text)
            }
        };
        self.note(format!("{change:?}"));
        self.world.change(vec![change]).await;
        self.oracle.meaning = meaning;
        // Another process may see a change of the schema later; that is not what is asked here.
        self.engines = engines(&self.world);
    }

    async fn retain(&mut self) {
        let days = if self.chance.random_bool(0.7) {
            self.oracle.is_aging = true;
            RetainDays::Days(NonZeroU32::new(RETAIN_DAYS).unwrap())
        } else {
            RetainDays::Forever
        };
        self.note(format!("retain {days}"));
        self.world.change(vec![Change::SetRetainDays { metric: None, days: Some(days) }]).await;
    }

    fn options(&mut self) -> CompactOptions {
        let options = CompactOptions::default()
            .with_small_files_max(self.chance.random_range(1..4))
            .with_memory_bytes(if self.chance.random_bool(0.5) { 1 } else { 1 << 20 })
            .with_archive_retain(self.chance.random_bool(0.3).then_some(Duration::ZERO))
            .with_rewrite(if self.chance.random_bool(0.3) { Rewrite::Stale } else { Rewrite::Never })
            .with_is_alone(true);
        let is_short = self.chance.random_bool(0.7);
        let wait = if is_short { Duration::ZERO } else { Duration::from_secs(3600) };
        options.with_pin_for(wait).with_retain_for(wait)
    }

    /// What fails: a few operations of every store, in every way that the contracts allow, and some that never answer.
    fn faults(&mut self) -> Faults {
        let mut plan = FaultPlan::new(self.chance.random());
        let all: Vec<Operation> = Operation::ALL.into_iter().chain(Operation::OBJECTS).collect();
        for _ in 0..self.chance.random_range(0..8) {
            let operation = *all.choose(&mut self.chance).unwrap();
            let when = match self.chance.random_range(0..2) {
                0 => When::Nth(self.chance.random_range(0..20)),
                _ => When::PerMille(self.chance.random_range(20..300)),
            };
            let fault = match self.chance.random_range(0..6) {
                0 => Fault::FailBefore,
                1 => Fault::FailAfter,
                2 => Fault::Throttle(self.chance.random_range(1..20)),
                3 | 4 => Fault::Late(self.chance.random_range(1..20)),
                _ => Fault::LateApplication(self.chance.random_range(1..200)),
            };
            plan = plan.with_rule(operation, when, fault);
        }
        if self.chance.random_bool(0.1) {
            let operation = *all.choose(&mut self.chance).unwrap();
            plan = plan.with_rule(operation, When::Nth(self.chance.random_range(0..10)), Fault::Hang);
        }
        Faults::new(plan)
    }

    /// One or two compactors at once, which take each other's leases, fail, or are dropped at some await; queries meanwhile.
    async fn compact(&mut self) {
        let mut running = Vec::new();
        for _ in 0..self.chance.random_range(1..3) {
            let (faults, options) = (self.faults(), self.options());
            let polls = if self.chance.random_bool(0.3) { self.chance.random_range(1..400) } else { u64::MAX };
            self.note(format!("compact, polls {polls}, {}, {}", options.pin_for.as_secs(), faults.plan()));
            let compactor = self.world.compactor(&faults, options);
            running.push(tokio::task::spawn_local(async move {
                let run = CancelAt::new(async { compactor.run(&|_| {}).await }, polls);
                // What becomes of it is nobody's business but the queries'.
                let _ = tokio::time::timeout(COMPACTED_WITHIN, run).await;
                FAULTS.fetch_add(faults.injected(), Ordering::Relaxed);
            }));
        }
        for _ in 0..3 {
            self.query("while compacting").await;
        }
        for run in running {
            run.await.unwrap();
        }
    }

    /// Asks every engine; a plan that was kept from before is used again.
    async fn query(&self, when: &str) {
        let newest = self.world.reopened().engine(Sees::Everything, 2);
        for (number, engine) in self.engines.iter().chain([&newest]).enumerate() {
            let sql = "SELECT CAST(k AS VARCHAR) AS k, CAST(x AS VARCHAR) AS x FROM m ORDER BY timestamp";
            let mut answer = try_ask(engine, sql).await;
            for _ in 0..3 {
                // With nothing pinned a query may be outrun again and again; it says so.
                let is_outrun = answer.as_ref().is_err_and(|error| {
                    error.context().iter().any(|(name, value)| *name == "code" && value == "snapshot_too_old")
                });
                if !is_outrun {
                    break;
                }
                OUTRUN.fetch_add(1, Ordering::Relaxed);
                answer = try_ask(engine, sql).await;
            }
            QUERIES.fetch_add(1, Ordering::Relaxed);
            let checked = match &answer {
                Ok(lines) => self.oracle.check(&lines[1..]),
                Err(error) => Err(format!("{error:?}")),
            };
            if let Err(problem) = checked {
                let log = self.log.join("\n");
                panic!("FINEO_SIM_SEED={}, engine {number}, {when}: {problem}\nsteps:\n{log}", self.seed);
            }
        }
    }

    /// With all failures gone two runs make everything files, and nothing is left behind.
    async fn settle(&mut self) {
        let options = self.options().with_pin_for(Duration::ZERO).with_retain_for(Duration::ZERO);
        for _ in 0..2 {
            let report = self.world.compactor(&Faults::none(), options.clone()).run(&|_| {}).await.unwrap();
            assert!(report.failed.is_empty(), "FINEO_SIM_SEED={}: {report:?}", self.seed);
        }
        self.query("at the end").await;
    }
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("FINEO_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("FINEO_SIM_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_is_right_whatever_races_and_fails() {
    let all = async {
        for seed in seeds() {
            let mut simulation = Simulation::new(seed).await;
            for _ in 0..STEPS {
                simulation.step().await;
            }
            simulation.settle().await;
        }
    };
    tokio::task::LocalSet::new().run_until(all).await;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!("{} queries, {} outrun, {} faults", count(&QUERIES), count(&OUTRUN), count(&FAULTS));
}
