//! Times a catalogue of queries: one warm-up, then a number of runs of each.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Result;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::meter::{cpu_seconds, milliseconds, now, spread};
use crate::options::Options;

/// No query takes more of the run than this.
const MILLISECONDS_MAX: f64 = 20_000.0;
/// Runs of a query whose parts are timed one by one: enough for a 99th percentile.
const EACH_RUNS: usize = 10;

/// One named query.
#[derive(Debug, Deserialize)]
struct Query {
    parts: Vec<Part>,
    /// Whether each part is a sample of its own, or all of them together.
    each: bool,
}

/// One statement and the tenant who asks it.
#[derive(Debug, Deserialize)]
struct Part {
    tenant: String,
    sql: String,
}

/// Times every query of the file; one that fails is reported with its error, the others go on.
pub(crate) async fn run(options: &Options) -> Result<Value> {
    let queries: BTreeMap<String, Query> = serde_json::from_slice(&std::fs::read(options.text("queries")?)?)?;
    let runs = options.number("runs", 7)?;
    let engine = Engine::open(options.text("data-dir")?).await?;
    let mut out = Map::new();
    for (name, query) in &queries {
        let timed = time(&engine, query, runs).await;
        out.insert(name.clone(), timed.unwrap_or_else(|error| json!({ "error": error.to_string() })));
    }
    engine.close().await?;
    Ok(Value::Object(out))
}

async fn time(engine: &Engine, query: &Query, runs: usize) -> Result<Value> {
    let start = now();
    let mut digest = Digest::default();
    for part in &query.parts {
        for batch in engine.sql(&part.tenant, &part.sql).await? {
            digest.add(&batch)?;
        }
    }
    let first = milliseconds(start, now()) / if query.each { query.parts.len() as f64 } else { 1.0 };

    let samples = if query.each { query.parts.chunks(1).collect() } else { vec![query.parts.as_slice()] };
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..if query.each { EACH_RUNS } else { runs } {
        for parts in &samples {
            let (cpu_start, start) = (cpu_seconds(), now());
            for part in *parts {
                engine.sql(&part.tenant, &part.sql).await?;
            }
            wall.push(milliseconds(start, now()));
            cpu.push((cpu_seconds() - cpu_start) * 1e3);
        }
        if wall.iter().sum::<f64>() > MILLISECONDS_MAX {
            break;
        }
    }
    Ok(json!({ "ms": spread(wall), "cpu_ms": spread(cpu), "first_ms": first, "digest": digest.value() }))
}
