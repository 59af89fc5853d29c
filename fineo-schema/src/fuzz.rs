//! What is fed to the parsers of this crate that must survive anything: by tests, and by a
//! fuzzer that compiles with `--cfg fuzzing`.

use std::sync::Arc;

use fineo_core::{EventId, MetricId, ShardId, TenantId, repo::Version};

use crate::{
    Change, Declaration, FieldId, FieldType, RecordHead, RecordLayout, RecordValue, RecordVisitor, SeenNames, SentName,
    TenantSchema, TimeFormat, TimeParser, ValueVisitor, coerce, wire,
};

/// A parser under its name.
pub type Target = (&'static str, fn(&[u8]));

/// The parsers by name.
pub const TARGETS: &[Target] = &[
    ("record", record),
    ("record_schema", record_schema),
    ("declaration", declaration),
    ("change", change),
    ("documents", documents),
    ("time_format", time_format),
    ("time", time),
    ("values", values),
];

/// What each of them may begin with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let texts: &[&str] = match target {
        "record_schema" => return vec![layout().avro_schema().to_string().into_bytes()],
        "record" => return records(),
        "documents" => return document_seeds(),
        "declaration" => &[
            r#"{"metric_keys":["kind"],"timestamp_formats":["%d/%m/%Y %H:%M @ Europe/Rome"],"unknown_metric":"discover",
                "metrics":{"pump":{"aliases":["pmp"],"identity":"content","timestamp":{"aliases":["at"],
                "formats":["epoch_s"]},"fields":{"pressure":{"type":"decimal(10,2)","aliases":["press"],"unit":"bar"}}}}}"#,
            "tenant: acme\nmetrics:\n  pump:\n    fields:\n      on: {type: boolean}\n      at: {type: timestamp}\n",
            "a: &a [*a]\n---\n",
        ],
        "change" => &[
            r#"{"op":"add_field_alias","metric":"m","field":"b","alias":"x"}"#,
            r#"{"op":"set_identity","metric":null,"identity":"key"}"#,
        ],
        "time_format" => {
            &["%d/%m/%Y %H:%M:%S%.f @ Europe/Rome", "epoch_us", "%B %d, %Y %H:%M:%S", "%A %j %s %z @ +02:00"]
        }
        "time" => &[
            "2015-01-12T10:12:15.123456789+01:00[Europe/Rome]",
            "Tue, 1 Jul 2003 10:52:37 +0200",
            "1421057535000",
            "January 12, 2015 10:12:15",
            "9999-12-31T23:59:60Z",
        ],
        _ => &["9223372036854775807", "-1.50e-7", "true", "0001-01-01", "aGVsbG8=", "12345678.90", "{\"a\":[1]}"],
    };
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const TYPES: [FieldType; 11] = [
    FieldType::String,
    FieldType::Boolean,
    FieldType::Int,
    FieldType::Long,
    FieldType::Float,
    FieldType::Double,
    FieldType::Decimal { precision: 10, scale: 2 },
    FieldType::Timestamp,
    FieldType::Date,
    FieldType::Bytes,
    FieldType::Json,
];

fn layout() -> RecordLayout {
    let fields =
        (1..).zip(TYPES).map(|(number, of_type)| (FieldId(number), of_type, vec![format!("n{number}").into()]));
    RecordLayout::named(&MetricId::numbered(1), fields)
}

fn records() -> Vec<Vec<u8>> {
    let head = RecordHead {
        alias: "pump",
        timestamp: fineo_core::Timestamp::default(),
        written_at: fineo_core::Timestamp::default(),
        id: EventId([7; 16]),
        content: fineo_core::ContentHash([9; 16]),
    };
    let values =
        ["a", "true", "1", "9007199254740993", "1.5", "1e300", "1.25", "5", "2020-02-02", "aGk=", "[1]", "warm"];
    let names: Vec<String> = (1..=values.len()).map(|number| format!("n{number}")).collect();
    let cells = (0..).zip(values).zip(&names).map(|((field, text), name)| {
        let slot = (field < 11).then_some(crate::Slot { field, rank: 0 });
        crate::Cell { name, text, slot }
    });
    let cells: Vec<crate::Cell<'_>> = cells.collect();
    let mut bytes = Vec::new();
    layout().write(&head, &*cells, &mut bytes);
    vec![bytes]
}

fn document_seeds() -> Vec<Vec<u8>> {
    let names = std::iter::empty::<&crate::NameStats>();
    vec![wire::encode_names(names).to_vec(), vec![0xc3, 1]]
}

struct Seen;

impl RecordVisitor for Seen {
    fn head(&mut self, _: &RecordHead<'_>) {}
    fn cell(&mut self, _: &str, _: &str) {}
}

impl<'a> ValueVisitor<'a> for Seen {
    fn undeclared(&mut self, _: &'a str, _: &'a str) {}
    fn declared(&mut self, _: usize, _: SentName<'a>, _: Option<RecordValue<'a>>, _: Option<&'a str>) {}
}

fn record(bytes: &[u8]) {
    let (layout, id) = (layout(), EventId([7; 16]));
    let texts = layout.read(bytes, id, &mut Seen).is_ok();
    let values = layout.read_values(bytes, id, &mut Seen).is_ok();
    assert_eq!(texts, values, "a record is read as texts and as values, or as neither");
    let _ = RecordLayout::read_head(bytes, id);
}

fn record_schema(bytes: &[u8]) {
    if let Ok(schema) = serde_json::from_slice(bytes) {
        let _ = RecordLayout::of_avro_schema(&schema);
    }
}

fn declaration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(declaration) = Declaration::parse(text) else { return };
    let json = declaration.to_json().expect("what was read can be written");
    assert_eq!(Declaration::parse(&json).expect("what was written can be read"), declaration);
    let _ = declaration.plan(&TenantSchema::empty(&tenant()), &|_| Arc::new(SeenNames::default()));
}

fn change(bytes: &[u8]) {
    if let Ok(change) = serde_json::from_slice::<Change>(bytes) {
        let json = serde_json::to_vec(&change).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Change>(&json).expect("what was written can be read"), change);
    }
}

fn documents(bytes: &[u8]) {
    let _ = wire::decode_metric(bytes, &MetricId::numbered(1), Version(1));
    let whole = wire::TenantVersion::decode(bytes, &tenant(), Version(1));
    let state = wire::TenantState::decode(bytes, &tenant(), Version(1));
    assert!(state.is_ok() || whole.is_err(), "what is read whole is read in part");
    let _ = wire::decode_head(bytes);
    let _ = wire::decode_names(bytes, &ShardId::new("s0").expect("a legal id"));
}

fn tenant() -> TenantId {
    TenantId::new("acme").expect("a legal id")
}

/// A format, and behind a line break what it reads.
fn time_format(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (format, value) = text.split_once('\n').unwrap_or((text, "14/02/2016 0:00"));
    if let Ok(format) = TimeFormat::parse(format) {
        let _ = TimeParser::new([&format].into_iter()).parse(value);
    }
}

fn time(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(found) = TimeParser::default().parse(text) {
        assert_eq!(TimeParser::default().parse(&found.to_string()), Some(found), "{text}");
    }
}

fn values(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (coerce::boolean(text), coerce::int(text), coerce::long(text), coerce::float(text), coerce::double(text));
    let _ = (coerce::decimal(text, 38, 10), coerce::timestamp(text), coerce::date(text), coerce::bytes(text));
    let _ = text.parse::<FieldType>();
}

#[cfg(test)]
#[test]
fn parsers_survive_what_they_are_fed() {
    // B2, E46, E47, E49, S09
    fineo_conformance::feed(TARGETS, seeds, 8_000);
}
