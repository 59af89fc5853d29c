//! Random events with drift, re-sends and late days, compacted at random moments: each answers once, at every moment.

use std::collections::BTreeMap;

use fineo_compact::CompactOptions;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::support::{Row, World, acme, at_once, metric};

const DAY_MILLIS: i64 = 86_400_000;

/// An event as JSON, and the row that it is.
fn event(random: &mut StdRng) -> (String, Row) {
    let millis = random.random_range(0..4) * DAY_MILLIS + random.random_range(0..1000) * 1000;
    let device = format!("dev-{}", random.random_range(0..5));
    let name = ["temp", "temperature", "t"][random.random_range(0..3)];
    let value = match random.random_range(0..4) {
        0 => random.random_range(0..40).to_string(),
        1 => format!("{}.50", random.random_range(0..40)),
        2 => format!("\"{}.5\"", random.random_range(0..40)),
        _ => "\"warm\"".to_owned(),
    };
    let extra = format!("x{}", random.random_range(0..40));
    let json = format!(
        r#"{{"metrictype":"m","timestamp":{millis},"device":"{device}","{name}":{value},"{extra}":true,"Device":"{device}"}}"#
    );
    let row = Row::from([
        ("_time".to_owned(), (millis * 1000).to_string()),
        ("device".to_owned(), device.clone()),
        ("Device".to_owned(), device),
        (name.to_owned(), value.trim_matches('"').to_owned()),
        (extra, "true".to_owned()),
    ]);
    (json, row)
}

/// Sends and compacts at random; after each step the answer is what was sent.
async fn run(seed: u64, options: CompactOptions) {
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new();
    let mut sent: Vec<(String, Row)> = Vec::new();
    let mut oracle: BTreeMap<String, Row> = BTreeMap::new();
    for step in 0..8 {
        let mut body = String::new();
        for _ in 0..random.random_range(1..60) {
            // A re-send now and then, of any age: of the same batch, the last one, or one that was compacted long ago.
            let (json, row) = match sent.is_empty() || random.random_range(0..5) > 0 {
                true => event(&mut random),
                false => sent[random.random_range(0..sent.len())].clone(),
            };
            body.push_str(&json);
            body.push('\n');
            oracle.insert(json.clone(), row.clone());
            sent.push((json, row));
        }
        world.send(&acme(), &body).await;
        if random.random_range(0..3) > 0 {
            world.compact(options.clone()).await;
        }
        let mut expected: Vec<Row> = oracle.values().cloned().collect();
        expected.sort();
        assert_eq!(world.answer(&acme(), &metric(1)).await, expected, "seed {seed}, step {step}");
    }
    let options = options.with_few_records(0);
    world.compact(options.clone()).await;
    assert_eq!(world.in_files(&acme(), &metric(1)).await.len(), oracle.len(), "seed {seed}");
    assert!(world.compact(options).await.total(|metric| metric.rows_in) == 0);
}

#[tokio::test(start_paused = true)]
async fn every_event_answers_once_at_every_moment() {
    // U1, U5, U6, I4
    for seed in 0..4 {
        run(seed, at_once().with_small_files_max(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_is_when_rows_stay_nearline_and_memory_is_scarce() {
    // U1, B1
    for seed in 10..12 {
        run(seed, CompactOptions::default().with_memory_bytes(8_000).with_small_files_max(3)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_is_when_few_records_wait_for_more() {
    // U1, U5, I4
    for seed in 20..23 {
        run(seed, at_once().with_few_records(70).with_small_files_max(2)).await;
    }
}
