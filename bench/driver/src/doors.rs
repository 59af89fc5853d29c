//! What the HTTP door costs: the same bodies over loopback and to the library, by turns.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Result;
use crate::door::Server;
use crate::engine::Engine;
use crate::meter::{cpu_seconds, spread};
use crate::options::Options;

const TENANT: &str = "doors";

/// Bodies that are still to be sent.
type Waiting = Arc<Mutex<VecDeque<Bytes>>>;

fn next(waiting: &Waiting) -> Option<Bytes> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Bodies of so many lines each.
fn bodies(file: &str, events: usize, each: usize) -> Result<Vec<Bytes>> {
    let (mut made, mut body, mut lines) = (Vec::new(), Vec::new(), 0);
    for line in BufReader::new(File::open(file)?).lines().take(events) {
        body.extend_from_slice(line?.as_bytes());
        body.push(b'\n');
        lines += 1;
        if lines % each == 0 {
            made.push(Bytes::from(std::mem::take(&mut body)));
        }
    }
    made.extend((!body.is_empty()).then(|| body.into()));
    Ok(made)
}

/// CPU seconds of this process to take in all `bodies`, until they can be asked for and the store is closed.
async fn by_library(folder: &Path, bodies: &[Bytes], senders: usize) -> Result<f64> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let engine = Arc::new(Engine::open(folder.to_str().ok_or("the work folder's name is not UTF-8")?).await?);
    let waiting = Arc::new(Mutex::new(VecDeque::from(bodies.to_vec())));
    let (began, mut sending) = (cpu_seconds(), JoinSet::new());
    for _ in 0..senders {
        let (engine, waiting) = (Arc::clone(&engine), Arc::clone(&waiting));
        sending.spawn(async move {
            while let Some(body) = next(&waiting) {
                engine.ingest(TENANT, body).await?;
            }
            Result::Ok(())
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    engine.settle().await?;
    Arc::into_inner(engine).ok_or("a sender goes on")?.close().await?;
    Ok(cpu_seconds() - began)
}

/// The same of a server's process, and what the senders themselves took beside it.
async fn over_http(program: &str, folder: &Path, bodies: &[Bytes], senders: usize) -> Result<(f64, f64)> {
    let server = Server::start(program, folder, TENANT)?;
    let waiting = Arc::new(Mutex::new(VecDeque::from(bodies.to_vec())));
    let (began, mut sending) = (server.cpu_seconds()?, JoinSet::new());
    let client_began = cpu_seconds();
    for _ in 0..senders {
        let (mut caller, waiting) = (server.connect().await?, Arc::clone(&waiting));
        sending.spawn(async move {
            while let Some(body) = next(&waiting) {
                let said = caller.post("/v1/events", &body).await?;
                if said["failed"] != 0 {
                    return Err(format!("not all was taken in: {}", said["failed"]).into());
                }
            }
            Result::Ok(())
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    let client = cpu_seconds() - client_began;
    // It drains before it ends.
    Ok((server.stop()? - began, client))
}

/// Both by turns; the ratio of each round, and microseconds per event.
pub(crate) async fn run(options: &Options) -> Result<Value> {
    let (senders, each) = (options.number("connections", 4)?, options.number("body-events", 1000)?);
    let (events, rounds) = (options.number("events", 200_000)?, options.number("rounds", 3)?);
    let (work, program) = (Path::new(options.text("work")?), options.text("fineo")?);
    let bodies = bodies(options.file()?, events, each)?;
    let sent: usize = bodies.iter().map(|body| body.iter().filter(|byte| **byte == b'\n').count()).sum();
    let us = |seconds: f64| seconds * 1e6 / sent as f64;
    let (mut library, mut http, mut client, mut ratio) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let alone = by_library(&work.join("doors-library"), &bodies, senders).await?;
        let (served, sending) = over_http(program, &work.join("doors-http"), &bodies, senders).await?;
        library.push(us(alone));
        http.push(us(served));
        client.push(us(sending));
        ratio.push(served / alone);
    }
    Ok(json!({
        "events": sent, "connections": senders, "body_events": each, "ratio": spread(ratio), "library_us": spread(library),
        "http_us": spread(http), "client_us": spread(client),
    }))
}
