//! Names of metrics that were moved from one to another: an event that is sent or replayed again is no second row. U1, U6, R3.

use fineo_ingest::ReplayMode;
use fineo_schema::Change;

use crate::world::{Compacted, Sees, World, ask};

/// What is done to the world of a test, step by step.
#[derive(Debug, Clone, Copy)]
enum Step {
    Create(&'static str, &'static str),
    Alias(&'static str, &'static str),
    Unalias(&'static str, &'static str),
    Merge(&'static str, &'static str),
    /// An event of this metric's name, and its number.
    Send(&'static str, u32),
}

use Step::{Alias, Create, Merge, Send, Unalias};

/// Each is a way in which names were moved, with what the metric `B` answers at the end.
const WAYS: [(&str, &[Step], &str); 4] = [
    (
        "taken away, discovered anew, and taken back before an event comes again",
        &[
            Create("B", "p"),
            Send("p", 1),
            Unalias("B", "p"),
            Send("p", 2),
            Alias("B", "p"),
            Send("p", 1),
            Send("p", 2),
            Send("p", 3),
        ],
        "1 2 3",
    ),
    (
        "taken away, sent again, and taken back after that",
        &[Create("B", "p"), Send("p", 1), Unalias("B", "p"), Send("p", 1), Send("p", 2), Alias("B", "p"), Send("p", 2)],
        "1 2",
    ),
    (
        "moved to a metric with a lower number than one that had it",
        &[
            Send("D", 101),
            Send("A", 102),
            Send("B", 103),
            Alias("A", "p"),
            Send("p", 5),
            Merge("A", "B"),
            Unalias("B", "p"),
            Alias("D", "p"),
            Send("p", 4),
            Send("p", 5),
            Merge("D", "B"),
            Send("p", 4),
            Send("p", 5),
            Send("p", 6),
        ],
        "101 102 103 4 5 6",
    ),
    (
        "merged as ever",
        &[Send("A", 1), Send("B", 2), Merge("A", "B"), Send("A", 1), Send("B", 2), Send("A", 3)],
        "1 2 3",
    ),
];

/// When rows become files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Never,
    AfterEachStep,
    AfterEachStepAndGone,
}

async fn go(step: Step, world: &World) {
    let own = str::to_owned;
    let change = match step {
        Create(name, alias) => Change::CreateMetric { name: own(name), aliases: vec![own(alias)] },
        Alias(metric, alias) => Change::AddMetricAlias { metric: own(metric), alias: own(alias) },
        Unalias(metric, alias) => Change::RemoveMetricAlias { metric: own(metric), alias: own(alias) },
        Merge(from, into) => Change::MergeMetric { from: own(from), into: own(into) },
        Send(metric, number) => {
            let day = number % 3 + 1;
            let event = format!(r#"{{"metrictype":"{metric}","timestamp":"2026-01-0{day}T00:00:00Z","k":"{number}"}}"#);
            return world.send(&event).await;
        }
    };
    world.change(vec![change]).await;
}

async fn check(world: &World, expected: &str, context: &str) {
    let engine = world.reopened().engine(Sees::Everything, 2);
    let answer = ask(&engine, r#"SELECT k FROM "B""#).await;
    let answer: Vec<&str> = answer.lines().skip(1).collect();
    assert_eq!(answer.join(" "), expected, "{context}");
    let ids = ask(&engine, r#"SELECT count(*) - count(DISTINCT _fineo_event_id) FROM "B""#).await;
    assert!(ids.ends_with("\n0"), "{context}: {ids}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_sent_again_after_its_metrics_name_was_moved_is_no_second_row() {
    for (way, steps, expected) in WAYS {
        for when in [When::Never, When::AfterEachStep, When::AfterEachStepAndGone] {
            let world = World::new();
            for step in steps {
                go(*step, &world).await;
                match when {
                    When::Never => {}
                    When::AfterEachStep => world.compact(Compacted::Stay).await,
                    When::AfterEachStepAndGone => world.compact(Compacted::Go).await,
                }
            }
            let context = format!("{way}, compacted: {when:?}");
            check(&world, expected, &context).await;
            for mode in [ReplayMode::AsRecorded, ReplayMode::ReDerive] {
                let new = world.replay(mode).await;
                // Rows that come back beside those in files are left out by queries.
                assert!(new == 0 || when == When::AfterEachStepAndGone, "{context}, replayed {mode:?}: {new}");
                check(&world, expected, &format!("{context}, replayed {mode:?}")).await;
            }
            world.compact(Compacted::Stay).await;
            check(&world, expected, &format!("{context}, and at the end")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_made_anew_out_of_the_archive_are_no_second_ones_where_names_were_moved() {
    for (way, steps, expected) in WAYS {
        let world = World::new();
        for step in steps {
            go(*step, &world).await;
        }
        for mode in [ReplayMode::AsRecorded, ReplayMode::ReDerive] {
            let emptied = world.emptied();
            emptied.replay(mode).await;
            check(&emptied, expected, &format!("{way}, {mode:?}")).await;
        }
    }
}
