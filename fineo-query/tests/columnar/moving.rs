//! While rows move: each event once, at every moment. U1, U2, U5, U6.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fineo_compact::CompactOptions;
use fineo_conformance::fault::{Fault, FaultPlan, Faults, Operation, When};

use crate::{
    equal::{QUESTIONS, events, schema},
    world::{Compacted, Sees, World, ask},
};

/// What nearline rows alone answer when everything in `bodies` was sent.
async fn oracle(bodies: &[String]) -> Vec<String> {
    let world = World::new();
    schema(&world).await;
    world.send(&bodies.join("\n")).await;
    let engine = world.engine(Sees::Nearline, 1);
    assert_eq!(ask(&engine, "SELECT count(*) AS n FROM thermostat").await, format!("n: Int64\n{}", bodies.len()));
    let mut answers = Vec::new();
    for sql in QUESTIONS {
        answers.push(ask(&engine, sql).await);
    }
    answers
}

/// Leaves out what counts sent events, and times of arrival.
fn is_of_events(sql: &str) -> bool {
    !sql.contains("fineo_discovered")
}

async fn check(world: &World, wanted: &[String], context: &str) {
    for tasks in [1, 4] {
        let engine = world.engine(Sees::Everything, tasks);
        for (sql, wanted) in QUESTIONS.into_iter().zip(wanted).filter(|(sql, _)| is_of_events(sql)) {
            assert_eq!(&ask(&engine, sql).await, wanted, "{sql}\n{context}, {tasks} tasks");
        }
    }
}

// U1, U5, U6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_compacted_removed_and_sent_again_is_there_once() {
    let events = events();
    let wanted = oracle(&events).await;
    let world = World::new();
    schema(&world).await;
    let (before, after) = events.split_at(30);
    world.send(&before.join("\n")).await;
    world.compact(Compacted::Go).await;
    // A producer that lost its acknowledgement.
    world.send(&before[5..25].join("\n")).await;
    world.send(&after.join("\n")).await;
    check(&world, &wanted, "sent again, nearline").await;
    world.compact(Compacted::Go).await;
    check(&world, &wanted, "sent again, compacted").await;
    world.send(&events.join("\n")).await;
    check(&world, &wanted, "everything once more").await;
}

// U1, S12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_that_are_declared_while_rows_move_lose_and_double_nothing() {
    let events = events();
    let wanted = oracle(&events).await;
    for declared_at in 0..3 {
        let world = World::new();
        for (number, part) in events.chunks(17).enumerate() {
            world.send(&part.join("\n")).await;
            if number == declared_at {
                let declared = tokio::spawn({
                    let world = world.clone();
                    async move { schema(&world).await }
                });
                world.compact(Compacted::Go).await;
                declared.await.unwrap();
            } else {
                world.compact(Compacted::Go).await;
            }
        }
        check(&world, &wanted, &format!("declared during compaction {declared_at}")).await;
    }
}

// U4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_stay_nearline_until_files_have_them_whatever_the_time() {
    let world = World::new();
    let events = events();
    world.send(&events.join("\n")).await;
    // Nothing is to be kept, and no file can be written.
    let options = CompactOptions::default().with_pin_for(Duration::ZERO).with_retain_for(Duration::ZERO);
    let plan = FaultPlan::new(1).with_rule(Operation::ObjectPut, When::Always, Fault::FailBefore);
    let faults = Faults::new(plan);
    for _ in 0..2 {
        let ran = world.compactor(&faults, options.clone()).run(&|_| {}).await;
        assert!(ran.is_err() || ran.is_ok_and(|report| report.tenants.iter().all(|tenant| tenant.retired == 0)));
    }
    assert!(faults.injected() > 0);
    let engine = world.engine(Sees::Nearline, 1);
    let all = ask(&engine, "SELECT count(*) AS n FROM thermostat").await;
    assert_eq!(
        all,
        format!("n: Int64\n{}", events.len() - events.iter().filter(|event| event.contains("\"therm\"")).count())
    );
}

/// Every event, as it comes.
const ALL: &str = "SELECT _fineo_event_id, temp, device FROM thermostat";

// U1, U2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_beside_compaction_and_removal_sees_each_event_once() {
    let world = World::new();
    schema(&world).await;
    let events = events();
    world.send(&events.join("\n")).await;
    let wanted = {
        let engine = world.engine(Sees::Nearline, 1);
        ask(&engine, ALL).await
    };
    let is_over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for tasks in [1, 2] {
        let (world, wanted, is_over) = (world.clone(), wanted.clone(), Arc::clone(&is_over));
        readers.push(tokio::spawn(async move {
            let engine = world.engine(Sees::Everything, tasks);
            let mut asked = 0;
            while !is_over.load(Ordering::Acquire) || asked < 3 {
                // Nothing is shown before everything was read: it begins anew when rows moved.
                assert_eq!(ask(&engine, &format!("{ALL} ORDER BY _fineo_event_id")).await, wanted);
                // Rows that were shown cannot be taken back: the whole answer, or a clear error.
                let shown = ask(&engine, ALL).await;
                assert!(shown == wanted || shown == "error snapshot_too_old", "{shown}");
                asked += 1;
            }
            asked
        }));
    }
    for again in [10..20, 0..5, 30..49, 0..49] {
        world.compact(Compacted::Go).await;
        world.send(&events[again].join("\n")).await;
    }
    world.compact(Compacted::Go).await;
    is_over.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.await.unwrap() >= 3);
    }
    assert!(world.files().await > 0);
}
