//! The same data all nearline, all in files, and split at every position: equal answers.

use fineo_schema::Change;

use crate::world::{Compacted, Sees, World, ask};

/// Events of a fleet whose names and values drift: aliases, conflicts, late ones, several names at once.
pub(crate) fn events() -> Vec<String> {
    let mut events = Vec::new();
    for number in 0..48_u32 {
        let (day, hour) = (1 + number / 20, number % 20);
        let at = format!("2026-01-{day:02}T{hour:02}:00:00Z");
        let device = ["a", "b", "c"][(number % 3) as usize];
        let metric = if number % 11 == 10 { "therm" } else { "thermostat" };
        let temperature = match number % 8 {
            0 => format!("\"temp\": {}", f64::from(number) + 0.5),
            1 => format!("\"T2\": {number}"),
            2 => format!("\"t\": \"{number}.50\""),
            3 => "\"temp\": \"warm\"".to_owned(),
            4 => format!("\"T2\": {number}, \"temp\": {}", number + 1),
            5 => format!("\"t\": {number}, \"T2\": \"cold\""),
            6 => "\"temp\": null".to_owned(),
            _ => format!("\"temp\": 1e{}", number % 4),
        };
        let undeclared = match number % 5 {
            0 => format!(", \"load\": {number}"),
            1 => format!(", \"load\": \"{number}.0\""),
            2 => format!(", \"note {number}\": \"x\\\"y\""),
            3 => ", \"load\": \"n/a\", \"ok\": true".to_owned(),
            _ => String::new(),
        };
        events.push(format!(
            "{{\"metrictype\": \"{metric}\", \"timestamp\": \"{at}\", \"dev\": \"{device}\", {temperature}{undeclared}}}"
        ));
    }
    // Late: of a day that is in files by then.
    events.push(
        "{\"metrictype\": \"thermostat\", \"timestamp\": \"2026-01-01T05:30:00Z\", \"dev\": \"late\", \"temp\": 7}"
            .to_owned(),
    );
    events
}

pub(crate) async fn schema(world: &World) {
    let create = Change::CreateMetric { name: "thermostat".to_owned(), aliases: vec!["therm".to_owned()] };
    world.change(vec![create]).await;
    world.declare("thermostat", &[("device", "string", &["dev"]), ("temp", "double", &["t", "T2"])]).await;
}

pub(crate) const QUESTIONS: [&str; 27] = [
    "SELECT * FROM thermostat",
    "SELECT count(*) FROM thermostat",
    "SELECT count(*), count(temp), sum(temp), min(temp), max(temp) FROM thermostat",
    "SELECT device, count(*), avg(temp) FROM thermostat GROUP BY device",
    "SELECT timestamp, temp FROM thermostat WHERE temp > 20",
    "SELECT timestamp, T2 FROM thermostat WHERE temp = 9 OR temp = 2.5",
    "SELECT timestamp, temp FROM thermostat WHERE device = 'late'",
    "SELECT count(*) FROM thermostat WHERE dev IN ('a', 'b') AND temp <= 30",
    "SELECT timestamp FROM thermostat WHERE timestamp >= '2026-01-01T05:00:00Z' AND timestamp < '2026-01-02T03:00:00Z'",
    "SELECT count(*) FROM thermostat WHERE timestamp >= '2026-01-02' AND device = 'b'",
    "SELECT count(*), avg(temp) FROM thermostat WHERE timestamp < '2026-01-01'",
    "SELECT min(timestamp), max(timestamp) FROM thermostat",
    "SELECT load, ok, \"note 2\" FROM thermostat",
    "SELECT sum(TRY_CAST(load AS DOUBLE)) FROM thermostat WHERE TRY_CAST(load AS DOUBLE) > 3",
    "SELECT timestamp FROM thermostat WHERE load = '11.0' OR load = '15' OR ok = 'true'",
    "SELECT CAST(load AS DOUBLE) FROM thermostat",
    "SELECT _fineo_event_id, _fineo_alias, timestamp FROM thermostat",
    "SELECT count(DISTINCT _fineo_event_id) FROM thermostat",
    "SELECT count(*) FROM thermostat WHERE _fineo_alias = 'therm'",
    "SELECT a.timestamp, a.temp FROM thermostat a JOIN thermostat b ON a._fineo_event_id = b._fineo_event_id",
    "SELECT device, temp FROM thermostat WHERE temp IS NULL",
    "SELECT device FROM thermostat WHERE temp IS NOT NULL ORDER BY timestamp LIMIT 100",
    "SELECT date_bin(INTERVAL '6 hours', timestamp) AS h, count(*), max(temp) FROM thermostat GROUP BY 1",
    "SELECT metric, field, alias, count, first_seen, last_seen FROM fineo_conflicts",
    "SELECT metric, name, count FROM fineo_discovered",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r JOIN (SELECT count(*) AS c FROM thermostat) t ON t.c > r.n WHERE n < 5) SELECT n FROM r",
    "SELECT device, temp, rank() OVER (PARTITION BY device ORDER BY timestamp) FROM thermostat",
];

/// Compares every answer over files and nearline rows with that over nearline rows alone.
pub(crate) async fn check(world: &World, context: &str) {
    let nearline = world.engine(Sees::Nearline, 1);
    let count = ask(&nearline, "SELECT count(*) AS n FROM thermostat").await;
    assert_eq!(count, format!("n: Int64\n{}", events().len()), "{context}");
    for tasks in [1, 8] {
        let everything = world.engine(Sees::Everything, tasks);
        for sql in QUESTIONS {
            let (found, wanted) = (ask(&everything, sql).await, ask(&nearline, sql).await);
            assert_eq!(found, wanted, "{sql}\n{context}, {tasks} tasks");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_at_any_position_answers_as_nearline_rows_alone() {
    let events = events();
    for split in (0..=events.len()).step_by(7).chain([events.len()]) {
        let world = World::new();
        schema(&world).await;
        let (before, after) = events.split_at(split);
        if !before.is_empty() {
            world.send(&before.join("\n")).await;
            world.compact(Compacted::Stay).await;
            assert!(world.files().await > 0, "nothing was compacted");
        }
        if !after.is_empty() {
            world.send(&after.join("\n")).await;
        }
        check(&world, &format!("split at {split}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_written_before_anything_was_declared_answer_as_nearline_rows() {
    let world = World::new();
    let events = events();
    for part in events.chunks(17) {
        world.send(&part.join("\n")).await;
        world.compact(Compacted::Stay).await;
    }
    schema(&world).await;
    check(&world, "declared last").await;
}
