//! The floor of one event: the cheapest loop that still does what ingest must do.

use std::collections::HashMap;
use std::hint::black_box;

use simd_json::{Node, StaticNode};

use crate::meter::Meter;

type Names = HashMap<Vec<u8>, u32, fxhash::FxBuildHasher>;

/// How much of the work is done.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    /// Parse, and look every key up among the known names.
    Resolve,
    /// And encode a binary record, names as numbers.
    Encode,
    /// And compress each full block of 1 MiB.
    Archive,
}

/// Three figures, each a stage further.
pub fn floor(meter: &mut Meter, lines: &[&[u8]]) {
    let names = names(lines);
    for (name, stage) in [
        ("floor_f2_parse+alias", Stage::Resolve),
        ("floor_f3_+binary_encode", Stage::Encode),
        ("floor_f4_+zstd1_archive", Stage::Archive),
    ] {
        let mut work = Work::new(&names, stage);
        meter.rate(name, 5, "M events/cpu-s", 1e6, || {
            for line in lines {
                work.event(line);
            }
            black_box(work.trace);
            lines.len() as f64
        });
    }
}

/// The names of the first events, as a schema would know them.
fn names(lines: &[&[u8]]) -> Names {
    let mut names = Names::default();
    for line in lines.iter().take(20_000) {
        for member in sonic_rs::to_object_iter(*line) {
            let next = names.len() as u32;
            let (key, _) = member.expect("the sample is JSON");
            names.entry(key.as_bytes().to_vec()).or_insert(next);
        }
    }
    names
}

struct Work<'a> {
    names: &'a Names,
    stage: Stage,
    copy: Vec<u8>,
    buffers: simd_json::Buffers,
    block: Vec<u8>,
    zstd: zstd::bulk::Compressor<'static>,
    /// Depends on every result, so that no work can be left out.
    trace: usize,
}

impl<'a> Work<'a> {
    fn new(names: &'a Names, stage: Stage) -> Self {
        let zstd = zstd::bulk::Compressor::new(1).expect("level 1 exists");
        let (copy, block) = (Vec::with_capacity(64 << 10), Vec::with_capacity(2 << 20));
        Self { names, stage, copy, buffers: simd_json::Buffers::new(4096), block, zstd, trace: 0 }
    }

    fn event(&mut self, line: &[u8]) {
        self.copy.clear();
        self.copy.extend_from_slice(line);
        let tape = simd_json::to_tape_with_buffers(&mut self.copy, &mut self.buffers).expect("the sample is JSON");
        let nodes = &tape.0;
        let mut at = 1;
        while at + 1 < nodes.len() {
            let Node::String(key) = nodes[at] else { unreachable!("a member begins with its key") };
            let name = self.names.get(key.as_bytes()).copied().unwrap_or(u32::MAX);
            let value = &nodes[at + 1];
            if self.stage >= Stage::Encode {
                encode(&mut self.block, name, value);
            } else {
                self.trace ^= name as usize;
            }
            at += match value {
                Node::Object { count, .. } | Node::Array { count, .. } => 2 + count,
                Node::String(_) | Node::Static(_) => 2,
            };
        }
        if self.block.len() > 1 << 20 {
            if self.stage == Stage::Archive {
                self.trace ^= self.zstd.compress(&self.block).expect("memory suffices").len();
            }
            self.block.clear();
        }
    }
}

/// A name's number, then the value: text with its length, numbers as eight bytes.
fn encode(block: &mut Vec<u8>, name: u32, value: &Node<'_>) {
    block.extend_from_slice(&(name as u16).to_le_bytes());
    match value {
        Node::String(text) => {
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
        Node::Static(StaticNode::I64(x)) => block.extend_from_slice(&x.to_le_bytes()),
        Node::Static(StaticNode::U64(x)) => block.extend_from_slice(&x.to_le_bytes()),
        Node::Static(StaticNode::F64(x)) => block.extend_from_slice(&x.to_le_bytes()),
        _ => block.push(1),
    }
}
