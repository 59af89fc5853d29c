//! Several shards of either stream, and processes that take them over from one another while the schema changes: each event is
//! one row (I3, I4).

use std::{sync::Arc, time::Duration};

use fineo_core::{Clock, Entropy, SeededEntropy, ShardId};
use fineo_ingest::{Pipeline, PipelineOptions};
use fineo_schema::{Change, ChangeId, ChangeRequest, SchemaStore};

use crate::support::{Outage, PausedClock, World, tenant};

const SEEDS: u64 = 60;
const STEPS: usize = 40;
const MEMBERS: usize = 2;
const LATER: Duration = Duration::from_secs(10_000);

/// One of the processes.
struct Member {
    pipeline: Pipeline,
    repo: Arc<Outage>,
}

/// Processes on the same stores, and what they are sent.
struct Fleet {
    world: World,
    clock: Arc<PausedClock>,
    chance: SeededEntropy,
    cut_after: Duration,
    cut_bytes: usize,
    members: Vec<Member>,
    begun: usize,
    changes: u8,
    sent: usize,
}

impl Fleet {
    async fn new(seed: u64) -> Self {
        let chance = SeededEntropy::new(seed);
        let (raw, staged) = (1 + below(&chance, 4), 1 + below(&chance, 4));
        let cut_after = Duration::from_secs([1, 10, 40][below(&chance, 3)]);
        let cut_bytes = [1, 8 << 20][below(&chance, 2)];
        println!(
            "seed {seed}: {raw} raw shards, {staged} staged shards, a cut after {cut_after:?} or {cut_bytes} bytes"
        );
        let world = World::with_shards(raw, staged);
        let clock = Arc::new(PausedClock::new());
        let mut fleet =
            Self { world, clock, chance, cut_after, cut_bytes, members: Vec::new(), begun: 0, changes: 0, sent: 0 };
        for _ in 0..MEMBERS {
            fleet.begin().await;
        }
        fleet
    }

    /// Another process begins.
    async fn begin(&mut self) {
        self.begun += 1;
        let repo = Arc::new(Outage::new(self.world.repo.clone()));
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let mut parts = self.world.parts();
        parts.repo = Arc::clone(&repo) as _;
        parts.clock = Arc::clone(&clock);
        parts.entropy = Arc::new(SeededEntropy::new(self.below(1 << 30) as u64));
        parts.schemas = SchemaStore::new(Arc::clone(&parts.repo), Arc::clone(&clock));
        parts.discovery = fineo_schema::Discovery::new(Arc::clone(&parts.repo), clock);
        let options = PipelineOptions::default()
            .with_owner(Some(format!("p{}", self.begun)))
            .with_is_alone(false)
            .with_cut_after(self.cut_after)
            .with_cut_bytes(self.cut_bytes);
        let pipeline = Pipeline::start(parts, options).await.unwrap();
        self.members.push(Member { pipeline, repo });
    }

    fn below(&self, bound: usize) -> usize {
        below(&self.chance, bound)
    }

    async fn step(&mut self) {
        let member = self.below(MEMBERS);
        match self.below(20) {
            0..8 => self.send(member).await,
            8..11 => self.change().await,
            11 => self.kill(member).await,
            12 => self.lose_power().await,
            13 => self.members[member].repo.begin(),
            14 => self.members[member].repo.end(),
            15 => self.reshard(),
            _ => self.clock.sleep(Duration::from_millis(self.below(20_000) as u64)).await,
        }
        // Whoever is at work comes on by a few steps, or by none.
        for _ in 0..self.below(200) {
            tokio::task::yield_now().await;
        }
    }

    async fn send(&mut self, member: usize) {
        let count = 1 + self.below(4);
        let events = (self.sent..self.sent + count).map(|number| {
            format!(
                r#"{{"metrictype":"m","kind":"k","timestamp":"17676{number:05}","at":"2026-01-01T00:00:00Z","v":{number}}}"#
            )
        });
        let body = events.collect::<Vec<_>>().join("\n");
        self.sent += count;
        let edge = self.members[member].pipeline.edge();
        let receipt = edge.ingest(&tenant("acme"), body.into()).await.unwrap();
        assert_eq!(receipt.failed().len(), 0);
    }

    async fn change(&mut self) {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let change = match self.below(5) {
            0 => Change::SetMetricKeys { keys: texts(&["kind"]) },
            1 => Change::SetMetricKeys { keys: texts(&["metrictype"]) },
            2 => Change::SetTimestampFormats { metric: None, formats: texts(&["epoch_s"]) },
            3 => Change::SetTimestampFormats { metric: None, formats: texts(&[]) },
            _ => Change::SetTimestampAliases { metric: None, aliases: texts(&["at"]) },
        };
        self.changes += 1;
        let request = ChangeRequest::new(ChangeId::of_bytes([self.changes; 16]), vec![change]);
        self.world.parts().schemas.apply(&tenant("acme"), request).await.unwrap();
    }

    /// A process dies, and another one begins.
    async fn kill(&mut self, member: usize) {
        drop(self.members.remove(member));
        self.begin().await;
    }

    /// All of them die, with everything that no disk had, and others begin.
    async fn lose_power(&mut self) {
        self.members.clear();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.world.raw.crash();
        self.world.staged.crash();
        self.world.nearline.crash();
        for _ in 0..MEMBERS {
            self.begin().await;
        }
    }

    fn reshard(&self) {
        let stream = if self.below(2) == 0 { &self.world.raw } else { &self.world.staged };
        let shard = ShardId::new(&format!("s{}", self.below(6))).unwrap();
        // There may be no such shard, or it is closed.
        let _ = stream.split_shard(&shard);
    }

    /// Everything that was sent, once everybody has come to its end.
    async fn rows(mut self) -> Vec<String> {
        self.members.iter().for_each(|member| member.repo.end());
        self.lose_power().await;
        for member in &self.members {
            member.pipeline.drain(LATER).await.unwrap();
        }
        let mut rows = Vec::new();
        for metric in ["n1", "n2", "n3"] {
            rows.extend(self.world.rows("acme", metric, &["v"]).await);
        }
        assert_eq!(self.world.ids("acme", "errors").await.len(), 0);
        for member in self.members {
            member.pipeline.stop().await.unwrap();
        }
        rows
    }
}

fn below(chance: &SeededEntropy, bound: usize) -> usize {
    usize::from_be_bytes(chance.id()[..8].try_into().unwrap()) % bound
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("FINEO_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("FINEO_SIM_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_over_makes_one_row_of_each_event_however_many_shards_there_are_and_whatever_the_schema_says() {
    for seed in seeds() {
        let mut fleet = Fleet::new(seed).await;
        for _ in 0..STEPS {
            fleet.step().await;
        }
        let sent = fleet.sent;
        let rows = fleet.rows().await;
        let mut values: Vec<usize> = rows.iter().map(|row| row.rsplit_once("v=").unwrap().1.parse().unwrap()).collect();
        values.sort_unstable();
        assert_eq!(values, (0..sent).collect::<Vec<_>>(), "FINEO_SIM_SEED={seed}: {rows:?}");
    }
}
