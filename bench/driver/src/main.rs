//! Times Fineo's library in one process, so that neither the start of a program nor its printing counts.
//!
//! `driver queries --data-dir D --queries Q.json [--runs 7]` times a catalogue, warm;
//! `driver ingest --data-dir D --tenant-field KEY FILE` loads JSON lines;
//! `driver first-stage --data-dir D --tenant-field KEY FILE` loads them up to the staged stream;
//! `driver declare --data-dir D --schemas FOLDER` applies `<tenant>.json` of each tenant;
//! `driver compact --data-dir D [--zstd-level 3] [--plain 1]` compacts it, and then writes the same rows plainly;
//! `driver freshness --work D [--rate 2000] [--batch 100] [--seconds 10] FILE` sends in an open loop and watches for
//! what it sent, by turns with the bare floor; with `--fineo PROGRAM` through the HTTP door of a server;
//! `driver doors --work D --fineo PROGRAM [--connections 4] [--body-events 1000] [--events 200000] [--rounds 3] FILE` takes the
//! same bodies in over HTTP and by the library. Each prints one JSON object.

mod compact;
mod declare;
mod digest;
mod door;
mod doors;
mod engine;
mod first_stage;
mod freshness;
mod ingest;
mod meter;
mod options;
mod queries;

use std::error::Error;
use std::process::ExitCode;

use options::Options;

/// Whatever went wrong ends the run.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: driver declare|queries|ingest|first-stage|compact|freshness|doors, see the head of bench/driver/src/main.rs";

async fn run() -> Result<serde_json::Value> {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().ok_or(USAGE)?;
    let options = Options::read(arguments)?;
    match verb.as_str() {
        "queries" => queries::run(&options).await,
        "declare" => declare::run(&options).await,
        "compact" => compact::run(&options).await,
        "ingest" => ingest::run(&options).await,
        "first-stage" => first_stage::run(&options).await,
        "doors" => doors::run(&options).await,
        "freshness" => freshness::run(&options).await,
        _ => Err(USAGE.into()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run().await {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
