//! What is fed to the parsers of this crate that must survive anything: by tests, and by a
//! fuzzer that compiles with `--cfg fuzzing`.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use fineo_core::{EventId, MetricId, Position, ShardId, TenantId, Timestamp, repo::Version, stream::Delivery};
use fineo_schema::TenantSchema;

pub use crate::archive::fuzz::segment;
use crate::{
    Decoder, Format, ImportOptions, Limits, Routing,
    edge::cut_whole,
    envelope::{self, Circumstances},
    scan::{
        delimited,
        event::Fields,
        frame::{Frame, Framer},
        names::Names,
    },
    stage::{
        payload,
        raw::{RawStage, Schemas},
        staged,
    },
};

/// A parser under its name.
pub type Target = (&'static str, fn(&[u8]));

/// The parsers by name.
pub const TARGETS: &[Target] = &[
    ("body", body),
    ("event", event),
    ("import", import),
    ("csv", csv),
    ("compressed", compressed),
    ("envelope", envelope),
    ("staged_entry", staged_entry),
    ("segment", segment),
];

const EVENTS: &[&str] = &[
    r#"{"metrictype":"m","timestamp":1421057535000,"g":{"lat":-0.0e+1,"o":{}},"l":[1,{"x":"]"}],"n":null,"s":"","b":true}"#,
    "{\"a\":\"\\u00e9\\ud83d\\ude00\\n\",\"PM2.5\":1e400}\n{\"a\":}\n{\"b\":2}",
    "\u{feff}[{\"a\":1},\r\n{\"a\":[[[]]]}] trailing",
    "{}[]null\"x\"42",
];
const ROWS: &str = "a,\"b \"\"c\"\"\",timestamp\r\n1,\"x\r\ny\",2015-01-12\n,,\n\"open,1,2\n";

/// What each of them may begin with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let packed = |level| zstd::bulk::compress(EVENTS[0].as_bytes(), level).unwrap_or_default();
    match target {
        "csv" | "import" => EVENTS.iter().chain([&ROWS]).map(|text| text.as_bytes().to_vec()).collect(),
        "compressed" => vec![packed(1), gzipped(), EVENTS[0].as_bytes().to_vec()],
        "envelope" => vec![enveloped(Format::Json, EVENTS[0]), enveloped(Format::Csv, ROWS)],
        "staged_entry" => vec![entry()],
        "segment" => crate::archive::fuzz::seeds(),
        _ => EVENTS.iter().map(|text| text.as_bytes().to_vec()).collect(),
    }
}

fn gzipped() -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(EVENTS[0].as_bytes(), flate2::Compression::fast());
    encoder.read_to_end(&mut packed).map(|_| packed).unwrap_or_default()
}

fn enveloped(format: Format, event: &str) -> Vec<u8> {
    let circumstances = Circumstances { metric: Some("m".into()), dropped_key: Some("t".into()) };
    let mut out = BytesMut::new();
    envelope::write_head([7; 16], Timestamp::default(), format, &circumstances, &mut out);
    out.extend_from_slice(event.as_bytes());
    out.to_vec()
}

fn entry() -> Vec<u8> {
    let mut out = Vec::new();
    payload::write_head(&MetricId::numbered(1), Version(1), EventId([7; 16]), Timestamp::default(), &mut out);
    out.extend_from_slice(&[1; 40]);
    out
}

/// A body is cut into events that follow one another, wherever its pieces end.
fn body(bytes: &[u8]) {
    let frames = |sizes: usize| {
        let (mut framer, mut frames): (Framer, Vec<Frame>) = (Framer::new(), Vec::new());
        for end in (0..bytes.len()).step_by(sizes).skip(1) {
            while let Some(frame) = framer.next(&bytes[..end], false) {
                frames.push(frame);
            }
        }
        while let Some(frame) = framer.next(bytes, true) {
            frames.push(frame);
        }
        frames
    };
    let whole = frames(usize::MAX);
    let mut before = 0;
    for frame in &whole {
        assert!(before <= frame.start && frame.start <= frame.end && frame.end <= bytes.len(), "{frame:?}");
        before = frame.end;
    }
    if bytes.len() < 4096 {
        let places = |frames: &[Frame]| frames.iter().map(|frame| (frame.start, frame.end)).collect::<Vec<_>>();
        assert_eq!(places(&frames(7)), places(&whole), "pieces make no difference");
    }
}

/// What is an event to us is JSON to another parser, and is read again as it was the first time.
fn event(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (mut fields, mut names) = (Fields::default(), Names::new());
    let first = fields.read(&mut names, text, 10_000).map(|()| fields.cells().len());
    let again = fields.read(&mut names, text, 10_000).map(|()| fields.cells().len());
    assert_eq!(first, again, "what was learned of an event changes nothing");
    if first.is_ok() {
        // Numbers beyond a double are numbers all the same.
        serde_json::from_str::<serde::de::IgnoredAny>(text).expect("what we accept is JSON");
        for cell in fields.cells() {
            let _ = fields.text(text, cell);
        }
    }
}

fn import(bytes: &[u8]) {
    let tenant = TenantId::new("acme").expect("a legal id");
    let routings = [Routing::Tenant(tenant), Routing::Field("a".to_owned())];
    for routing in routings {
        for is_csv in [false, true] {
            cut_whole(&ImportOptions::new(routing.clone()), is_csv, bytes);
        }
    }
}

fn csv(bytes: &[u8]) {
    let _ = delimited::read(&mut Fields::default(), &mut Names::new(), bytes, 10_000);
}

fn compressed(bytes: &[u8]) {
    let bytes = bytes.to_vec();
    if let Ok(decoder) = Decoder::new(std::io::Cursor::new(bytes)) {
        let _ = std::io::copy(&mut decoder.take(1 << 20), &mut std::io::sink());
    }
}

fn delivery(bytes: &[u8]) -> Delivery {
    let tenant = TenantId::new("acme").expect("a legal id");
    Delivery { tenant, position: Position::from(1), payload: Bytes::copy_from_slice(bytes) }
}

/// Whatever is in the raw stream is forwarded, deferred or an error: never neither, never both.
fn envelope(bytes: &[u8]) {
    if let Ok(read) = envelope::read(bytes) {
        assert_eq!(envelope::read(&envelope::rebuild(&read)).expect("what was written can be read"), read);
    }
    let delivery = delivery(bytes);
    let schema = std::sync::Arc::new(TenantSchema::empty(&delivery.tenant));
    let schemas = Schemas::from_iter([(delivery.tenant.clone(), schema)]);
    let mut stage = RawStage::new(Limits::default().fields_max, usize::MAX);
    let outcome = stage.apply(&schemas, std::slice::from_ref(&delivery), std::iter::once(0), 0, true);
    assert_eq!(outcome.forward.len() + outcome.deferred.len() + outcome.errors.len(), 1);
}

fn staged_entry(bytes: &[u8]) {
    let delivery = delivery(bytes);
    let deliveries = std::slice::from_ref(&delivery);
    let runs = staged::Runs::of(deliveries);
    let layouts = runs.layouts(deliveries).into_iter().map(|key| {
        let layout = fineo_schema::RecordLayout::new(&key.metric, std::iter::empty());
        (key, Some(std::sync::Arc::new(layout)))
    });
    let outcome = staged::apply(&layouts.collect(), &ShardId::new("s0").expect("a legal id"), deliveries, &runs);
    let rows: usize = outcome.groups.iter().map(|group| group.rows.len()).sum();
    assert_eq!(rows + outcome.errors.len(), 1);
}

#[cfg(test)]
#[test]
fn parsers_survive_what_they_are_fed() {
    // B2, E21, E46
    fineo_conformance::feed(TARGETS, seeds, 2_500);
}
