//! The promises that the benchmarks build on: the same bytes again, and what a workload is made of.

use serde_json::Value;

use crate::config::Config;
use crate::output::Output;

/// The lines of a shipped config.
fn lines(name: &str, events: u64, seed: u64) -> Vec<String> {
    let path = format!("{}/configs/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let config: Config = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let place = std::env::temp_dir().join(format!("fleetgen-{}-{name}-{events}-{seed}.ndjson", std::process::id()));
    let mut output = Output::create(place.to_str().unwrap(), 1, events).unwrap();
    match (&config.nested, &config.keys) {
        (Some(nested), _) => drop(crate::nested::write(&config, nested, events, seed, &mut output).unwrap()),
        (None, Some(keys)) => drop(crate::fleet::write(&config, keys, events, seed, &mut output).unwrap()),
        (None, None) => panic!("{name} is neither nested nor a fleet"),
    }
    assert_eq!(output.finish().unwrap().0, events);
    let text = std::fs::read_to_string(&place).unwrap();
    std::fs::remove_file(&place).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn one_seed_is_one_stream_and_another_seed_another() {
    for name in ["iot", "harbour", "truck", "nested"] {
        assert_eq!(lines(name, 500, 7), lines(name, 500, 7), "{name}");
        assert_ne!(lines(name, 500, 7), lines(name, 500, 8), "{name}");
    }
}

#[test]
fn every_line_is_an_object_whose_keys_are_its_own() {
    for line in lines("iot", 2000, 3) {
        let Value::Object(members) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        let colons = line.matches("\":").count();
        assert_eq!(members.len(), colons, "a key occurs twice in {line}");
    }
}

#[test]
fn a_part_of_the_events_breaks_the_contract_as_the_config_says() {
    let lines = lines("iot", 20_000, 1);
    let broken = lines.iter().filter(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        !event["timestamp"].is_i64() || event["metrictype"].is_null()
    });
    let share = broken.count() as f64 / lines.len() as f64;
    assert!((0.002..0.004).contains(&share), "{share}");
}
