//! What is counted of the names that events bore.

use std::{sync::Arc, time::Duration};

use fineo_backend_memory::MemoryRepo;
use fineo_core::{
    ContentHash, EventId, ManualClock, MetricId, Position, ShardId, TenantId, Timestamp,
    nearline::{RowHead, Rows},
};

use super::{Discovery, TimesSeen, saved, saved::Key};
use crate::{FieldType, SeenNames};

pub(super) fn rows(shard: &str, first: u64, events: &[&[(&str, &str)]]) -> Rows {
    let mut rows = Rows::new(ShardId::new(shard).unwrap());
    for (number, cells) in (first..).zip(events) {
        let at = Timestamp::from_micros(i64::try_from(number).unwrap()).unwrap();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let head = RowHead {
            timestamp: at,
            id: EventId(id),
            content: ContentHash(id),
            position: Position::from(number),
            ingested_at: at,
        };
        rows.row(head, "pump");
        for (name, text) in *cells {
            rows.cell(name, text);
        }
    }
    rows
}

fn counts(seen: &SeenNames) -> Vec<(String, u64)> {
    seen.stats().iter().map(|stats| (stats.name.to_string(), stats.count)).collect()
}

fn new(repo: &Arc<MemoryRepo>) -> Discovery {
    Discovery::new(repo.clone(), Arc::new(ManualClock::new(Timestamp::default())))
}

fn acme() -> (TenantId, MetricId) {
    (TenantId::new("acme").unwrap(), MetricId::numbered(1))
}

fn s0() -> ShardId {
    ShardId::new("s0").unwrap()
}

#[tokio::test]
async fn a_shard_is_saved_without_the_others_and_a_draft_that_was_dropped_leaves_no_head_without_names() {
    let (tenant, metric) = acme();
    let repo = Arc::new(MemoryRepo::new());
    let discovery = new(&repo);
    discovery.load(&tenant).await.unwrap();
    for shard in ["s0", "s1"] {
        discovery.observe(&tenant, &metric, &rows(shard, 1, &[&[("t", "1")]]), &|_| true);
    }
    // A save that was broken off before it wrote.
    let key = Key { tenant: tenant.clone(), metric: metric.clone(), shard: s0() };
    let dropped = saved::draft(&key, discovery.tenants().get_mut(&tenant).unwrap().get_mut(&key).unwrap()).unwrap();
    assert_eq!(dropped.unwrap().writes.len(), 2);
    discovery.save(&s0()).await.unwrap();
    let again = new(&repo);
    again.load(&tenant).await.unwrap();
    assert_eq!(counts(&again.seen(&tenant, &[metric])), [("t".to_owned(), 1)]);
}

#[tokio::test]
async fn names_are_counted_once_over_redelivery_and_restart() {
    let (tenant, metric) = acme();
    let repo = Arc::new(MemoryRepo::new());
    let discovery = new(&repo);
    discovery.load(&tenant).await.unwrap();
    let batch = rows("s0", 1, &[&[("t", "1"), ("p", "x")], &[("t", "2")], &[("t", "3"), ("q", "")]]);
    discovery.observe(&tenant, &metric, &batch, &|_| true);
    discovery.observe(&tenant, &metric, &batch, &|_| true);
    let expected = [("t".to_owned(), 3), ("p".to_owned(), 1), ("q".to_owned(), 1)];
    assert_eq!(counts(&discovery.seen(&tenant, std::slice::from_ref(&metric))), expected);
    discovery.save(&s0()).await.unwrap();
    discovery.save(&s0()).await.unwrap();

    let again = new(&repo);
    again.load(&tenant).await.unwrap();
    again.observe(&tenant, &metric, &batch, &|_| true);
    again.observe(&tenant, &metric, &rows("s0", 4, &[&[("t", "4")]]), &|_| true);
    again.save(&s0()).await.unwrap();
    let seen = again.seen(&tenant, std::slice::from_ref(&metric));
    assert_eq!(counts(&seen)[0], ("t".to_owned(), 4));
    assert_eq!(seen.stats_of("t").unwrap().last_position.as_ref().unwrap().1, Position::from(4));
    assert_eq!(again.times(&tenant, std::slice::from_ref(&metric)), TimesSeen { rows: 4, early: 0 });

    // Another process that only asks.
    discovery.refresh(&tenant).await.unwrap();
    assert_eq!(discovery.times(&tenant, std::slice::from_ref(&metric)).rows, 4);
    assert_eq!(counts(&discovery.seen(&tenant, std::slice::from_ref(&metric)))[0], ("t".to_owned(), 4));
}

#[tokio::test]
async fn who_asks_beside_others_sees_their_names_within_ten_seconds() {
    let (tenant, metric) = acme();
    let repo = Arc::new(MemoryRepo::new());
    let clock = Arc::new(ManualClock::new(Timestamp::default()));
    let storing = new(&repo);
    let (alone, beside) =
        (Discovery::new(repo.clone(), clock.clone()), Discovery::beside_others(repo.clone(), clock.clone()));
    let names = |discovery: &Discovery| discovery.seen(&tenant, std::slice::from_ref(&metric)).len();
    for (number, expected) in [(1, 1), (2, 2)] {
        let name = format!("n{number}");
        storing.observe(&tenant, &metric, &rows("s0", number, &[&[(&name, "1")]]), &|_| true);
        storing.save(&s0()).await.unwrap();
        alone.look(&tenant).await.unwrap();
        beside.look(&tenant).await.unwrap();
        // Young enough yet.
        assert_eq!((names(&alone), names(&beside)), (1, 1), "after {number}");
        clock.advance(Duration::from_secs(11));
        beside.look(&tenant).await.unwrap();
        assert_eq!((names(&alone), names(&beside)), (1, expected));
    }
}

#[tokio::test]
async fn rows_that_are_not_new_do_not_count() {
    let (tenant, metric) = acme();
    let discovery = new(&Arc::new(MemoryRepo::new()));
    let batch = rows("s0", 1, &[&[("t", "1")], &[("t", "1"), ("u", "1")]]);
    discovery.observe(&tenant, &metric, &batch, &|index| index == 0);
    assert_eq!(counts(&discovery.seen(&tenant, &[metric])), [("t".to_owned(), 1)]);
}

#[tokio::test]
async fn shards_and_metrics_are_added_in_order_of_first_sight() {
    let (tenant, metric) = acme();
    let other = MetricId::numbered(2);
    let discovery = new(&Arc::new(MemoryRepo::new()));
    discovery.observe(&tenant, &metric, &rows("s0", 5, &[&[("b", "1")]]), &|_| true);
    discovery.observe(&tenant, &metric, &rows("s1", 3, &[&[("a", "1")], &[("b", "1")]]), &|_| true);
    discovery.observe(&tenant, &other, &rows("s1", 9, &[&[("c", "1"), ("a", "1")]]), &|_| true);
    let seen = discovery.seen(&tenant, &[metric.clone(), other.clone()]);
    assert_eq!(counts(&seen), [("a".to_owned(), 2), ("b".to_owned(), 2), ("c".to_owned(), 1)]);
    assert_eq!(discovery.is_never_together(&tenant, std::slice::from_ref(&metric), "a", "b"), Some(true));
    assert_eq!(discovery.is_never_together(&tenant, &[metric, other], "a", "c"), Some(false));
}

#[tokio::test]
async fn values_tell_the_share_of_each_type_with_samples_and_range() {
    let (tenant, metric) = acme();
    let discovery = new(&Arc::new(MemoryRepo::new()));
    let long = "x".repeat(200);
    discovery.observe(
        &tenant,
        &metric,
        &rows("s0", 1, &[&[("t", "21.5")], &[("t", "-3")], &[("t", "warm")], &[("t", &long)]]),
        &|_| true,
    );
    let seen = discovery.seen(&tenant, &[metric]);
    let stats = seen.stats_of("t").unwrap();
    let share = |wanted| stats.shares().find(|(known, _)| *known == wanted).unwrap().1;
    assert!((share(FieldType::Double) - 0.5).abs() < 1e-9 && (share(FieldType::Long) - 0.25).abs() < 1e-9);
    assert_eq!(stats.range, Some((-3.0, 21.5)));
    assert_eq!(stats.samples.len(), 4);
    assert_eq!(stats.samples[3].len(), 64);
}

#[tokio::test]
async fn tracking_stops_visibly_at_its_limit() {
    let (tenant, metric) = acme();
    let repo = Arc::new(MemoryRepo::new());
    let discovery = new(&repo);
    let names: Vec<String> = (0..SeenNames::NAMES_MAX + 5).map(|number| format!("n{number}")).collect();
    for (at, names) in (1_u64..).zip(names.chunks(10_000)) {
        let cells: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        discovery.observe(&tenant, &metric, &rows("s0", at, &[&cells]), &|_| true);
    }
    discovery.save(&s0()).await.unwrap();
    let again = new(&repo);
    again.load(&tenant).await.unwrap();
    for discovery in [discovery, again] {
        let seen = discovery.seen(&tenant, std::slice::from_ref(&metric));
        assert!(seen.is_full());
        assert_eq!(seen.len(), SeenNames::NAMES_MAX);
    }
}

#[tokio::test]
async fn two_that_count_one_metric_lose_no_name() {
    let (tenant, metric) = acme();
    let repo = Arc::new(MemoryRepo::new());
    let (one, two) = (new(&repo), new(&repo));
    one.observe(&tenant, &metric, &rows("s0", 1, &[&[("a", "1"), ("b", "1")]]), &|_| true);
    two.observe(&tenant, &metric, &rows("s0", 1, &[&[("b", "1")], &[("c", "1")]]), &|_| true);
    one.save(&s0()).await.unwrap();
    two.save(&s0()).await.unwrap();
    let seen = two.seen(&tenant, std::slice::from_ref(&metric));
    let mut names: Vec<String> = seen.names().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
    one.refresh(&tenant).await.unwrap();
    assert_eq!(one.seen(&tenant, &[metric]).len(), 3);
}

#[test]
fn an_answer_that_was_made_of_older_names_does_not_take_the_place_of_a_newer_one() {
    let (tenant, metric) = acme();
    let discovery = new(&Arc::new(MemoryRepo::new()));
    let metrics = [metric.clone()];
    let observe = |number: u64, name: &str| {
        discovery.observe(&tenant, &metric, &rows("s0", number, &[&[(name, "1")]]), &|_| true);
    };
    observe(1, "a");
    let old = discovery.seen(&tenant, &metrics);
    observe(2, "b");
    let new = discovery.seen(&tenant, &metrics);
    assert_eq!((old.stats().len(), new.stats().len()), (1, 2));
    // Whoever made the old one was slow.
    let let_go = discovery.tenants().get_mut(&tenant).unwrap().keep(&metrics, 1, &old);
    assert!(let_go.is_empty() && Arc::ptr_eq(&discovery.seen(&tenant, &metrics), &new));
}
