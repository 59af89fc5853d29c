//! Loads JSON lines through the library alone; each line's tenant is the text of one of its members.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::Result;
use crate::engine::{Engine, Taken};
use crate::options::Options;

/// Bytes and events of one request.
const REQUEST_BYTES_MAX: usize = 4 << 20;
const REQUEST_EVENTS_MAX: usize = 10_000;

/// Lines of one tenant that wait for their request.
#[derive(Default)]
struct Request {
    bytes: Vec<u8>,
    events: usize,
}

/// Loads the file and returns when everything accepted can be queried.
pub async fn run(options: &Options) -> Result<Value> {
    let engine = Engine::open(options.text("data-dir")?).await?;
    let marker = format!("\"{}\":\"", options.text("tenant-field")?);
    let mut file = BufReader::with_capacity(1 << 20, File::open(options.file()?)?);
    let mut requests: BTreeMap<String, Request> = BTreeMap::new();
    let mut taken = Taken::default();
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        let tenant = tenant(&line, &marker).ok_or("a line has no tenant")?;
        if !requests.contains_key(tenant) {
            requests.insert(tenant.to_owned(), Request::default());
        }
        let request = requests.get_mut(tenant).expect("it was just put there");
        request.bytes.extend_from_slice(&line);
        request.events += 1;
        if request.bytes.len() >= REQUEST_BYTES_MAX || request.events >= REQUEST_EVENTS_MAX {
            let full = std::mem::take(request);
            taken += engine.ingest(tenant, full.bytes.into()).await?;
        }
        line.clear();
    }
    for (tenant, request) in requests {
        if request.events > 0 {
            taken += engine.ingest(&tenant, request.bytes.into()).await?;
        }
    }
    engine.settle().await?;
    engine.close().await?;
    Ok(json!({ "accepted": taken.accepted, "rejected": taken.rejected }))
}

/// The text behind the tenant's key; the workloads neither nest nor escape it.
fn tenant<'a>(line: &'a [u8], marker: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(line).ok()?;
    let rest = &text[text.find(marker)? + marker.len()..];
    Some(&rest[..rest.find('"')?])
}
